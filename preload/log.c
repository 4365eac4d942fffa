/* See log.h. The line is built in the thread's slot, so that a check needs little of the application's stack. */
#include "preload/log.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <elf.h>
#include <limits.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include <linux/time.h>

#include "preload/copy.h"
#include "preload/counts.h"
#include "preload/descriptor.h"
#include "preload/libc.h"
#include "preload/raw.h"
#include "preload/state.h"
#include "runtime/event.h"
#include "runtime/rule.h"

#define FILE_TYPE 0170000
#define FILE_REGULAR 0100000
#define POLL_OUT 4

/* ---- the sink ---- */

static long open_log(const char *path, int create) {
    return raw(__NR_openat, AT_FDCWD, path,
               O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | create, 0600);
}

bool log_open(struct state *state, const char *path) {
    if (path == NULL) {
        state->log = descriptor_keep(2);
        return true;
    }
    long opened = open_log(path, O_CREAT);
    if (raw_failed(opened))
        return false;
    state->log = descriptor_keep(descriptor_move_high((int)opened));
    return true;
}

struct poll_request {
    int descriptor;
    short wanted, found;
};

/* Lines that could not be written since the last one that was; atomic. */
static uint64_t dropped;

#define SIGNAL_BIT(number) (1ull << ((number)-1))

/* A reader that went away or a limit on file sizes must not end the program: the signal that the write then raises for
 * this thread is taken back. */
static long write_quietly(int descriptor, const char *line, size_t length) {
    const uint64_t raised = SIGNAL_BIT(13 /* SIGPIPE */) | SIGNAL_BIT(25 /* SIGXFSZ */);
    uint64_t old = 0, pending = 0;
    struct timespec none = {0, 0};
    raw(__NR_rt_sigpending, &pending, sizeof pending);
    raw(__NR_rt_sigprocmask, 0 /* SIG_BLOCK */, &raised, &old, sizeof old);
    long written = raw(__NR_write, descriptor, line, length);
    if ((written == -EPIPE || written == -EFBIG) && !(pending & raised))
        raw(__NR_rt_sigtimedwait, &raised, 0, &none, sizeof raised);
    raw(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &old, 0, sizeof old);
    return written;
}

static bool write_to(const struct kept_descriptor *sink, const char *line, size_t length) {
    struct stat status = {0};
    struct poll_request request = {.descriptor = sink->number, .wanted = POLL_OUT};
    if (!descriptor_is_kept(sink, &status))
        return false;
    if ((status.st_mode & FILE_TYPE) != FILE_REGULAR &&
        (raw(__NR_poll, &request, 1, 0) != 1 || request.found != POLL_OUT || length > PIPE_BUF))
        return false;
    return write_quietly(sink->number, line, length) == (long)length;
}

/* A line must never reach a client, nor block. A log that was closed with all other descriptors is opened once more, if
 * it still can be. */
static bool write_line(const char *line, size_t length) {
    struct kept_descriptor sink = STATE->log;
    struct stat status = {0};
    if (write_to(&sink, line, length))
        return true;
    if (STATE->log_path == NULL || descriptor_is_kept(&sink, &status))
        return false;
    long opened = open_log(STATE->log_path, 0);
    sink.number = (int)opened;
    bool written = !raw_failed(opened) && write_to(&sink, line, length);
    if (!raw_failed(opened))
        raw(__NR_close, opened);
    return written;
}

/* ---- building a line ---- */

struct line {
    char *bytes;
    size_t used, size;
};

static void put_byte(struct line *line, char byte) {
    if (line->used < line->size)
        line->bytes[line->used++] = byte;
}

static void put(struct line *line, const char *text) {
    while (*text != '\0')
        put_byte(line, *text++);
}

static void put_unsigned(struct line *line, uint64_t value, unsigned base, unsigned width) {
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0 || count < width);
    while (count > 0)
        put_byte(line, digits[--count]);
}

static void put_signed(struct line *line, int64_t value) {
    if (value < 0)
        put_byte(line, '-');
    put_unsigned(line, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 1);
}

