/* Texts of which parts are known: what printf, strcpy and their kin make of constant templates, and the patterns that
 * allow exactly that. Pure functions; nothing here knows of programs.
 */
#ifndef PINION_POLICYGEN_TEMPLATE_H
#define PINION_POLICYGEN_TEMPLATE_H

#include "policygen/value.h"

#define TEMPLATE_MAX_PIECES 1024
#define TEMPLATE_MAX_TEXTS 8
#define TEMPLATE_UNBOUNDED UINT32_MAX

enum piece_kind {
    PIECE_BYTE,
    PIECE_DIGITS, /* an optional '-' and digits */
    PIECE_WORD,   /* some bytes without '/', never "." or ".." */
    PIECE_ANY,    /* anything, nothing included */
};

struct piece {
    uint8_t kind;
    char byte;
    uint32_t longest; /* bytes */
};

struct template {
    const struct piece *pieces; /* in an arena */
    size_t count;
    uint32_t longest; /* bytes of a text; TEMPLATE_UNBOUNDED: not known */
};

/* Alternatives. None of them stands for "nothing is known": that is one piece that is ANY. */
struct templates {
    struct template items[TEMPLATE_MAX_TEXTS];
    unsigned count;
};

struct template template_text(struct arena *arena, const char *text, size_t length);
struct template template_piece(struct arena *arena, enum piece_kind kind, uint32_t longest);
/* One behind the other; ANY where that gets too long. */
struct template template_join(struct arena *arena, struct template a, struct template b);
bool template_is_any(struct template template);

void templates_any(struct arena *arena, struct templates *templates);
/* Adds an alternative; ANY alone is left where there are too many. */
void templates_add(struct arena *arena, struct templates *templates, struct template template);
/* Each of `left` with each of `right` behind it. */
void templates_join(struct arena *arena, struct templates *left, const struct templates *right);
/* What is left of the alternatives in a buffer of `room` bytes, the NUL included, when what does not fit is cut off. */
void templates_cut(struct arena *arena, struct templates *templates, uint64_t room);

/* One conversion of a printf format. */
struct conversion {
    enum piece_kind kind;
    uint32_t longest;
    char letter;       /* 's', 'c' and '%' are for the caller; 'm' takes no argument */
    unsigned stars;    /* integers that are passed before the value: width, precision */
    bool floating;     /* the value is passed in a vector register */
    int64_t precision; /* of 's': at most so many bytes; -1: none */
    const char *end;
};

/* Reads the conversion that begins at the '%'. Returns false for what is not understood, or not certain. */
bool template_conversion(const char *format, struct conversion *conversion);
/* Whether a format may write through its arguments ("%n"). */
bool template_counts(const char *format);

/* The patterns of match.h, in `texts` and owned by the caller, that allow what the template allows; a text without wild
 * cards stands for itself and is told by `exact`. A path is compared after "//" and "/./" are removed, so its patterns
 * allow what is left then. Returns how many, at most 8; 0 where no pattern can be written. */
unsigned template_patterns(struct template template, bool path, char *texts[TEMPLATE_MAX_TEXTS],
                           bool exact[TEMPLATE_MAX_TEXTS]);

#endif
