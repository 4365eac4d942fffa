/* Preloaded into generated programs: takes the place of the critical functions, does nothing in them, and writes down
 * who called with what. It also feeds the programs: rand() is their only input. No libc may be used here, so that the
 * same file serves programs of glibc and of musl.
 *
 * One line per distinct call on RECORD_DESCRIPTOR: case, module, return address, whether a direct call stands before
 * it, API, and the arguments by their shapes.
 */
#include <link.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "runtime/api.h"
#include "tests/oracle/record.h"

#define EXPORTED __attribute__((visibility("default")))
#define SEEN_LINES 65536 /* a power of two */
#define MAX_VECTOR 16

struct line {
    char text[4096];
    size_t length;
};

static unsigned current_case, drawn;
static uint64_t run_seed;
static uint64_t seen[SEEN_LINES];

/* ---- Input ---- */

static uint64_t mix(uint64_t value) {
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

EXPORTED void record_seed(unsigned seed) __asm__("srand");
EXPORTED int record_input(void) __asm__("rand");

void record_seed(unsigned seed) {
    current_case = seed / RUNS_PER_CASE;
    run_seed = mix(seed + 0x9e3779b97f4a7c15u);
    drawn = 0;
}

int record_input(void) {
    return (int)(mix(run_seed + 0x9e3779b97f4a7c15u * ++drawn) >> 33);
}

/* ---- Lines ---- */

static void put(struct line *line, char byte) {
    if (line->length < sizeof line->text)
        line->text[line->length++] = byte;
}

static void put_text(struct line *line, const char *text) {
    while (*text != '\0')
        put(line, *text++);
}

static void put_hexadecimal(struct line *line, uint64_t value) {
    int shift = 60;
    while (shift > 0 && value >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        put(line, "0123456789abcdef"[value >> shift & 15]);
}

static void put_byte(struct line *line, unsigned char byte) {
    put(line, "0123456789abcdef"[byte >> 4]);
    put(line, "0123456789abcdef"[byte & 15]);
}

static void put_escaped(struct line *line, const char *text) {
    for (; *text != '\0'; text++) {
        if (record_is_plain(*text)) {
            put(line, *text);
        } else {
            put(line, '\\');
            put_byte(line, (unsigned char)*text);
        }
    }
}

static void put_vector(struct line *line, char *const *vector) {
    put(line, RECORD_VECTOR);
    for (unsigned i = 0; i < MAX_VECTOR && vector[i] != NULL; i++) {
        if (i > 0)
            put(line, ',');
        put_escaped(line, vector[i]);
    }
}

/* No more than is compared: of the internet family and port and host, of a Unix socket the path. */
static void put_address(struct line *line, const unsigned char *bytes, uint64_t length) {
    uint16_t family = (uint16_t)(bytes[0] | bytes[1] << 8);
    if (family == AF_INET && length > 8)
        length = 8;
    put(line, RECORD_ADDRESS);
    for (uint64_t i = 0; i < length && i < sizeof(struct sockaddr_storage); i++) {
        if (family == AF_UNIX && i >= 2 && bytes[i] == 0)
            break;
        put_byte(line, bytes[i]);
    }
}

static void put_argument(struct line *line, const struct api *api, unsigned argument, const uint64_t *values) {
    enum shape shape = argument_shape((enum argument_kind)api->arguments[argument].kind);
    uint64_t value = values[argument];
    put(line, '\t');
    if (shape == SHAPE_OPAQUE || shape == SHAPE_MSGHDR || !argument_matters(api, argument, values)) {
        put(line, RECORD_NOTHING);
    } else if (shape == SHAPE_INT32 || shape == SHAPE_UINT32 || shape == SHAPE_INT64) {
        put(line, RECORD_INTEGER);
        put_hexadecimal(line, shape == SHAPE_INT64 ? value : (uint32_t)value);
    } else if (value == 0) {
        put(line, RECORD_NULL);
    } else if (shape == SHAPE_ARGV) {
        put_vector(line, (char *const *)value);
    } else if (shape == SHAPE_SOCKADDR) {
        put_address(line, (const unsigned char *)value, (uint32_t)values[argument + 1]);
    } else {
        put(line, RECORD_TEXT);
        put_escaped(line, (const char *)value);
    }
}

static bool is_new(const struct line *line) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < line->length; i++)
        hash = (hash ^ (unsigned char)line->text[i]) * 1099511628211u;
    hash |= 1;
    for (uint64_t i = 0; i < SEEN_LINES; i++) {
        uint64_t *slot = &seen[(hash + i) & (SEEN_LINES - 1)];
        if (*slot == hash)
            return false;
        if (*slot == 0) {
            *slot = hash;
            return true;
        }
    }
    return true;
}

static void write_line(const struct line *line) {
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"((long)SYS_write), "D"((long)RECORD_DESCRIPTOR), "S"(line->text), "d"(line->length)
                     : "rcx", "r11", "memory");
}

/* ---- Calls ---- */

struct place {
    uint64_t address, bias;
    const char *module;
};

static int find_place(struct dl_phdr_info *information, size_t size, void *context) {
    struct place *place = context;
    (void)size;
    for (unsigned i = 0; i < information->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &information->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && place->address - information->dlpi_addr - header->p_vaddr < header->p_memsz) {
            place->bias = information->dlpi_addr;
            place->module = information->dlpi_name;
            return 1;
        }
    }
    return 0;
}

static const char *base_name(const char *path) {
    const char *base = path;
    for (; *path != '\0'; path++) {
        if (*path == '/')
            base = path + 1;
    }
    return base;
}

static long record_call(unsigned number, const unsigned char *after, const uint64_t *values) {
    const struct api *api = &api_table[number];
    struct place place = {.address = (uint64_t)after, .module = "?"};
    struct line line = {.length = 0};
    dl_iterate_phdr(find_place, &place);
    put_hexadecimal(&line, current_case);
    put(&line, '\t');
    put_text(&line, *place.module == '\0' ? RECORD_PROGRAM : base_name(place.module));
    put(&line, '\t');
    put_hexadecimal(&line, place.address - place.bias);
    put(&line, '\t');
    put(&line, after[-5] == 0xe8 ? RECORD_DIRECT : RECORD_INDIRECT);
    put(&line, '\t');
    put_text(&line, api->name);
    for (unsigned i = 0; i < api->argument_count; i++)
        put_argument(&line, api, i, values);
    put(&line, '\n');
    if (is_new(&line))
        write_line(&line);
    return 0;
}

/* Six registers are read whatever the function's own arguments are; what it has not is garbage that no shape reads. */
#define RECORDED(name)                                                                                \
    EXPORTED long record_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,           \
                                uint64_t f) __asm__(#name);                                           \
    long record_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f) {      \
        const uint64_t values[] = {a, b, c, d, e, f};                                                 \
        return record_call(spelling_table[SPELLING_##name].api, __builtin_return_address(0), values); \
    }
#include "tests/oracle/sinks.def"
