/* Templates are arrays of pieces in an arena. Where something would not be certain, or too much, it becomes ANY.
 */
#include "policygen/template.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/match.h"
#include "runtime/util.h"

static uint32_t add_lengths(uint64_t a, uint64_t b) {
    return a + b < TEMPLATE_UNBOUNDED ? (uint32_t)(a + b) : TEMPLATE_UNBOUNDED;
}

struct template template_text(struct arena *arena, const char *text, size_t length) {
    if (length > TEMPLATE_MAX_PIECES)
        return template_piece(arena, PIECE_ANY, TEMPLATE_UNBOUNDED);
    struct piece *pieces = arena_take(arena, (length + 1) * sizeof *pieces);
    for (size_t i = 0; i < length; i++)
        pieces[i] = (struct piece){.kind = PIECE_BYTE, .byte = text[i], .longest = 1};
    return (struct template){pieces, length, (uint32_t)length};
}

struct template template_piece(struct arena *arena, enum piece_kind kind, uint32_t longest) {
    struct piece *piece = arena_take(arena, sizeof *piece);
    *piece = (struct piece){.kind = (uint8_t)kind, .longest = longest};
    return (struct template){piece, 1, longest};
}

struct template template_join(struct arena *arena, struct template a, struct template b) {
    if (a.count == 0)
        return b;
    if (b.count == 0)
        return a;
    if (a.count + b.count > TEMPLATE_MAX_PIECES)
        return template_piece(arena, PIECE_ANY, TEMPLATE_UNBOUNDED);
    struct piece *pieces = arena_take(arena, (a.count + b.count) * sizeof *pieces);
    memcpy(pieces, a.pieces, a.count * sizeof *pieces);
    memcpy(pieces + a.count, b.pieces, b.count * sizeof *pieces);
    return (struct template){pieces, a.count + b.count, add_lengths(a.longest, b.longest)};
}

bool template_is_any(struct template template) {
    return template.count == 1 && template.pieces[0].kind == PIECE_ANY;
}

/* ---- Alternatives ---- */

void templates_any(struct arena *arena, struct templates *templates) {
    templates->items[0] = template_piece(arena, PIECE_ANY, TEMPLATE_UNBOUNDED);
    templates->count = 1;
}

static bool same(struct template a, struct template b) {
    if (a.count != b.count || a.longest != b.longest)
        return false;
    for (size_t i = 0; i < a.count; i++) {
        if (a.pieces[i].kind != b.pieces[i].kind || a.pieces[i].byte != b.pieces[i].byte ||
            a.pieces[i].longest != b.pieces[i].longest)
            return false;
    }
    return true;
}

void templates_add(struct arena *arena, struct templates *templates, struct template template) {
    for (unsigned i = 0; i < templates->count; i++) {
        if (same(templates->items[i], template))
            return;
    }
    if (templates->count == TEMPLATE_MAX_TEXTS)
        templates_any(arena, templates);
    else
        templates->items[templates->count++] = template;
}

void templates_join(struct arena *arena, struct templates *left, const struct templates *right) {
    struct templates joined = {.count = 0};
    if ((size_t)left->count * right->count > TEMPLATE_MAX_TEXTS) {
        templates_any(arena, left);
        return;
    }
    for (unsigned i = 0; i < left->count; i++) {
        for (unsigned j = 0; j < right->count; j++)
            templates_add(arena, &joined, template_join(arena, left->items[i], right->items[j]));
    }
    *left = joined;
}

static uint32_t shortest(struct piece piece) {
    return piece.kind == PIECE_ANY ? 0 : 1;
}

/* The beginnings of a template that are just as long as there is room for. True where one of them may go on with
 * anything, which the whole then is one of. */
