/* What functions of the C library do to memory that they are handed: what they write, and that they keep no address.
 * A function without a row may write to, and keep, whatever it can reach. Names that belong to the language and its
 * libraries only: a program may have an err() or a copy() of its own.
 */
#ifndef PINION_POLICYGEN_EFFECTS_H
#define PINION_POLICYGEN_EFFECTS_H

#include <stdbool.h>
#include <stdint.h>

#define EFFECT_MAX_WRITES 4

/* How the bytes that it writes come about; OTHER: nothing is known of them. The arguments stand at fixed places. */
enum effect_model {
    EFFECT_OTHER,
    EFFECT_FILL,                /* to, byte, size */
    EFFECT_COPY,                /* to, from, size */
    EFFECT_TEXT,                /* to, from */
    EFFECT_TEXT_PADDED,         /* to, from, size: strncpy */
    EFFECT_TEXT_CUT,            /* to, from, size: strlcpy */
    EFFECT_APPEND,              /* to, from */
    EFFECT_APPEND_PART,         /* to, from, most bytes of `from`: strncat */
    EFFECT_APPEND_CUT,          /* to, from, size of `to`: strlcat */
    EFFECT_PRINT,               /* to, format, ... */
    EFFECT_PRINT_CHECKED,       /* to, flag, size of the object, format, ... */
    EFFECT_PRINT_CUT,           /* to, size, format, ... */
    EFFECT_PRINT_CUT_CHECKED,   /* to, size, flag, size of the object, format, ... */
    EFFECT_NEW_TEXT,            /* from; returns a copy in new memory, or NULL */
    EFFECT_NEW_PRINT,           /* format, ...; returns the text in new memory, or NULL */
    EFFECT_LEAVE_PRINT,         /* where, format, ...; leaves the address of the text in new memory there */
    EFFECT_LEAVE_PRINT_CHECKED, /* where, flag, format, ... */
    EFFECT_SWAP16,              /* writes nothing: returns the argument's bytes in the other order */
    EFFECT_SWAP32,
};

enum effect_flags {
    EFFECT_OPEN = 1,    /* may run code of the program (streams have functions behind them) or wait for other threads */
    EFFECT_RETURNS = 2, /* the result may be one of the arguments, or point where one does */
    EFFECT_MOVES = 4,   /* pointers in memory that the second argument leads to get where the first one leads */
    EFFECT_SENDS = 8,   /* what is in memory that the arguments lead to may come back elsewhere */
    EFFECT_POINTS = 16, /* leaves the first argument, or an address behind it, where the second one leads */
    EFFECT_FIRST = 32,  /* the result is the first argument */
    EFFECT_OWN = 64,    /* known by its name also where the object itself defines and exports it */
};

enum effect_bound {
    BOUND_NOTHING,  /* no write */
    BOUND_BYTES,    /* at most so many */
    BOUND_ARGUMENT, /* at most as many as that argument says */
    BOUND_NONE,
};

struct effect_write {
    uint8_t argument;
    uint8_t bound; /* enum effect_bound */
    uint16_t amount;
};

struct effect {
    const char *name;
    uint8_t model;
    uint8_t flags;
    uint8_t format; /* which argument is a printf format, counted from 1; 0: none */
    struct effect_write writes[EFFECT_MAX_WRITES];
};

/* The row of a function, or NULL. */
const struct effect *effect_of(const char *name);

/* All rows, ordered by name. */
extern const struct effect effect_table[];
extern const unsigned effect_count;

#endif
