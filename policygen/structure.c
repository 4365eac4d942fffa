/* From memory to rules. Fields that are not known leave their part of the rule open.
 */
#include "policygen/structure.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "policygen/buffer.h"
#include "runtime/util.h"

#define MAX_ELEMENTS 24
#define MAX_ADDRESSES 16
#define ANY_TEXT "%s"

static bool is_known(struct abstract value) {
    return value.unknown == UNKNOWN_NOTHING && value.count > 0;
}

static bool is_integers(struct abstract value) {
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind != ELEMENT_INTEGER)
            return false;
    }
    return is_known(value);
}

static enum unknown why_unknown(struct abstract value) {
    return value.unknown == UNKNOWN_NOTHING ? UNKNOWN_MEMORY : (enum unknown)value.unknown;
}

/* ---- Texts ---- */

static void add_text(const struct structure *at, struct argument_rule *rule, char *text, bool exact, uint8_t position) {
    rules_add(rule, (struct rule_value){.kind = exact ? RULE_TEXT : RULE_GLOB,
                                        .position = position,
                                        .text = analysis_keep(at->analysis, text)});
}

/* Adds all texts; false where one of them may be anything. */
static bool add_texts(const struct structure *at, const struct templates *texts, bool path, uint8_t position,
                      struct argument_rule *rule) {
    bool known = true;
    for (unsigned i = 0; i < texts->count; i++) {
        char *patterns[TEMPLATE_MAX_TEXTS];
        bool exact[TEMPLATE_MAX_TEXTS];
        unsigned count =
            template_is_any(texts->items[i]) ? 0 : template_patterns(texts->items[i], path, patterns, exact);
        known = known && count > 0;
        for (unsigned j = 0; j < count; j++) {
            if (strcmp(patterns[j], ANY_TEXT) == 0) {
                known = false;
                free(patterns[j]);
                continue;
            }
            add_text(at, rule, patterns[j], exact[j], position);
        }
    }
    return known;
}

void structure_text(const struct structure *at, int32_t offset, bool path, struct argument_rule *rule) {
    struct templates texts;
    buffer_texts(at->memory, at->instruction, offset, &texts);
    if (!add_texts(at, &texts, path, 0, rule))
        rules_any(rule, UNKNOWN_LOCAL_BUFFER);
}

bool structure_text_from(const struct structure *at, struct pointer_origin origin, bool path,
                         struct argument_rule *rule) {
    struct templates texts;
    bool null = false;
    buffer_texts_from(at->memory, at->instruction, origin, &texts, &null);
    bool known = add_texts(at, &texts, path, 0, rule);
    if (known && null)
        rules_add(rule, (struct rule_value){.kind = RULE_NULL});
    return known;
}

/* ---- Socket addresses ---- */

static void add_address(struct argument_rule *rule, struct policy_address address, const char *text) {
    rules_add(rule, (struct rule_value){.kind = RULE_ADDRESS, .text = text, .socket = address});
}

static struct abstract read_bytes(const struct structure *at, int32_t offset, unsigned size) {
    return memory_read(at->memory, at->instruction, offset, size);
}

static uint16_t network_order(uint64_t value) {
    return (uint16_t)((value & 0xff) << 8 | (value >> 8 & 0xff));
}