static bool add_beginnings(struct arena *arena, struct templates *cut, struct template template, uint32_t length) {
    uint64_t least = 0, most = 0;
    for (size_t i = 0; i < template.count && least <= length; i++) {
        struct piece piece = template.pieces[i];
        struct template beginning = {template.pieces, i, length};
        bool ends_here = most >= length;
        most = add_lengths(most, piece.longest);
        least += shortest(piece);
        if (ends_here && piece.kind != PIECE_ANY)
            templates_add(arena, cut, beginning);
        if (piece.kind == PIECE_BYTE || most < length)
            continue;
        enum piece_kind kind = piece.kind == PIECE_ANY ? PIECE_ANY : PIECE_WORD;
        beginning = template_join(arena, beginning, template_piece(arena, kind, piece.longest));
        beginning.longest = length;
        templates_add(arena, cut, beginning);
        if (piece.kind == PIECE_ANY)
            return true;
    }
    return false;
}

static uint64_t shortest_text(struct template template) {
    uint64_t least = 0;
    for (size_t i = 0; i < template.count; i++)
        least += shortest(template.pieces[i]);
    return least;
}

void templates_cut(struct arena *arena, struct templates *templates, uint64_t room) {
    struct templates cut = {.count = 0};
    if (room == 0) {
        templates_any(arena, templates);
        return;
    }
    for (unsigned i = 0; i < templates->count; i++) {
        struct template whole = templates->items[i];
        bool fits = whole.longest < room;
        if (fits || room > TEMPLATE_UNBOUNDED) {
            templates_add(arena, &cut, whole);
            continue;
        }
        bool open = add_beginnings(arena, &cut, whole, (uint32_t)(room - 1));
        whole.longest = (uint32_t)(room - 1);
        if (!open && shortest_text(whole) < room)
            templates_add(arena, &cut, whole);
    }
    *templates = cut;
}

/* ---- Formats ---- */

struct flags {
    bool left, sign, alternative, zero, grouped;
};

static const char *read_flags(const char *at, struct flags *flags) {
    *flags = (struct flags){0};
    for (;; at++) {
        switch (*at) {
        case '-': flags->left = true; break;
        case '+':
        case ' ': flags->sign = true; break;
        case '#': flags->alternative = true; break;
        case '0': flags->zero = true; break;
        case '\'':
        case 'I': flags->grouped = true; break;
        default: return at;
        }
    }
}

/* A number, or a star, for which the number is an argument: -2. None: -1. */
static const char *read_number(const char *at, int64_t *number, unsigned *stars) {
    *number = -1;
    if (*at == '*') {
        *number = -2;
        ++*stars;
        return at + 1;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        *number = (*number < 0 ? 0 : *number) * 10 + (*at - '0');
        if (*number > TEMPLATE_MAX_PIECES)
            *number = TEMPLATE_MAX_PIECES;
    }
    return at;
}

static const char *read_size(const char *at, unsigned *bytes, bool *large, bool *wide) {
    static const struct {
        char text[3];
        uint8_t bytes;
    } sizes[] = {{"hh", 1}, {"h", 2}, {"ll", 8}, {"l", 8}, {"q", 8}, {"j", 8}, {"z", 8}, {"Z", 8}, {"t", 8}, {"L", 8}};
    *bytes = 4;
    *large = *at == 'L' || *at == 'q' || strncmp(at, "ll", 2) == 0;
    *wide = *at == 'l';
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t length = strlen(sizes[i].text);
        if (strncmp(at, sizes[i].text, length) == 0) {
            *bytes = sizes[i].bytes;
            return at + length;
        }
    }
    return at;
}

static uint32_t digits_of(unsigned bytes, bool hexadecimal) {
    static const uint8_t decimal[] = {[1] = 4, [2] = 6, [4] = 11, [8] = 20};
    return hexadecimal ? 2 * bytes + 2 : decimal[bytes];
}