static void put_hexadecimal(struct line *line, uint64_t value) {
    put(line, "0x");
    put_unsigned(line, value, 16, 1);
}

/* The length of a well-formed UTF-8 sequence at `text`, or 0. */
static unsigned utf8_sequence(const char *text, size_t left) {
    const unsigned char *byte = (const unsigned char *)text;
    unsigned length = byte[0] >= 0xf0 && byte[0] <= 0xf4 ? 4 : byte[0] >= 0xe0 ? 3 : byte[0] >= 0xc2 ? 2 : 0;
    if (byte[0] > 0xf4 || length == 0 || length > left)
        return 0;
    for (unsigned i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
        return 0;
    return length;
}

/* The inside of a JSON string; bytes that are no UTF-8 appear as U+00XX. At most `limit` bytes of text, then how long
 * it was. */
static void put_escaped(struct line *line, const char *text, size_t length, size_t limit) {
    size_t shown = length < limit ? length : limit;
    size_t room = line->size - line->used > 128 ? (line->size - line->used - 128) / 6 : 0; /* if all were escaped */
    shown = shown < room ? shown : room;
    for (size_t i = 0; i < shown;) {
        unsigned char byte = (unsigned char)text[i];
        unsigned sequence = byte < 0x80 ? 1 : utf8_sequence(text + i, shown - i);
        if (byte < 0x20 || byte == 0x7f || sequence == 0) {
            put(line, "\\u00");
            put_unsigned(line, byte, 16, 2);
            i++;
            continue;
        }
        if (byte == '"' || byte == '\\')
            put_byte(line, '\\');
        for (; sequence > 0; sequence--)
            put_byte(line, text[i++]);
    }
    if (shown < length) {
        put(line, "... (");
        put_unsigned(line, length, 10, 1);
        put(line, " bytes)");
    }
}

static void put_text(struct line *line, const char *text, size_t length, size_t limit) {
    put_byte(line, '"');
    put_escaped(line, text, length, limit);
    put_byte(line, '"');
}

static void put_string(struct line *line, const char *text) {
    put_text(line, text, strlen(text), 512);
}

/* A string that needs no escaping. */
static void put_word(struct line *line, const char *word) {
    put_byte(line, '"');
    put(line, word);
    put_byte(line, '"');
}

static void put_key(struct line *line, const char *key) {
    if (line->used > 0 && line->bytes[line->used - 1] != '{')
        put_byte(line, ',');
    put_byte(line, '"');
    put(line, key);
    put(line, "\":");
}

static void put_identity(struct line *line, const struct identity *identity) {
    char text[IDENTITY_TEXT_BYTES];
    identity_format(identity, text);
    put_string(line, text);
}

/* ISO 8601, UTC. The date is counted from days as in Hinnant's "chrono-compatible low-level date algorithms". */
static void put_time(struct line *line) {
    struct timespec now = {0, 0};
    raw(__NR_clock_gettime, 0, &now);
    uint64_t days = (uint64_t)now.tv_sec / 86400 + 719468, seconds = (uint64_t)now.tv_sec % 86400;
    uint64_t era = days / 146097, day_of_era = days % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * day_of_year + 2) / 153, month = shifted < 10 ? shifted + 3 : shifted - 9;
    put_byte(line, '"');
    put_unsigned(line, year_of_era + era * 400 + (month <= 2), 10, 4);
    put_byte(line, '-');
    put_unsigned(line, month, 10, 2);
    put_byte(line, '-');
    put_unsigned(line, day_of_year - (153 * shifted + 2) / 5 + 1, 10, 2);
    put_byte(line, 'T');
    put_unsigned(line, seconds / 3600, 10, 2);
    put_byte(line, ':');
    put_unsigned(line, seconds / 60 % 60, 10, 2);
    put_byte(line, ':');
    put_unsigned(line, seconds % 60, 10, 2);
    put_byte(line, '.');
    put_unsigned(line, (uint64_t)now.tv_nsec / 1000, 10, 6);
    put(line, "Z\"");
}

