/* Evaluating constraints. Pure functions that the shim runs in every check: no library call, no write but to the own
 * stack, no recursion. Whatever they are handed by the application has been copied before.
 */
#include "runtime/rule.h"

#include <sys/socket.h>

#include "runtime/match.h"

#define UNIX_PATH_BYTES 108

static inline const int64_t *integers_of(const struct policy_header *policy,
                                         const struct policy_constraint *constraint) {
    return (const int64_t *)policy_section(policy, policy->integers) + constraint->first;
}

static inline const struct policy_string *strings_of(const struct policy_header *policy,
                                                     const struct policy_constraint *constraint) {
    return (const struct policy_string *)policy_section(policy, policy->strings) + constraint->first;
}

static inline const struct policy_address *addresses_of(const struct policy_header *policy,
                                                        const struct policy_constraint *constraint) {
    return (const struct policy_address *)policy_section(policy, policy->addresses) + constraint->first;
}

static inline bool has_strings(const struct policy_constraint *constraint) {
    return constraint->kind == CONSTRAINT_STRINGS || constraint->kind == CONSTRAINT_ARGV ||
           constraint->kind == CONSTRAINT_CHILDREN;
}

/* ---- Integers ---- */

bool rule_allows_integer(const struct policy_header *policy, const struct policy_constraint *constraint,
                         uint64_t value) {
    const int64_t *integers = integers_of(policy, constraint);
    int64_t integer = rule_integer(constraint->shape, value);
    switch (constraint->kind) {
    case CONSTRAINT_INTEGERS:
        for (uint32_t i = 0; i < constraint->count; i++)
            if (integers[i] == integer)
                return true;
        return false;
    case CONSTRAINT_RANGES:
        for (uint32_t i = 0; i < constraint->count; i += 2)
            if (integers[i] <= integer && integer <= integers[i + 1])
                return true;
        return false;
    case CONSTRAINT_MASK:
        for (uint32_t i = 0; i < constraint->count; i += 2)
            if ((integer & ~integers[i]) == integers[i + 1])
                return true;
        return false;
    default: return false;
    }
}