static void describe_number(struct conversion *conversion, const struct flags *flags, int64_t width, int64_t precision,
                            unsigned bytes) {
    bool hexadecimal = strchr("xX", conversion->letter) != NULL;
    bool octal = conversion->letter == 'o';
    bool padded = width != -1 && (!flags->zero || flags->left || width == -2 || precision != -1);
    conversion->kind = hexadecimal || flags->sign || padded ? PIECE_WORD : PIECE_DIGITS;
    /* Zero with no digits at all prints nothing, and what separates groups is the locale's. */
    if (precision == 0 || precision == -2 || flags->grouped)
        conversion->kind = PIECE_ANY;
    uint32_t longest = octal ? 3 * bytes + 2 : digits_of(bytes, hexadecimal);
    if (width > longest)
        longest = (uint32_t)width;
    if (precision + 2 > longest)
        longest = (uint32_t)precision + 2;
    conversion->longest = width == -2 || precision == -2 || flags->grouped ? TEMPLATE_UNBOUNDED : longest;
}

bool template_conversion(const char *format, struct conversion *conversion) {
    struct flags flags;
    int64_t width, precision = -1;
    unsigned bytes;
    bool large, wide;
    *conversion = (struct conversion){.precision = -1};
    const char *at = read_flags(format + 1, &flags);
    at = read_number(at, &width, &conversion->stars);
    if (*at == '.') {
        at = read_number(at + 1, &precision, &conversion->stars);
        if (precision == -1)
            precision = 0;
    }
    at = read_size(at, &bytes, &large, &wide);
    conversion->letter = *at;
    conversion->end = at + 1;
    conversion->kind = PIECE_ANY;
    conversion->longest = TEMPLATE_UNBOUNDED;
    switch (*at) {
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X': describe_number(conversion, &flags, width, precision, bytes); return true;
    case 'p':
        conversion->kind = PIECE_WORD;
        conversion->longest = width == -2 ? TEMPLATE_UNBOUNDED : width > 18 ? (uint32_t)width : 18;
        return true;
    case 'a':
    case 'A':
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        conversion->floating = true;
        conversion->kind = flags.grouped ? PIECE_ANY : PIECE_WORD;
        return !large; /* a long double is passed on the stack */
    case 's':
        conversion->precision = precision == -2 ? -1 : precision;
        /* Padding is not looked at: whatever has it is ANY. */
        if (width != -1 || precision == -2)
            conversion->letter = 'S';
        return !wide;
    case 'c':
        if (width != -1)
            conversion->letter = 'S';
        return !wide;
    case 'm': return true;
    case '%': return at == format + 1;
    default: return false;
    }
}

bool template_counts(const char *format) {
    for (const char *at = strchr(format, '%'); at != NULL; at = strchr(at, '%')) {
        struct conversion conversion;
        bool understood = template_conversion(at, &conversion);
        if (!understood && (conversion.letter == 'n' || strchr(at, 'n') != NULL))
            return true;
        at = understood ? conversion.end : at + 1;
    }
    return false;
}

/* ---- Patterns ---- */

/* Pieces that are being worked on. */
struct draft {
    struct piece pieces[TEMPLATE_MAX_PIECES];
    size_t count;
};

static bool is_byte(const struct draft *draft, size_t i, char byte) {
    return i < draft->count && draft->pieces[i].kind == PIECE_BYTE && draft->pieces[i].byte == byte;
}

static bool is_any(const struct draft *draft, size_t i) {
    return i < draft->count && draft->pieces[i].kind == PIECE_ANY;
}

static void drop(struct draft *draft, size_t i, size_t count) {
    memmove(&draft->pieces[i], &draft->pieces[i + count], (draft->count - i - count) * sizeof draft->pieces[0]);
    draft->count -= count;
}

/* A dot that, with what stands beside it, may be a component of its own and so be removed: what may be anything stands
 * for it too. */
static bool may_vanish(const struct draft *draft, size_t i) {
    bool left = i > 0 && (is_any(draft, i - 1) || is_byte(draft, i - 1, '/'));
    bool right = is_any(draft, i + 1) || is_byte(draft, i + 1, '/');
    return is_byte(draft, i, '.') && left && right;
}

