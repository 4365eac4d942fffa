/* What `doctor`, `run` and `check` find: a list of sentences, each with a stable word for machines and a weight. */
#ifndef PINION_TOOLS_FINDINGS_H
#define PINION_TOOLS_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum weight {
    WEIGHT_NOTE,          /* good to know */
    WEIGHT_WARNING,       /* protected, but less than one may think */
    WEIGHT_STALE,         /* the policy is damaged or for another build */
    WEIGHT_MISSING,       /* there is none */
    WEIGHT_UNPROTECTABLE, /* the shim cannot protect this program */
};

struct finding {
    enum weight weight;
    const char *word; /* "static", "no-policy", ...: part of the interface */
    char *text;
};

struct findings {
    struct finding *items;
    size_t count;
};

void findings_add(struct findings *findings, enum weight weight, const char *word, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void findings_free(struct findings *findings);
enum weight findings_worst(const struct findings *findings);
bool findings_has(const struct findings *findings, const char *word);
void findings_print(const struct findings *findings);
json_t *findings_json(const struct findings *findings);

#endif
