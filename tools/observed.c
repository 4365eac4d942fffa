/* Reading records into facts. The result does not depend on the order of the records, nor on that of the entries. */
#include "tools/observed.h"

#include <string.h>
#include <sys/socket.h>

#include "runtime/match.h"
#include "runtime/record_reader.h"
#include "runtime/util.h"

/* Of two paths of one object the first in the alphabet stays. */
static void add_name(struct named **list, size_t *count, const struct identity *identity, const char *text,
                     size_t length) {
    char *path = xstrndup(text, length);
    for (size_t i = 0; i < *count; i++) {
        struct named *named = &(*list)[i];
        if (!identity_equal(&named->identity, identity))
            continue;
        bool smaller = *path && (!*named->path || strcmp(path, named->path) < 0);
        char *other = smaller ? named->path : path;
        named->path = smaller ? path : named->path;
        free(other);
        return;
    }
    *array_append(*list, *count) = (struct named){.identity = *identity, .path = path};
}

static uint16_t big_endian(const unsigned char *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static char *unix_path(const unsigned char *bytes, size_t length) {
    if (length == 0)
        return xstrdup("");
    if (bytes[0] != '\0') {
        char *path = xstrndup((const char *)bytes, length);
        path[path_normalise(path, strlen(path))] = '\0';
        return path;
    }
    while (length > 1 && bytes[length - 1] == '\0')
        length--;
    if (memchr(bytes + 1, '\0', length - 1))
        return NULL; /* a name with a NUL within cannot be written down */
    return xasprintf("@%.*s", (int)(length - 1), (const char *)bytes + 1);
}

/* A struct sockaddr as the kernel reads it. Returns false where it makes no sense. */
static bool read_address(const void *data, size_t length, struct value *value) {
    const unsigned char *bytes = data;
    struct policy_address *address = &value->address;
    if (length < 2)
        return false;
    *value = (struct value){.kind = VALUE_ADDRESS};
    address->family = (uint16_t)(bytes[0] | bytes[1] << 8);
    address->match = MATCH_EXACT;
    switch (address->family) {
    case AF_INET:
        if (length < 8)
            return false;
        memcpy(address->host, bytes + 4, 4);
        break;
    case AF_INET6:
        if (length < 24)
            return false;
        memcpy(address->host, bytes + 8, 16);
        break;
    case AF_UNIX: value->text = unix_path(bytes + 2, length - 2); return value->text != NULL;
    default: return true;
    }
    address->port = big_endian(bytes + 2);
    return true;
}

static bool read_value(const struct record_entry *entry, enum shape shape, struct value *value) {
    *value = (struct value){0};
    switch (shape) {
    case SHAPE_INT32:
    case SHAPE_UINT32:
    case SHAPE_INT64:
        value->kind = VALUE_INTEGER;
        value->low = entry->integer;
        return true;
    case SHAPE_SOCKADDR:
    case SHAPE_MSGHDR:
        if (entry->integer == 1 && entry->text_length == 0)
            value->kind = VALUE_NULL;
        else if (!read_address(entry->text, entry->text_length, value))
            return false;
        return true;
    case SHAPE_PATH:
    case SHAPE_STRING:
    case SHAPE_ARGV:
        value->kind = entry->integer == 1 && entry->text_length == 0 ? VALUE_NULL : VALUE_TEXT;
        value->position = shape == SHAPE_ARGV ? entry->position : 0;
        if (value->kind == VALUE_TEXT)
            value->text = xstrndup(entry->text, entry->text_length);
        return true;
    default: return false;
    }
}

static void add_fact(struct observed *observed, const struct record_entry *entry) {
    if (entry->program.kind == IDENTITY_NONE || entry->module.kind == IDENTITY_NONE) {
        observed->unreadable++; /* nothing to recognise the place by */
        return;
    }
    struct fact fact = {.program = entry->program,
                        .module = entry->module,
                        .offset = entry->offset,
                        .api = entry->api,
                        .argument = entry->argument};
    if (entry->argument == RECORD_CHILD) {
        fact.value = (struct value){.kind = VALUE_TEXT, .text = xstrndup(entry->text, entry->text_length)};
    } else if (entry->argument != RECORD_SITE) {
        enum shape shape = argument_shape(api_table[entry->api].arguments[entry->argument].kind);
        if (!read_value(entry, shape, &fact.value)) {
            observed->unreadable += shape != SHAPE_OPAQUE;
            return;
        }
    }
    fact.value.origin = ORIGIN_LEARNED;
    *array_append(observed->facts, observed->fact_count) = fact;
}

bool observed_read(struct observed *observed, const char *path, struct mistake *mistake) {
    struct record record;
    if (!record_open(&record, path, mistake))
        return false;
    const struct record_entry *entry;
    while ((entry = record_next(&record))) {
        if (entry->argument == RECORD_PROGRAM)
            add_name(&observed->programs, &observed->program_count, &entry->program, entry->text, entry->text_length);
        else if (entry->argument == RECORD_MODULE)
            add_name(&observed->modules, &observed->module_count, &entry->module, entry->text, entry->text_length);
        else
            add_fact(observed, entry);
    }
    observed->lost += record.header->lost;
    observed->unread += record.header->unread;
    record_close(&record);
    return true;
}

static int compare_identities(const struct identity *a, const struct identity *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static int compare_integers(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int compare_values(const struct value *a, const struct value *b) {
    int order = compare_integers(a->kind, b->kind);
    if (!order)
        order = compare_integers(a->position, b->position);
    if (!order)
        order = compare_integers(a->low, b->low);
    if (!order)
        order = strcmp(a->text ? a->text : "", b->text ? b->text : "");
    return order ? order : memcmp(&a->address, &b->address, sizeof a->address);
}

static int compare_facts(const void *left, const void *right) {
    const struct fact *a = left;
    const struct fact *b = right;
    int order = compare_identities(&a->program, &b->program);
    if (!order)
        order = compare_identities(&a->module, &b->module);
    if (!order)
        order = compare_integers(a->offset, b->offset);
    if (!order)
        order = compare_integers(a->api, b->api);
    if (!order)
        order = compare_integers(a->argument, b->argument);
    return order ? order : compare_values(&a->value, &b->value);
}

void observed_sort(struct observed *observed) {
    size_t kept = 0;
    if (observed->fact_count)
        qsort(observed->facts, observed->fact_count, sizeof *observed->facts, compare_facts);
    for (size_t i = 0; i < observed->fact_count; i++) {
        if (kept && compare_facts(&observed->facts[kept - 1], &observed->facts[i]) == 0)
            free(observed->facts[i].value.text);
        else
            observed->facts[kept++] = observed->facts[i];
    }
    observed->fact_count = kept;
}

static void free_names(struct named *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(list[i].path);
    free(list);
}

void observed_free(struct observed *observed) {
    for (size_t i = 0; i < observed->fact_count; i++)
        free(observed->facts[i].value.text);
    free(observed->facts);
    free_names(observed->programs, observed->program_count);
    free_names(observed->modules, observed->module_count);
    *observed = (struct observed){0};
}

static const char *find_name(const struct named *list, size_t count, const struct identity *identity) {
    for (size_t i = 0; i < count; i++)
        if (identity_equal(&list[i].identity, identity))
            return list[i].path;
    return "";
}

const char *observed_program_path(const struct observed *observed, const struct identity *identity) {
    return find_name(observed->programs, observed->program_count, identity);
}

const char *observed_module_path(const struct observed *observed, const struct identity *identity) {
    return find_name(observed->modules, observed->module_count, identity);
}