static void normalise(struct draft *draft) {
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < draft->count; i++) {
            bool doubled =
                (is_any(draft, i) && is_any(draft, i + 1)) || (is_byte(draft, i, '/') && is_byte(draft, i + 1, '/'));
            if (doubled || may_vanish(draft, i)) {
                drop(draft, i, 1);
                changed = true;
            }
        }
    }
}

static void join_neighbours(struct draft *draft) {
    for (size_t i = 0; i + 1 < draft->count;) {
        if (is_any(draft, i) && is_any(draft, i + 1))
            drop(draft, i, 1);
        else
            i++;
    }
}

static bool may_be_empty_component(const struct draft *draft, size_t i) {
    return i > 0 && is_any(draft, i) && is_byte(draft, i - 1, '/') && is_byte(draft, i + 1, '/');
}

/* ".." as a component is matched by patterns with "%s" alone. */
static bool names_parent(const struct draft *draft) {
    for (size_t i = 0; i + 1 < draft->count; i++) {
        if (is_byte(draft, i, '.') && is_byte(draft, i + 1, '.') && (i == 0 || is_byte(draft, i - 1, '/')) &&
            (i + 2 == draft->count || is_byte(draft, i + 2, '/')))
            return true;
    }
    return false;
}

static char *write_pattern(const struct draft *draft, bool *exact) {
    cleanup_free char *text = xmalloc(2 * draft->count + 1);
    size_t length = 0;
    bool climbs = names_parent(draft);
    *exact = true;
    for (size_t i = 0; i < draft->count; i++)
        *exact = *exact && draft->pieces[i].kind == PIECE_BYTE;
    for (size_t i = 0; i < draft->count; i++) {
        static const char *const wild[] = {[PIECE_DIGITS] = "%d", [PIECE_WORD] = "*", [PIECE_ANY] = "%s"};
        char byte = draft->pieces[i].byte;
        if (draft->pieces[i].kind == PIECE_BYTE) {
            if (!*exact && strchr("*?\\%", byte) != NULL)
                text[length++] = '\\';
            text[length++] = byte;
            continue;
        }
        /* Two stars in a row would be another wild card. */
        const char *put = wild[climbs ? PIECE_ANY : draft->pieces[i].kind];
        if (*put == '*' && length > 0 && text[length - 1] == '*' && draft->pieces[i - 1].kind == PIECE_WORD)
            continue;
        size_t bytes = strlen(put);
        memcpy(text + length, put, bytes);
        length += bytes;
    }
    text[length] = '\0';
    return length > MATCH_PATTERN_MAX ? NULL : xstrdup(text);
}

unsigned template_patterns(struct template template, bool path, char *texts[TEMPLATE_MAX_TEXTS],
                           bool exact[TEMPLATE_MAX_TEXTS]) {
    cleanup_free struct draft *draft = xmalloc(sizeof *draft), *other = xmalloc(sizeof *other);
    unsigned places = 0, count = 0;
    if (template.count > TEMPLATE_MAX_PIECES)
        return 0;
    memcpy(draft->pieces, template.pieces, template.count * sizeof draft->pieces[0]);
    draft->count = template.count;
    if (path)
        normalise(draft);
    else
        join_neighbours(draft);
    for (size_t i = 0; path && i < draft->count; i++)
        places += may_be_empty_component(draft, i);
    if (places > 3)
        return 0;
    for (unsigned empty = 0; empty < 1u << places; empty++) {
        *other = *draft;
        unsigned place = 0;
        for (size_t i = 0; path && i < other->count; i++) {
            if (may_be_empty_component(other, i) && (empty >> place++ & 1) != 0)
                drop(other, i--, 2);
        }
        texts[count] = write_pattern(other, &exact[count]);
        if (texts[count] == NULL) {
            while (count > 0)
                free(texts[--count]);
            return 0;
        }
        count++;
    }
    return count;
}
