/* What people see of a recipe, trusted or not: in words and as JSON. */
#ifndef PINION_TOOLS_PATCH_RECIPE_VIEW_H
#define PINION_TOOLS_PATCH_RECIPE_VIEW_H

#include <jansson.h>

#include "tools/patch/recipe.h"

enum recipe_state {
    RECIPE_GOOD,
    RECIPE_EXPIRED, /* or from the future */
    RECIPE_UNSIGNED,
    RECIPE_UNKNOWN_KEY,
    RECIPE_BAD_SIGNATURE,
    RECIPE_MISNAMED,   /* signed, but as another file */
    RECIPE_UNREADABLE, /* no file, or no recipe */
};

struct recipe_look {
    enum recipe_state state;
    char *problem; /* NULL when good */
    bool parsed;   /* whether there is a recipe to show; else why not, if that is not `problem` */
    char *parse_problem;
    struct recipe recipe; /* not to be trusted unless the state is RECIPE_GOOD */
    char signer[17];      /* name of the key, or "" */
};

/* Reads the file once and says all that can be said of it at this time. */
void recipe_look(const char *path, const struct recipe_key *keys, size_t key_count, int64_t now,
                 struct recipe_look *look);
void recipe_look_free(struct recipe_look *look);
const char *recipe_state_word(enum recipe_state state); /* "good", "bad signature", ... */

void recipe_print(const struct recipe_look *look);
/* The recipe with its state; the keys are those of the text form. */
json_t *recipe_look_json(const struct recipe_look *look, const char *path);

/* "12.3 MiB" */
#define SIZE_TEXT_BYTES 32
void size_format(uint64_t bytes, char text[SIZE_TEXT_BYTES]);

#endif