/* Per process: a child after fork counts from one. */
static uint64_t next_sequence(uint32_t pid) {
    static uint64_t sequence; /* pid above, count below; atomic */
    uint64_t old = __atomic_load_n(&sequence, __ATOMIC_RELAXED), new;
    do {
        new = old >> 32 == pid ? old + 1 : (uint64_t)pid << 32 | 1;
    } while (!__atomic_compare_exchange_n(&sequence, &old, new, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return new & 0xffffffff;
}

static void put_head(struct line *line, enum mode mode, enum verdict verdict) {
    uint32_t pid = (uint32_t)raw(__NR_getpid);
    put_byte(line, '{');
    put_key(line, "time");
    put_time(line);
    put_key(line, "seq");
    put_unsigned(line, next_sequence(pid), 10, 1);
    put_key(line, "pid");
    put_unsigned(line, pid, 10, 1);
    put_key(line, "tid");
    put_unsigned(line, (uint64_t)raw(__NR_gettid), 10, 1);
    put_key(line, "exe");
    put_string(line, STATE->program_path != NULL ? STATE->program_path : "");
    put_key(line, "build_id");
    put_identity(line, &STATE->program);
    put_key(line, "mode");
    put_string(line, mode_name(mode));
    put_key(line, "verdict");
    put_string(line, verdict_name(verdict));
}

static void finish(struct line *line, size_t size) {
    uint64_t missing = __atomic_exchange_n(&dropped, 0, __ATOMIC_RELAXED);
    line->size = size;
    if (missing > 0) {
        put_key(line, "dropped");
        put_unsigned(line, missing, 10, 1);
    }
    put(line, "}\n");
    if (!write_line(line->bytes, line->used))
        __atomic_fetch_add(&dropped, missing + 1, __ATOMIC_RELAXED);
}

/* Room that `finish` and closing brackets always find. */
#define LOG_RESERVE 160

/* ---- the call site ---- */

#define SYMBOLS_MAX 65536

struct symbol_search {
    uint64_t wanted; /* relative to the module */
    uint64_t found;
    const char *name;
};

/* DT_GNU_HASH has no symbol count: the last chain's end tells it. */
static uint32_t dynamic_symbol_count(const uint32_t *hash) {
    uint32_t buckets = hash[0], first = hash[1], last = 0;
    const uint32_t *bucket = hash + 4 + hash[2] * 2, *chain = bucket + buckets;
    for (uint32_t i = 0; i < buckets; i++)
        last = bucket[i] > last ? bucket[i] : last;
    if (last < first)
        return first;
    while (!(chain[last - first] & 1))
        last++;
    return last + 1;
}

static void nearest_symbol(const struct mapped_module *module, struct symbol_search *search) {
    const Elf64_Sym *symbols = NULL;
    const char *names = NULL;
    const uint32_t *hash = NULL;
    for (const Elf64_Dyn *entry = module->dynamic; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        /* glibc adds the load bias to these, musl does not. */
        uint64_t address = entry->d_un.d_ptr < module->bias ? module->bias + entry->d_un.d_ptr : entry->d_un.d_ptr;
        if (entry->d_tag == DT_SYMTAB)
            symbols = (const Elf64_Sym *)address;
        else if (entry->d_tag == DT_STRTAB)
            names = (const char *)address;
        else if (entry->d_tag == DT_GNU_HASH)
            hash = (const uint32_t *)address;
    }
    if (symbols == NULL || names == NULL || hash == NULL)
        return;
    uint32_t count = dynamic_symbol_count(hash);
    for (uint32_t i = 1; i < count && i < SYMBOLS_MAX; i++) {
        const Elf64_Sym *symbol = &symbols[i];
        if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC ||
            symbol->st_value > search->wanted || symbol->st_value <= search->found ||
            search->wanted >= symbol->st_value + (symbol->st_size > 0 ? symbol->st_size : 1))
            continue;
        search->found = symbol->st_value;
        search->name = names + symbol->st_name;
    }
}

static const char *module_path(const struct mapped_module *module) {
    if (module->name[0] != '\0')
        return module->name;
    return STATE->program_path != NULL ? STATE->program_path : "";
}

static void put_site(struct line *line, const struct call *call) {
    uint64_t address = call->registers->return_address;
    put_key(line, "site");
    put_byte(line, '{');
    if (call->module == NULL) {
        put_key(line, "address");
        put_byte(line, '"');
        put_hexadecimal(line, address);
        put_byte(line, '"');
    } else {
        struct symbol_search search = {.wanted = address - call->module->bias};
        put_key(line, "module");
        put_string(line, module_path(call->module));
        put_key(line, "build_id");
        put_identity(line, &call->module->identity);
        put_key(line, "offset");
        put_byte(line, '"');
        put_hexadecimal(line, search.wanted);
        put_byte(line, '"');
        nearest_symbol(call->module, &search);
        if (search.name != NULL) {
            put_key(line, "symbol");
            put_byte(line, '"');
            put_escaped(line, search.name, strlen(search.name), 256);
            put_byte(line, '+');
            put_hexadecimal(line, search.wanted - search.found);
            put_byte(line, '"');
        }
    }
    put_byte(line, '}');
}

/* ---- arguments ---- */

#define LOG_STRING_BYTES 4096

static void put_pointed_text(struct line *line, const struct call *call, uint64_t source) {
    const char *text;
    size_t length;
    if (source == 0)
        put(line, "null");
    else if (copy_string(call->slot, call->registers, source, LOG_STRING_BYTES, &text, &length) != COPY_DONE)
        put(line, "\"(unreadable or very long)\"");
    else
        put_text(line, text, length, 256);
}

static void put_arguments(struct line *line, const struct call *call) {
    put_key(line, "args");
    put_byte(line, '{');
    for (unsigned i = 0; i < call->api->argument_count; i++) {
        const struct argument *argument = &call->api->arguments[i];
        unsigned shape = argument_shape(argument->kind);
        uint64_t value = call->arguments[i];
        if (!argument_matters(call->api, i, call->arguments))
            continue;
        put_key(line, argument->name);
        if (shape == SHAPE_PATH || shape == SHAPE_STRING)
            put_pointed_text(line, call, value);
        else if (shape == SHAPE_INT32)
            put_signed(line, (int32_t)value);
        else if (shape == SHAPE_UINT32)
            put_unsigned(line, (uint32_t)value, 10, 1);
        else if (shape == SHAPE_INT64)
            put_signed(line, (int64_t)value);
        else {
            put_byte(line, '"');
            put_hexadecimal(line, value);
            put_byte(line, '"');
        }
    }
    put_byte(line, '}');
}

static void put_nearest(struct line *line, const struct call *call, const struct violation *violation) {
    const struct policy_header *policy = STATE->policy;
    const struct policy_constraint *constraint = violation->constraint;
    if (constraint == NULL)
        return;
    if (constraint->kind <= CONSTRAINT_MASK) {
        int64_t index = rule_nearest_integer(policy, constraint, call->arguments[constraint->argument]);
        const int64_t *integers = policy_section(policy, policy->integers);
        if (index >= 0) {
            put_key(line, "nearest");
            put_signed(line, integers[index]);
        }
    } else if (constraint->kind == CONSTRAINT_STRINGS || constraint->kind == CONSTRAINT_ARGV) {
        const char *text = violation->text != NULL ? violation->text : "";
        int64_t index = rule_nearest_text(policy, constraint, text, strlen(text));
        const struct policy_string *strings = policy_section(policy, policy->strings);
        if (index >= 0) {
            put_key(line, "nearest");
            put_text(line, policy_text(policy, strings[index].text), strings[index].length, 256);
        }
    }
}

/* ---- whole lines ---- */

static void put_rule(struct line *line, const struct call *call) {
    put_key(line, "rule");
    put_byte(line, '"');
    if (call->module != NULL) {
        const char *path = module_path(call->module), *base = path;
        for (; *path != '\0'; path++)
            if (*path == '/')
                base = path + 1;
        put_escaped(line, base, strlen(base), 128);
        put_byte(line, '+');
        put_hexadecimal(line, call->registers->return_address - call->module->bias);
    }
    put_byte(line, ':');
    put(line, call->api->name);
    put_byte(line, '"');
}

static void put_call(struct line *line, const struct call *call, const struct violation *violation) {
    put_key(line, "class");
    put_string(line, api_class_name(call->api->class));
    put_key(line, "api");
    put_string(line, call->api->name);
    put_site(line, call);
    put_rule(line, call);
    put_key(line, "reason");
    put_string(line, reason_text(violation->reason));
    if (violation->argument >= 0) {
        put_key(line, "argument");
        put_string(line, call->api->arguments[violation->argument].name);
    }
    if (violation->address != 0) {
        put_key(line, "address");
        put_byte(line, '"');
        put_hexadecimal(line, violation->address);
        put_byte(line, '"');
    }
    put_nearest(line, call, violation);
    put_arguments(line, call);
}

void log_violation(const struct call *call, const struct violation *violation, enum verdict verdict, enum mode mode) {
    char small[768];
    struct line line = {.bytes = small, .size = sizeof small};
    if (call->slot != NULL && (line.bytes = copy_allocate(call->slot, call->registers, LOG_LINE_BYTES)) != NULL)
        line.size = LOG_LINE_BYTES - LOG_RESERVE;
    else
        line = (struct line){.bytes = small, .size = sizeof small - LOG_RESERVE};
    put_head(&line, mode, verdict);
    if (line.bytes == small) { /* the slot is full of copies: the essence must do */
        put_key(&line, "api");
        put_word(&line, call->api->name);
        put_key(&line, "reason");
        put_word(&line, reason_text(violation->reason));
        finish(&line, sizeof small);
        return;
    }
    put_call(&line, call, violation);
    finish(&line, LOG_LINE_BYTES);
}

void log_process(enum reason reason, enum verdict verdict, const char *detail) {
    char bytes[LOG_LINE_BYTES];
    struct line line = {.bytes = bytes, .size = sizeof bytes - LOG_RESERVE};
    put_head(&line, STATE->mode != MODE_INHERIT ? STATE->mode : MODE_ENFORCE, verdict);
    put_key(&line, "reason");
    put_string(&line, reason_text(reason));
    if (detail != NULL) {
        put_key(&line, "detail");
        put_string(&line, detail);
    }
    finish(&line, sizeof bytes);
}

static void put_names(struct line *line, const char *key, const char (*names)[EVENT_NAME_BYTES], unsigned count) {
    put_key(line, key);
    put_byte(line, '[');
    for (unsigned i = 0; i < count; i++) {
        if (i > 0)
            put_byte(line, ',');
        put_string(line, names[i]);
    }
    put_byte(line, ']');
}

static void put_millionths(struct line *line, const char *key, int64_t value) {
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    put_key(line, key);
    if (value < 0)
        put_byte(line, '-');
    put_unsigned(line, size / 1000000, 10, 1);
    put_byte(line, '.');
    put_unsigned(line, size % 1000000, 10, 6);
}

void log_anomaly(const struct event *event, struct thread_slot *slot) {
    struct line line = {.bytes = slot->event_line, .size = LOG_LINE_BYTES - LOG_RESERVE};
    put_head(&line, STATE->mode, VERDICT_LOG);
    put_key(&line, "reason");
    put_string(&line, reason_text(REASON_ANOMALY));
    put_key(&line, "interval");
    put_unsigned(&line, event->interval, 10, 1);
    put_millionths(&line, "score", event->score);
    put_millionths(&line, "threshold", event->threshold);
    put_key(&line, "violations");
    put_unsigned(&line, event->violations, 10, 1);
    put_key(&line, "signature");
    put_byte(&line, '"');
    for (unsigned i = 0; i < sizeof event->signature; i++)
        put_unsigned(&line, event->signature[i], 16, 2);
    put_byte(&line, '"');
    put_names(&line, "top", event->top, event->top_count);
    put_names(&line, "never_seen", event->never_seen, event->never_seen_count);
    finish(&line, LOG_LINE_BYTES);
}

void end_process(void) {
    counts_leave();
    raw(__NR_exit_group, 137);
    for (;;)
        __asm__ volatile("hlt");
}
