/* Folding observed facts into a policy: the rules of `pinion merge`.
 *
 * The result is a union. It does not depend on the order of records, and folding them in one after the other gives
 * the same as all at once:
 *   - a value becomes a pattern by itself alone (volatile.h, data directories), before it is added;
 *   - whether it must be added is judged by static and manual values, which folding never changes;
 *   - an argument is closed to learning if static analysis listed its values and nothing was learned there before.
 *     Folding makes no such argument: one that may be anything is closed only together with a learned value;
 *   - a static pattern with "%s" tells only what values look like: where arguments are closed to what was observed, learned
 *     values that fit take its place.
 */
#ifndef PINION_TOOLS_FOLD_H
#define PINION_TOOLS_FOLD_H

#include "runtime/document.h"
#include "tools/observed.h"

/* Which arguments that may be anything are closed to the values that were observed. */
enum pin {
    PIN_NONE,
    PIN_NAMES, /* paths, commands, names, argv, and the addresses of bind and connect */
    PIN_ALL,   /* numbers and all addresses as well; not descriptors, process and user ids */
};

struct fold_options {
    enum pin pin;
    bool children;           /* allow what was observed to start unprotected */
    const char *const *data; /* directories of the program's own data: paths below become DIR/ ** */
    size_t data_count;
};

enum note_kind {
    NOTE_MODULE,        /* a library the policy did not have */
    NOTE_SITE,          /* a site it did not have */
    NOTE_CLOSED,        /* an argument that could be anything is now closed */
    NOTE_VALUE,         /* a value was added */
    NOTE_PATTERN,       /* an observed value became a pattern */
    NOTE_CHILD,         /* a child that was started unprotected was allowed */
    NOTE_CONFLICT,      /* an observed value that the policy rules out; it was not added */
    NOTE_REFUSED_CHILD, /* a child that was started unprotected; it was not allowed */
    NOTE_COUNT,
};

struct note {
    enum note_kind kind;
    char *where; /* "nginx+0x1234:open, argument path" */
    char *text;
};

struct notes {
    struct note *items;
    size_t count;
    size_t by_kind[NOTE_COUNT];
};

/* Folds in every fact of document->identity. `observed` is sorted. */
void fold(struct document *document, const struct observed *observed, const struct fold_options *options,
          struct notes *notes);
void notes_free(struct notes *notes);

/* Whether the policy gained anything. */
bool notes_changed(const struct notes *notes);

#endif
