/* A new recipe out of what a command line says. */
#ifndef PINION_TOOLS_PATCH_RECIPE_NEW_H
#define PINION_TOOLS_PATCH_RECIPE_NEW_H

#include "tools/options.h"
#include "tools/patch/recipe.h"

struct recipe_wish {
    const char *name, *summary;
    unsigned serial, days;
    struct text_list cves, signatures;
    struct text_list violations; /* "BUILD-ID" or "BUILD-ID:API" */
    const char *package, *fixed;
    const char *method;     /* NULL: apt */
    struct text_list files; /* "PATH=FILE" */
    const char *archive;    /* a file */
    const char *source;     /* URL of the archive, or of the one file */
    struct text_list depends, commands;
    const char *script;        /* a file */
    struct text_list restarts; /* "PROGRAM" or "PROGRAM=HOW" */
};

/* The text, unsigned, under a comment that says what is still to be looked at; the caller frees. It parses. NULL and a
 * mistake that speaks of options. */
char *recipe_new(const struct recipe_wish *wish, int64_t now, struct mistake *mistake);

/* What any recipe may be told, of however it came about: summary (NULL without one), serial, dates, signatures,
 * violations and restarts. */
bool recipe_tell(struct recipe *recipe, const struct recipe_wish *wish, int64_t now, struct mistake *mistake);

/* The text of a recipe under the comment; lines of `advice` (NULL: none) begin with "# ". */
char *recipe_draft(const struct recipe *recipe, const char *advice);

#endif