static uint64_t difference(int64_t a, int64_t b) {
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static int64_t nearest_mask(const int64_t *integers, uint32_t count, int64_t value) {
    int64_t best = -1;
    int best_bits = 65;
    for (uint32_t i = 0; i < count; i += 2) {
        int bits = 0; /* how many would have to change */
        for (uint64_t rest = (uint64_t)((value & ~integers[i]) ^ integers[i + 1]); rest != 0; rest &= rest - 1)
            bits++;
        if (bits < best_bits) {
            best_bits = bits;
            best = integers[i] != 0 ? i : (int64_t)i + 1;
        }
    }
    return best;
}

int64_t rule_nearest_integer(const struct policy_header *policy, const struct policy_constraint *constraint,
                             uint64_t value) {
    if (constraint->kind != CONSTRAINT_INTEGERS && constraint->kind != CONSTRAINT_RANGES &&
        constraint->kind != CONSTRAINT_MASK)
        return -1;
    const int64_t *integers = integers_of(policy, constraint);
    int64_t integer = rule_integer(constraint->shape, value);
    if (constraint->kind == CONSTRAINT_MASK) {
        int64_t best = nearest_mask(integers, constraint->count, integer);
        return best < 0 ? -1 : best + constraint->first;
    }
    int64_t best = -1;
    for (uint32_t i = 0; i < constraint->count; i++)
        if (best < 0 || difference(integers[i], integer) < difference(integers[best], integer))
            best = i;
    return best < 0 ? -1 : best + constraint->first;
}

/* ---- Strings ---- */

bool rule_allows_constant(const struct policy_header *policy, const struct policy_constraint *constraint,
                          uint64_t value, uint64_t bias) {
    if (constraint->kind == CONSTRAINT_ADDRESSES) {
        const struct policy_address *addresses = addresses_of(policy, constraint);
        for (uint32_t i = 0; value == 0 && i < constraint->count; i++)
            if (addresses[i].match == MATCH_NULL)
                return true;
        return false;
    }
    if (!has_strings(constraint))
        return false;
    const struct policy_string *strings = strings_of(policy, constraint);
    if (value == 0) {
        for (uint32_t i = 0; i < constraint->count; i++)
            if (strings[i].match == MATCH_NULL)
                return true;
        return false;
    }
    if (constraint->kind != CONSTRAINT_STRINGS)
        return false; /* a vector is no constant, its elements are */
    for (uint32_t i = 0; i < constraint->count; i++)
        if (strings[i].address != 0 && strings[i].match == MATCH_EXACT && value - bias == strings[i].address)
            return true;
    return false;
}

static bool matches_text(const char *wanted, size_t wanted_length, unsigned match, const char *text, size_t length) {
    switch (match) {
    case MATCH_EXACT:
        if (length != wanted_length)
            return false;
        for (size_t i = 0; i < length; i++)
            if (wanted[i] != text[i])
                return false;
        return true;
    case MATCH_PREFIX: return match_prefix(wanted, wanted_length, text, length);
    case MATCH_GLOB: return match_glob(wanted, wanted_length, text, length);
    default: return false;
    }
}

/* Which strings of an argv constraint apply at a position: those listed for it, else those for the rest. */
static unsigned position_in_force(const struct policy_string *strings, uint32_t count, unsigned position) {
    if (position < POSITION_REST)
        for (uint32_t i = 0; i < count; i++)
            if (strings[i].position == position && strings[i].match != MATCH_NULL)
                return position;
    return POSITION_REST;
}

bool rule_allows_text(const struct policy_header *policy, const struct policy_constraint *constraint, unsigned position,
                      const char *text, size_t length) {
    if (!has_strings(constraint))
        return false;
    const struct policy_string *strings = strings_of(policy, constraint);
    bool by_position = constraint->kind == CONSTRAINT_ARGV;
    unsigned in_force = by_position ? position_in_force(strings, constraint->count, position) : 0;
    for (uint32_t i = 0; i < constraint->count; i++) {
        if (by_position && strings[i].position != in_force)
            continue;
        if (matches_text(policy_text(policy, strings[i].text), strings[i].length, strings[i].match, text, length))
            return true;
    }
    return false;
}

static size_t common_start(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t i = 0;
    while (i < a_length && i < b_length && a[i] == b[i])
        i++;
    return i;
}

int64_t rule_nearest_text(const struct policy_header *policy, const struct policy_constraint *constraint,
                          const char *text, size_t length) {
    if (!has_strings(constraint))
        return -1;
    const struct policy_string *strings = strings_of(policy, constraint);
    int64_t best = -1;
    size_t best_common = 0;
    uint64_t best_difference = 0;
    for (uint32_t i = 0; i < constraint->count; i++) {
        if (strings[i].match == MATCH_NULL && best >= 0)
            continue;
        size_t common = common_start(policy_text(policy, strings[i].text), strings[i].length, text, length);
        uint64_t apart = difference(strings[i].length, (int64_t)length);
        if (best < 0 || strings[best].match == MATCH_NULL || common > best_common ||
            (common == best_common && apart < best_difference)) {
            best = i;
            best_common = common;
            best_difference = apart;
        }
    }
    return best < 0 ? -1 : best + constraint->first;
}

/* ---- Socket addresses ---- */

struct read_address {
    uint16_t family, port;
    const unsigned char *host;
    size_t host_length;
    char path[UNIX_PATH_BYTES + 1];
    size_t path_length;
    bool good;
};

static uint16_t big_endian(const unsigned char *bytes) {
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

/* An abstract name gets '@' for its leading NUL and loses the padding behind; a path is normalised. A path that
 * itself begins with '@' would read like an abstract name and so matches nothing. */
static void read_unix_path(struct read_address *address, const unsigned char *bytes, size_t length) {
    if (length > UNIX_PATH_BYTES)
        length = UNIX_PATH_BYTES;
    address->good = true;
    if (length == 0)
        return;
    for (size_t i = 0; i < length; i++)
        address->path[i] = (char)bytes[i];
    if (bytes[0] == '\0') {
        address->path[0] = '@';
        while (length > 1 && address->path[length - 1] == '\0')
            length--;
        address->path_length = length;
        return;
    }
    while (address->path_length < length && address->path[address->path_length] != '\0')
        address->path_length++;
    address->path_length = path_normalise(address->path, address->path_length);
    address->good = bytes[0] != '@';
}

static void read_host(struct read_address *address, const unsigned char *bytes, size_t length, size_t host,
                      size_t host_length) {
    if (length < host + host_length)
        return;
    address->port = big_endian(bytes + 2);
    address->host = bytes + host;
    address->host_length = host_length;
    address->good = true;
}

static void read_address(struct read_address *address, const void *data, size_t length) {
    const unsigned char *bytes = data;
    address->good = false;
    address->host = NULL;
    address->host_length = 0;
    address->port = 0;
    address->path_length = 0;
    if (length < 2)
        return;
    address->family = (uint16_t)(bytes[0] | bytes[1] << 8);
    switch (address->family) {
    case AF_INET: read_host(address, bytes, length, 4, 4); break;
    case AF_INET6: read_host(address, bytes, length, 8, 16); break;
    case AF_UNIX: read_unix_path(address, bytes + 2, length - 2); break;
    default: address->good = true; break;
    }
}

static bool same_host(const struct policy_address *allowed, const struct read_address *address) {
    for (size_t i = 0; i < address->host_length; i++)
        if (allowed->host[i] != address->host[i])
            return false;
    return true;
}

static bool matches_address(const struct policy_header *policy, const struct policy_address *allowed,
                            const struct read_address *address) {
    if (allowed->match == MATCH_NULL || allowed->family != address->family)
        return false;
    if (address->family == AF_UNIX)
        return matches_text(policy_text(policy, allowed->path), allowed->path_length, allowed->match, address->path,
                            address->path_length);
    if (address->host_length == 0)
        return true; /* of other families the family alone is compared */
    return ((allowed->flags & ADDRESS_ANY_HOST) != 0 || same_host(allowed, address)) &&
           ((allowed->flags & ADDRESS_ANY_PORT) != 0 || allowed->port == address->port);
}

bool rule_allows_end(const struct policy_header *policy, const struct policy_constraint *constraint, unsigned count) {
    const struct policy_string *strings = strings_of(policy, constraint);
    bool complete = true;
    for (uint32_t i = 0; i < constraint->count; i++) {
        if (strings[i].match == MATCH_NULL && strings[i].position == count)
            return true;
        if (strings[i].match != MATCH_NULL && strings[i].position != POSITION_REST && strings[i].position >= count)
            complete = false;
    }
    return complete;
}

bool rule_allows_address(const struct policy_header *policy, const struct policy_constraint *constraint,
                         const void *address, size_t length) {
    if (constraint->kind != CONSTRAINT_ADDRESSES)
        return false;
    if (address == NULL)
        return rule_allows_constant(policy, constraint, 0, 0);
    struct read_address read;
    read_address(&read, address, length);
    const struct policy_address *addresses = addresses_of(policy, constraint);
    for (uint32_t i = 0; read.good && i < constraint->count; i++)
        if (matches_address(policy, &addresses[i], &read))
            return true;
    return false;
}

/* The more of family, host and port agree, the nearer. */
static unsigned likeness(const struct policy_header *policy, const struct policy_address *allowed,
                         const struct read_address *address) {
    if (allowed->match == MATCH_NULL)
        return 0;
    if (allowed->family != address->family)
        return 1;
    if (address->family == AF_UNIX)
        return 2 + (unsigned)common_start(policy_text(policy, allowed->path), allowed->path_length, address->path,
                                          address->path_length);
    bool host = (allowed->flags & ADDRESS_ANY_HOST) != 0 || same_host(allowed, address);
    bool port = (allowed->flags & ADDRESS_ANY_PORT) != 0 || allowed->port == address->port;
    return 2 + 2 * host + port;
}

int64_t rule_nearest_address(const struct policy_header *policy, const struct policy_constraint *constraint,
                             const void *address, size_t length) {
    if (constraint->kind != CONSTRAINT_ADDRESSES || constraint->count == 0)
        return -1;
    if (address == NULL)
        return constraint->first;
    struct read_address read;
    read_address(&read, address, length);
    const struct policy_address *addresses = addresses_of(policy, constraint);
    uint32_t best = 0;
    unsigned best_likeness = 0;
    for (uint32_t i = 0; read.good && i < constraint->count; i++) {
        unsigned like = likeness(policy, &addresses[i], &read);
        if (like > best_likeness) {
            best_likeness = like;
            best = i;
        }
    }
    return (int64_t)best + constraint->first;
}
