/* What a policy still lets attackers do: for each behaviour of behaviours.def whether every step has a way, and whose. */
#ifndef PINION_POLICYGEN_BEHAVIOUR_H
#define PINION_POLICYGEN_BEHAVIOUR_H

#include "runtime/document.h"

enum ability {
#define ABILITY(name, ...) ABILITY_##name,
#include "policygen/behaviours.def"
    ABILITY_COUNT
};

enum behaviour {
#define BEHAVIOUR(name, ...) BEHAVIOUR_##name,
#include "policygen/behaviours.def"
    BEHAVIOUR_COUNT
};

#define MAX_STEPS 4

struct behaviour_row {
    const char *name, *text;
    uint8_t steps[MAX_STEPS]; /* enum ability */
    uint8_t step_count;
};

extern const struct behaviour_row behaviour_table[BEHAVIOUR_COUNT];

enum strength {
    STRENGTH_NO,
    STRENGTH_LOOSE, /* only from places that cannot be listed: through pointers, tail calls, names unknown to dlsym */
    STRENGTH_YES,   /* from a call site */
};

/* Who has an ability. */
struct holder {
    const struct module *module; /* NULL: all of the program */
    const struct site *site;     /* NULL: no listed one */
    uint16_t api;
    enum strength strength;
    const char
        *weakness; /* why it may, where not by a rule of the site; NULL otherwise. Lives as long as the document */
};

struct holders {
    struct holder *items; /* the strongest first */
    size_t count;
};

struct exposure {
    const struct document *document;
    struct holders abilities[ABILITY_COUNT];
};

void exposure_find(const struct document *document, struct exposure *exposure);
void exposure_free(struct exposure *exposure);

const char *ability_text(enum ability ability);
enum strength ability_strength(const struct exposure *exposure, enum ability ability);
/* That of its weakest step. */
enum strength behaviour_strength(const struct exposure *exposure, enum behaviour behaviour);

#endif
