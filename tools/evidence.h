/* What the intervals in alarm tell about an attack: which calls rose, how much beyond what training knows, which were
 * never seen there, and the digest of the most frequent ones.
 */
#ifndef PINION_TOOLS_EVIDENCE_H
#define PINION_TOOLS_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/signature.h"

/* What training knows of each call. The names may stand in any order, but each only once. */
struct expectation {
    size_t count;
    const char *const *names;
    const int32_t *mean; /* of the logarithm of 1 + the call's count in an interval, as in runtime/model.h */
    const int32_t *inverse_deviation;
    const bool *seen; /* the call occurred at all */
};

/* A call that rose, and how much it did in some interval. */
struct risen_call {
    char *name;
    unsigned rise; /* as signature_rise: 1 to RISE_FULL */
};

struct evidence {
    uint8_t digest[SHA256_BYTES]; /* as struct signature has it */
    char **top;                   /* the calls of the digest, most frequent first */
    size_t top_count;
    char **never_seen; /* ordered by name */
    size_t never_seen_count;
    struct risen_call *risen; /* ordered by name */
    size_t risen_count;
};

/* Collecting: each interval in alarm is added, and the evidence taken at the end. The expectation must outlive it. */
struct evidence_builder {
    const struct expectation *expectation;
    uint64_t *totals;
    unsigned *rises;
};

void evidence_begin(struct evidence_builder *builder, const struct expectation *expectation);
/* Counts in the order of the expectation. */
void evidence_add(struct evidence_builder *builder, const uint64_t *counts);
/* `top` as in signature_make. Releases the builder. */
void evidence_end(struct evidence_builder *builder, unsigned top, struct evidence *evidence);

/* What an event tells of an anomaly: the calls that rose most stand for all that rose. */
struct event;
void evidence_of_event(const struct event *event, struct evidence *evidence);

void evidence_free(struct evidence *evidence);
void evidence_copy(struct evidence *to, const struct evidence *from);
bool evidence_equal(const struct evidence *a, const struct evidence *b);

#define DIGEST_TEXT_BYTES (2 * SHA256_BYTES + 1)
void digest_format(const uint8_t digest[SHA256_BYTES], char text[DIGEST_TEXT_BYTES]);
/* 64 hexadecimal digits in lower case. */
bool digest_parse(const char *text, uint8_t digest[SHA256_BYTES]);

/* The digest of names in this order. */
void digest_of(char *const *names, size_t count, uint8_t digest[SHA256_BYTES]);

#endif
