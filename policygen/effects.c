/* Finds rows of effects.def. Nothing here knows of programs.
 */
#include "policygen/effects.h"

#include <stddef.h>
#include <string.h>

#define OPEN EFFECT_OPEN
#define RETURNS EFFECT_RETURNS
#define MOVES EFFECT_MOVES
#define SENDS EFFECT_SENDS
#define POINTS EFFECT_POINTS
#define FIRST EFFECT_FIRST
#define OWN EFFECT_OWN
#define W(argument, bound, amount) \
    { argument, BOUND_##bound, amount }

const struct effect effect_table[] = {
#define EFFECT(name, model, flags, format, ...) {#name, EFFECT_##model, flags, format, {__VA_ARGS__}},
#include "policygen/effects.def"
};

const unsigned effect_count = sizeof effect_table / sizeof effect_table[0];

const struct effect *effect_of(const char *name) {
    size_t low = 0, high = effect_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(effect_table[middle].name, name);
        if (order == 0)
            return &effect_table[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
