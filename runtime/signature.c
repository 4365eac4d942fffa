/* See signature.h. Selects a few calls out of some hundred, several times over: no sorting, no memory. */
#include "runtime/signature.h"

#include <stdbool.h>
#include <stddef.h>

static int compare_names(const char *a, const char *b) {
    while (*a != '\0' && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static size_t name_length(const char *name) {
    size_t length = 0;
    while (name[length] != '\0')
        length++;
    return length;
}

/* Whether call `a` stands before call `b`. */
static bool before(const struct signature_input *input, unsigned a, unsigned b) {
    if (input->counts[a] != input->counts[b])
        return input->counts[a] > input->counts[b];
    return compare_names(input->name(input->context, a), input->name(input->context, b)) < 0;
}

/* The calls that stand first, at most `room`; of those only that were never seen, if so asked. */
static unsigned pick(const struct signature_input *input, bool never_seen_only, uint16_t *picked, unsigned room) {
    unsigned count = 0;
    for (unsigned call = 0; call < input->count; call++) {
        if (input->counts[call] == 0 || (never_seen_only && input->seen[call]))
            continue;
        unsigned place = count;
        while (place > 0 && before(input, call, picked[place - 1]))
            place--;
        if (place == room)
            continue;
        count += count < room;
        for (unsigned i = count - 1; i > place; i--)
            picked[i] = picked[i - 1];
        picked[place] = (uint16_t)call;
    }
    return count;
}

static unsigned count_never_seen(const struct signature_input *input) {
    unsigned count = 0;
    for (unsigned call = 0; call < input->count; call++)
        count += input->counts[call] > 0 && !input->seen[call];
    return count;
}

void signature_make(struct signature *signature, const struct signature_input *input, unsigned top) {
    struct sha256 hash;
    sha256_begin(&hash);
    signature->top_count = (uint8_t)pick(input, false, signature->top, top);
    for (unsigned i = 0; i < signature->top_count; i++) {
        const char *name = input->name(input->context, signature->top[i]);
        sha256_add(&hash, name, name_length(name));
        sha256_add(&hash, "\n", 1);
    }
    sha256_end(&hash, signature->digest);
    signature->never_seen_count = (uint8_t)pick(input, true, signature->never_seen, SIGNATURE_NEVER_SEEN_MOST);
    signature->never_seen_total = (uint16_t)count_never_seen(input);
}

/* A call whose count hardly varied in training is measured by a least deviation instead, 0.2 of the natural logarithm:
 * one call more or less then is no rise. The scale is the same for all calls and all programs. */
#define INVERSE_OF_LEAST_DEVIATION 227130
#define RISE_BEGINS 98304 /* 1.5 deviations */
#define HUNDREDTHS_PER_DEVIATION 10

unsigned signature_rise(int32_t log_count, int32_t mean, int32_t inverse_deviation) {
    int64_t inverse = inverse_deviation < INVERSE_OF_LEAST_DEVIATION ? inverse_deviation : INVERSE_OF_LEAST_DEVIATION;
    int64_t deviations = ((int64_t)log_count - mean) * inverse >> 16;
    int64_t rise = ((deviations - RISE_BEGINS) * HUNDREDTHS_PER_DEVIATION + (1 << 15)) >> 16;
    return rise <= 0 ? 0 : rise >= RISE_FULL ? RISE_FULL : (unsigned)rise;
}
