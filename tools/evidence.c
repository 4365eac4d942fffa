/* Making evidence out of counts, exactly as the shim does. */
#include "tools/evidence.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/event.h"
#include "runtime/model.h"
#include "runtime/util.h"

void evidence_begin(struct evidence_builder *builder, const struct expectation *expectation) {
    *builder = (struct evidence_builder){
        .expectation = expectation,
        .totals = xcalloc(expectation->count + 1, sizeof *builder->totals),
        .rises = xcalloc(expectation->count + 1, sizeof *builder->rises),
    };
}

void evidence_add(struct evidence_builder *builder, const uint64_t *counts) {
    const struct expectation *expectation = builder->expectation;
    for (size_t call = 0; call < expectation->count; call++) {
        builder->totals[call] += counts[call];
        unsigned rise =
            signature_rise(model_log(counts[call]), expectation->mean[call], expectation->inverse_deviation[call]);
        if (builder->rises[call] < rise)
            builder->rises[call] = rise;
    }
}

static const char *name_of(const void *context, unsigned call) {
    return ((const struct expectation *)context)->names[call];
}

static void take_top(const struct evidence_builder *builder, unsigned top, struct evidence *evidence) {
    const struct expectation *expectation = builder->expectation;
    cleanup_free uint8_t *seen = xcalloc(expectation->count + 1, 1);
    for (size_t call = 0; call < expectation->count; call++)
        seen[call] = expectation->seen[call];
    struct signature signature;
    signature_make(&signature,
                   &(struct signature_input){.count = (unsigned)expectation->count,
                                             .name = name_of,
                                             .context = expectation,
                                             .counts = builder->totals,
                                             .seen = seen},
                   top);
    memcpy(evidence->digest, signature.digest, sizeof evidence->digest);
    for (size_t i = 0; i < signature.top_count; i++)
        *array_append(evidence->top, evidence->top_count) = xstrdup(expectation->names[signature.top[i]]);
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_risen(const void *a, const void *b) {
    return strcmp(((const struct risen_call *)a)->name, ((const struct risen_call *)b)->name);
}

static void sort_names(struct evidence *evidence) {
    if (evidence->never_seen_count > 0)
        qsort(evidence->never_seen, evidence->never_seen_count, sizeof *evidence->never_seen, compare_names);
    if (evidence->risen_count > 0)
        qsort(evidence->risen, evidence->risen_count, sizeof *evidence->risen, compare_risen);
}

void evidence_end(struct evidence_builder *builder, unsigned top, struct evidence *evidence) {
    const struct expectation *expectation = builder->expectation;
    *evidence = (struct evidence){0};
    take_top(builder, top, evidence);
    for (size_t call = 0; call < expectation->count; call++) {
        if (builder->totals[call] > 0 && !expectation->seen[call])
            *array_append(evidence->never_seen, evidence->never_seen_count) = xstrdup(expectation->names[call]);
        if (builder->rises[call] > 0)
            *array_append(evidence->risen, evidence->risen_count) =
                (struct risen_call){xstrdup(expectation->names[call]), builder->rises[call]};
    }
    sort_names(evidence);
    free(builder->totals);
    free(builder->rises);
}

void evidence_of_event(const struct event *event, struct evidence *evidence) {
    *evidence = (struct evidence){0};
    memcpy(evidence->digest, event->signature, sizeof evidence->digest);
    for (unsigned i = 0; i < event->top_count; i++)
        *array_append(evidence->top, evidence->top_count) = xstrdup(event->top[i]);
    for (unsigned i = 0; i < event->never_seen_count; i++)
        *array_append(evidence->never_seen, evidence->never_seen_count) = xstrdup(event->never_seen[i]);
    for (unsigned i = 0; i < event->risen_count; i++)
        *array_append(evidence->risen, evidence->risen_count) =
            (struct risen_call){xstrdup(event->risen[i]), event->rises[i]};
    sort_names(evidence);
}

static void free_names(char **names, size_t count) {
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

void evidence_free(struct evidence *evidence) {
    free_names(evidence->top, evidence->top_count);
    free_names(evidence->never_seen, evidence->never_seen_count);
    for (size_t i = 0; i < evidence->risen_count; i++)
        free(evidence->risen[i].name);
    free(evidence->risen);
    *evidence = (struct evidence){0};
}

void evidence_copy(struct evidence *to, const struct evidence *from) {
    *to = (struct evidence){0};
    memcpy(to->digest, from->digest, sizeof to->digest);
    for (size_t i = 0; i < from->top_count; i++)
        *array_append(to->top, to->top_count) = xstrdup(from->top[i]);
    for (size_t i = 0; i < from->never_seen_count; i++)
        *array_append(to->never_seen, to->never_seen_count) = xstrdup(from->never_seen[i]);
    for (size_t i = 0; i < from->risen_count; i++)
        *array_append(to->risen, to->risen_count) =
            (struct risen_call){xstrdup(from->risen[i].name), from->risen[i].rise};
}

static bool equal_names(char *const *a, size_t a_count, char *const *b, size_t b_count) {
    for (size_t i = 0; i < a_count && a_count == b_count; i++)
        if (strcmp(a[i], b[i]) != 0)
            return false;
    return a_count == b_count;
}

bool evidence_equal(const struct evidence *a, const struct evidence *b) {
    if (!equal_names(a->top, a->top_count, b->top, b->top_count) || a->risen_count != b->risen_count ||
        !equal_names(a->never_seen, a->never_seen_count, b->never_seen, b->never_seen_count))
        return false;
    for (size_t i = 0; i < a->risen_count; i++)
        if (strcmp(a->risen[i].name, b->risen[i].name) != 0 || a->risen[i].rise != b->risen[i].rise)
            return false;
    return true;
}

/* ---- digests as text ---- */

void digest_format(const uint8_t digest[SHA256_BYTES], char text[DIGEST_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[DIGEST_TEXT_BYTES - 1] = '\0';
}

bool digest_parse(const char *text, uint8_t digest[SHA256_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    if (strlen(text) != DIGEST_TEXT_BYTES - 1 || strspn(text, digits) != DIGEST_TEXT_BYTES - 1)
        return false;
    for (size_t i = 0; i < SHA256_BYTES; i++)
        digest[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 | (strchr(digits, text[2 * i + 1]) - digits));
    return true;
}

void digest_of(char *const *names, size_t count, uint8_t digest[SHA256_BYTES]) {
    struct sha256 hash;
    sha256_begin(&hash);
    for (size_t i = 0; i < count; i++) {
        sha256_add(&hash, names[i], strlen(names[i]));
        sha256_add(&hash, "\n", 1);
    }
    sha256_end(&hash, digest);
}