static void put_bytes(uint8_t *bytes, uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static void add_ports(const struct structure *at, int32_t offset, struct policy_address address,
                      struct argument_rule *rule) {
    struct abstract port = read_bytes(at, offset + (int32_t)offsetof(struct sockaddr_in, sin_port), 2);
    if (!is_integers(port) || port.count > MAX_ADDRESSES) {
        address.flags |= ADDRESS_ANY_PORT;
        add_address(rule, address, NULL);
        return;
    }
    for (unsigned i = 0; i < port.count; i++) {
        address.port = network_order((uint64_t)port.elements[i].value);
        add_address(rule, address, NULL);
    }
}

static void add_internet(const struct structure *at, int32_t offset, struct argument_rule *rule) {
    struct policy_address address = {.family = AF_INET, .match = MATCH_EXACT};
    struct abstract host = read_bytes(at, offset + (int32_t)offsetof(struct sockaddr_in, sin_addr), 4);
    if (!is_integers(host) || host.count > MAX_ADDRESSES) {
        address.flags |= ADDRESS_ANY_HOST;
        add_ports(at, offset, address, rule);
        return;
    }
    for (unsigned i = 0; i < host.count; i++) {
        put_bytes(address.host, (uint64_t)host.elements[i].value, 4);
        add_ports(at, offset, address, rule);
    }
}

static void add_internet6(const struct structure *at, int32_t offset, struct argument_rule *rule) {
    struct policy_address address = {.family = AF_INET6, .match = MATCH_EXACT};
    for (int i = 0; i < 4; i++) {
        struct abstract part = read_bytes(at, offset + (int32_t)offsetof(struct sockaddr_in6, sin6_addr) + 4 * i, 4);
        if (is_integers(part) && part.count == 1)
            put_bytes(address.host + 4 * i, (uint64_t)part.elements[0].value, 4);
        else
            address.flags |= ADDRESS_ANY_HOST;
    }
    if ((address.flags & ADDRESS_ANY_HOST) != 0)
        memset(address.host, 0, sizeof address.host);
    add_ports(at, offset, address, rule);
}

static bool all_fit(const struct templates *texts, struct abstract length) {
    if (!is_integers(length))
        return false;
    for (unsigned i = 0; i < texts->count; i++) {
        for (unsigned j = 0; j < length.count; j++) {
            int64_t room = length.elements[j].value - (int64_t)offsetof(struct sockaddr_un, sun_path);
            if (room > (int64_t)sizeof((struct sockaddr_un){0}.sun_path) || texts->items[i].longest > room)
                return false;
        }
    }
    return true;
}

/* An abstract name, a path that looks like one, and a path that the length may cut short: any. */
static bool is_plain_path(const struct templates *texts, struct abstract length) {
    for (unsigned i = 0; i < texts->count; i++) {
        const struct template *text = &texts->items[i];
        bool plain = text->count > 0 && text->pieces[0].kind != PIECE_ANY &&
                     (text->pieces[0].kind != PIECE_BYTE || text->pieces[0].byte != '@');
        if (!plain)
            return false;
    }
    return all_fit(texts, length);
}

static void add_unix(const struct structure *at, int32_t offset, struct abstract length, struct argument_rule *rule) {
    struct policy_address address = {.family = AF_UNIX, .match = MATCH_EXACT};
    struct templates texts;
    struct argument_rule paths = {.state = RULE_SET};
    buffer_texts(at->memory, at->instruction, offset + (int32_t)offsetof(struct sockaddr_un, sun_path), &texts);
    bool known = is_plain_path(&texts, length) && add_texts(at, &texts, true, 0, &paths);
    for (unsigned i = 0; known && i < paths.count; i++) {
        address.match = paths.values[i].kind == RULE_GLOB ? MATCH_GLOB : MATCH_EXACT;
        add_address(rule, address, paths.values[i].text);
    }
    if (!known) {
        address.match = MATCH_GLOB;
        add_address(rule, address, analysis_keep(at->analysis, xstrdup(ANY_TEXT)));
    }
    free(paths.values);
}

static void add_family(const struct structure *at, int32_t offset, uint16_t family, struct abstract length,
                       struct argument_rule *rule) {
    switch (family) {
    case AF_INET: add_internet(at, offset, rule); return;
    case AF_INET6: add_internet6(at, offset, rule); return;
    case AF_UNIX: add_unix(at, offset, length, rule); return;
    default: add_address(rule, (struct policy_address){.family = family, .match = MATCH_EXACT}, NULL); return;
    }
}

static void socket_at(const struct structure *at, int32_t offset, struct abstract length, struct argument_rule *rule) {
    struct abstract family = read_bytes(at, offset, 2);
    if (!is_integers(family)) {
        rules_any(rule, UNKNOWN_LOCAL_BUFFER);
        return;
    }
    for (unsigned i = 0; i < family.count; i++)
        add_family(at, offset, (uint16_t)family.elements[i].value, length, rule);
}

static void socket_rule(const struct structure *at, struct abstract pointer, struct abstract length,
                        struct argument_rule *rule) {
    if (!is_known(pointer))
        rules_any(rule, why_unknown(pointer));
    for (unsigned i = 0; i < pointer.count; i++) {
        struct element element = pointer.elements[i];
        if (element.kind == ELEMENT_INTEGER && element.value == 0)
            rules_add(rule, (struct rule_value){.kind = RULE_NULL});
        else if (element.kind == ELEMENT_STACK)
            socket_at(at, (int32_t)element.value, length, rule);
        else
            rules_any(rule, UNKNOWN_GLOBAL);
    }
}

void structure_socket(const struct structure *at, unsigned argument, struct argument_rule *rule) {
    socket_rule(at, memory_argument(at->memory, at->instruction, argument),
                memory_argument(at->memory, at->instruction, argument + 1), rule);
}

void structure_message(const struct structure *at, unsigned argument, struct argument_rule *rule) {
    struct abstract pointer = memory_argument(at->memory, at->instruction, argument);
    if (!is_known(pointer))
        rules_any(rule, why_unknown(pointer));
    for (unsigned i = 0; i < pointer.count; i++) {
        if (pointer.elements[i].kind != ELEMENT_STACK) {
            rules_any(rule, UNKNOWN_GLOBAL);
            continue;
        }
        int32_t offset = (int32_t)pointer.elements[i].value;
        socket_rule(at, read_bytes(at, offset + (int32_t)offsetof(struct msghdr, msg_name), 8),
                    read_bytes(at, offset + (int32_t)offsetof(struct msghdr, msg_namelen), 4), rule);
    }
}

/* ---- Argument vectors ---- */

struct vector {
    bool listed;
    unsigned argument;   /* listed: of the first element */
    struct element base; /* else: where the pointers stand */
};

static struct abstract read_element(const struct structure *at, const struct vector *vector, unsigned i) {
    if (vector->listed)
        return memory_argument(at->memory, at->instruction, vector->argument + i);
    if (vector->base.kind == ELEMENT_STACK)
        return read_bytes(at, (int32_t)vector->base.value + 8 * (int32_t)i, 8);
    struct operand operand = {.kind = OPERAND_MEMORY,
                              .size = 8,
                              .base = REGISTER_RIP,
                              .index = REGISTER_NONE,
                              .value = vector->base.value + 8 * (int64_t)i};
    return solver_operand(at->memory->solver, at->instruction, &operand);
}

static const char *constant_text(const struct structure *at, struct element element) {
    const struct object *object = &at->analysis->object;
    bool is_address = element.kind == ELEMENT_ADDRESS ||
                      (element.kind == ELEMENT_INTEGER && object->type == ET_EXEC && element.value != 0);
    return is_address ? object_string(object, (uint64_t)element.value) : NULL;
}

/* One element that is no end mark. False where it may be anything. */
static bool add_element(const struct structure *at, struct element element, uint8_t position,
                        struct argument_rule *rule) {
    const char *text = constant_text(at, element);
    if (text != NULL) {
        rules_add(rule, (struct rule_value){
                            .kind = RULE_TEXT, .position = position, .address = (uint32_t)element.value, .text = text});
        return true;
    }
    if (element.kind != ELEMENT_STACK)
        return false;
    struct templates texts;
    buffer_texts(at->memory, at->instruction, (int32_t)element.value, &texts);
    return add_texts(at, &texts, false, position, rule);
}

static void add_any_element(const struct structure *at, uint8_t position, struct argument_rule *rule) {
    add_text(at, rule, xstrdup(ANY_TEXT), false, position);
}

static bool may_end(struct abstract value) {
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind == ELEMENT_INTEGER && value.elements[i].value == 0)
            return true;
    }
    return value.unknown != UNKNOWN_NOTHING;
}

