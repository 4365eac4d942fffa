/* Learn mode: what a call does goes into the shared record, each fact once; see record.h. Lock-free: several
 * processes, threads and signal handlers write at the same time.
 */
#include "preload/check.h"
#include "preload/copy.h"
#include "preload/libc.h"
#include "preload/state.h"
#include "runtime/match.h"
#include "runtime/record.h"
#include "runtime/rule.h"

#define PROBES_MAX 4096

struct fact {
    struct record_entry entry;
    const char *text;
};

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length) {
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

static uint64_t hash_fact(const struct fact *fact) {
    uint64_t hash = hash_bytes(0xcbf29ce484222325u, &fact->entry, sizeof fact->entry);
    hash = hash_bytes(hash, fact->text, fact->entry.text_length);
    return hash ^ hash >> 29;
}

static bool same_fact(const struct record_header *record, uint32_t place, const struct fact *fact) {
    const struct record_entry *entry = (const struct record_entry *)((const char *)record + 8 * (uint64_t)place);
    if (8 * (uint64_t)place + fact->entry.size > STATE->record_bytes)
        return false;
    return memcmp(entry, &fact->entry, sizeof *entry) == 0 &&
           memcmp(entry->text, fact->text, fact->entry.text_length) == 0;
}

/* Returns the place of the written entry, or 0 when the file is full. */
static uint32_t write_fact(struct record_header *record, const struct fact *fact) {
    uint64_t start = __atomic_fetch_add(&record->used, fact->entry.size, __ATOMIC_RELAXED);
    if (start % 8 != 0 || start > STATE->record_bytes || fact->entry.size > STATE->record_bytes - start)
        return 0;
    struct record_entry *entry = (struct record_entry *)((char *)record + start);
    memcpy(entry, &fact->entry, sizeof *entry);
    memcpy(entry->text, fact->text, fact->entry.text_length);
    return (uint32_t)(start / 8);
}

static void record_fact(struct fact *fact) {
    struct record_header *record = STATE->record;
    uint32_t slots = record->slot_count, written = 0;
    uint32_t *table = (uint32_t *)(record + 1);
    if (slots == 0 || (slots & (slots - 1)) != 0 || sizeof *record + 4 * (uint64_t)slots > STATE->record_bytes)
        return;
    fact->entry.size = (uint32_t)((sizeof fact->entry + fact->entry.text_length + 7) & ~(size_t)7);
    uint64_t hash = hash_fact(fact);
    for (uint32_t probe = 0; probe < PROBES_MAX && probe < slots; probe++) {
        uint32_t *slot = &table[(hash + probe) & (slots - 1)];
        uint32_t place = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
        if (place == 0) {
            if (written == 0 && (written = write_fact(record, fact)) == 0)
                break;
            if (__atomic_compare_exchange_n(slot, &place, written, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
                return;
        }
        if (same_fact(record, place, fact))
            return;
    }
    __atomic_fetch_add(&record->lost, 1, __ATOMIC_RELAXED);
}

/* ---- what there is to tell about a call ---- */

static struct fact fact_of(const struct call *call, unsigned argument) {
    struct fact fact = {.text = ""};
    fact.entry.api = (uint16_t)call->index;
    fact.entry.argument = (uint8_t)argument;
    fact.entry.program = STATE->program;
    if (call->module != NULL) {
        fact.entry.module = call->module->identity;
        fact.entry.offset = (uint32_t)(call->registers->return_address - call->module->bias);
    }
    return fact;
}

static void record_text(struct fact fact, const char *text, size_t length) {
    fact.text = text;
    fact.entry.text_length = (uint32_t)length;
    record_fact(&fact);
}

static void record_path(struct fact fact, const char *path) {
    fact.entry.api = API_NONE;
    fact.entry.offset = 0;
    record_text(fact, path, strlen(path));
}

/* A pointer that cannot be read needs no fact: the call fails by itself. What is too long is counted. */
static void note_unread(void) {
    __atomic_fetch_add(&STATE->record->unread, 1, __ATOMIC_RELAXED);
}

static void learn_string(struct call *call, unsigned argument) {
    struct fact fact = fact_of(call, argument);
    const char *text;
    size_t length;
    uint64_t original = call->arguments[argument];
    if (original == 0) {
        fact.entry.integer = 1;
        record_fact(&fact);
        return;
    }
    if (!take_string(call, argument, &text, &length))
        return;
    if (text == NULL) {
        note_unread();
        return;
    }
    char *normal = copy_allocate(call->slot, call->registers, length + 1);
    if (normal == NULL) {
        note_unread();
        return;
    }
    memcpy(normal, text, length + 1);
    if (argument_shape(call->api->arguments[argument].kind) == SHAPE_PATH)
        length = path_normalise(normal, length);
    record_text(fact, normal, length);
}

static void learn_address(struct call *call, unsigned argument) {
    uint64_t source = call->arguments[argument], header[2] = {0, 0};
    size_t size = argument + 1u < API_MAX_ARGUMENTS ? (uint32_t)call->arguments[argument + 1] : 0;
    if (argument_shape(call->api->arguments[argument].kind) == SHAPE_MSGHDR) {
        if (!read_bytes(header, source, sizeof header))
            return;
        source = header[0];
        size = (uint32_t)header[1];
    }
    if (source == 0) {
        struct fact null = fact_of(call, argument);
        null.entry.integer = 1;
        record_fact(&null);
        return;
    }
    char address[128];
    if (size > sizeof address)
        note_unread();
    else if (read_bytes(address, source, size))
        record_text(fact_of(call, argument), address, size);
}

static void learn_vector(struct call *call, unsigned argument) {
    uint64_t *vector;
    unsigned count;
    enum copy_result result = take_vector(call, argument, &vector, &count);
    if (result != COPY_DONE) {
        if (result != COPY_UNREADABLE)
            note_unread();
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        struct fact fact = fact_of(call, argument);
        fact.entry.position = (uint8_t)(i < 254 ? i : 254);
        record_text(fact, (const char *)vector[i], strlen((const char *)vector[i]));
    }
    copy_shrink(call->slot, vector, 0);
    struct fact end = fact_of(call, argument);
    end.entry.position = (uint8_t)(count < 254 ? count : 254);
    end.entry.integer = 1;
    record_fact(&end);
}

static void learn_argument(struct call *call, unsigned argument) {
    unsigned shape = argument_shape(call->api->arguments[argument].kind);
    struct fact fact = fact_of(call, argument);
    switch ((enum shape)shape) {
    case SHAPE_INT32:
    case SHAPE_UINT32:
    case SHAPE_INT64:
        fact.entry.integer = rule_integer(shape, call->arguments[argument]);
        record_fact(&fact);
        return;
    case SHAPE_PATH:
    case SHAPE_STRING: learn_string(call, argument); return;
    case SHAPE_SOCKADDR:
    case SHAPE_MSGHDR: learn_address(call, argument); return;
    case SHAPE_ARGV: learn_vector(call, argument); return;
    default: return;
    }
}

void learn_call(struct call *call) {
    if (STATE->record == NULL)
        return;
    record_path(fact_of(call, RECORD_PROGRAM), STATE->program_path != NULL ? STATE->program_path : "");
    if (call->module == NULL)
        return; /* code of no module has no site that a policy could name */
    record_path(fact_of(call, RECORD_MODULE), call->module->name[0] != '\0' || STATE->program_path == NULL
                                                  ? call->module->name
                                                  : STATE->program_path);
    struct fact site = fact_of(call, RECORD_SITE);
    record_fact(&site);
    for (unsigned i = 0; i < call->api->argument_count; i++)
        if (argument_matters(call->api, i, call->arguments))
            learn_argument(call, i);
}

void learn_child(struct call *call, const char *path) {
    if (STATE->record != NULL && call->module != NULL)
        record_text(fact_of(call, RECORD_CHILD), path, strlen(path));
}