static bool add_pointed(const struct structure *at, struct abstract value, uint8_t position,
                        struct argument_rule *rule) {
    bool known = value.origin_count > 0;
    for (unsigned i = 0; i < value.origin_count; i++) {
        struct templates texts;
        bool null;
        buffer_texts_from(at->memory, at->instruction, value.origins[i], &texts, &null);
        known = add_texts(at, &texts, false, position, rule) && known;
    }
    return known;
}

/* The values of one position. Returns whether something is known of it. */
static bool add_position(const struct structure *at, struct abstract value, uint8_t position,
                         struct argument_rule *rule) {
    bool known = is_known(value) || add_pointed(at, value, position, rule);
    if (may_end(value))
        rules_add(rule, (struct rule_value){.kind = RULE_NULL, .position = position});
    for (unsigned i = 0; i < value.count; i++) {
        if (value.elements[i].kind != ELEMENT_INTEGER || value.elements[i].value != 0)
            known = add_element(at, value.elements[i], position, rule) && known;
    }
    if (!known)
        add_any_element(at, position, rule);
    return known;
}

static bool is_end(struct abstract value) {
    return is_known(value) && value.count == 1 && value.elements[0].kind == ELEMENT_INTEGER &&
           value.elements[0].value == 0;
}

/* Returns false where nothing is known of the vector; `closed` where it certainly ends. */
static bool add_vector(const struct structure *at, const struct vector *vector, struct argument_rule *rule,
                       bool *closed) {
    struct abstract values[MAX_ELEMENTS];
    unsigned count = 0, known = 0;
    for (*closed = false; count < MAX_ELEMENTS && !*closed; count++) {
        values[count] = read_element(at, vector, count);
        *closed = is_end(values[count]);
        if (is_known(values[count]) || values[count].origin_count > 0)
            known = count + 1;
    }
    /* Behind the last element that is known, all are as one. */
    unsigned listed = *closed ? count : known;
    bool some = false;
    for (unsigned i = 0; i < listed; i++)
        some |= add_position(at, values[i], (uint8_t)i, rule);
    if (!*closed && some)
        add_any_element(at, POSITION_REST, rule);
    return some;
}

static bool is_vector_base(const struct structure *at, struct element element) {
    return element.kind == ELEMENT_STACK || element.kind == ELEMENT_ADDRESS ||
           (element.kind == ELEMENT_INTEGER && at->analysis->object.type == ET_EXEC && element.value != 0);
}

void structure_vector(const struct structure *at, unsigned argument, bool listed, struct argument_rule *rule) {
    bool closed, known = true;
    struct vector vector = {.listed = listed, .argument = argument};
    if (listed) {
        if (!add_vector(at, &vector, rule, &closed))
            rules_any(rule, UNKNOWN_MEMORY);
        return;
    }
    struct abstract pointer = memory_argument(at->memory, at->instruction, argument);
    if (!is_known(pointer)) {
        rules_any(rule, why_unknown(pointer));
        return;
    }
    for (unsigned i = 0; i < pointer.count; i++) {
        vector.base = pointer.elements[i];
        if (vector.base.kind == ELEMENT_INTEGER && vector.base.value == 0) {
            rules_add(rule, (struct rule_value){.kind = RULE_NULL});
            continue;
        }
        /* An open vector beside another one: its elements would have to be free at all positions of the other. */
        known = is_vector_base(at, vector.base) && add_vector(at, &vector, rule, &closed) &&
                (closed || pointer.count == 1) && known;
    }
    if (!known)
        rules_any(rule, pointer.elements[0].kind == ELEMENT_STACK ? UNKNOWN_LOCAL_BUFFER : UNKNOWN_GLOBAL);
}
