/* Comparing paths and patterns. The shim runs this on what an attacker may have written: no library call, no
 * recursion, time at most the product of both lengths.
 */
#include "runtime/match.h"

#include <stdint.h>

#define STATE_WORDS (MATCH_PATTERN_MAX / 64 + 1)

size_t path_normalise(char *path, size_t length) {
    size_t out = 0;
    for (size_t in = 0; in < length; in++) {
        if (path[in] == '/' && out > 0) {
            if (path[out - 1] == '/')
                continue;
            if (path[out - 1] == '.' && out > 1 && path[out - 2] == '/') {
                out--;
                continue;
            }
        }
        path[out++] = path[in];
    }
    return out;
}

bool match_has_dot_dot(const char *text, size_t length) {
    size_t component = 0; /* where the current one begins */
    for (size_t i = 0; i <= length; i++) {
        if (i < length && text[i] != '/')
            continue;
        if (i - component == 2 && text[component] == '.' && text[component + 1] == '.')
            return true;
        component = i + 1;
    }
    return false;
}

bool match_prefix(const char *prefix, size_t prefix_length, const char *text, size_t length) {
    if (prefix_length > length)
        return false;
    for (size_t i = 0; i < prefix_length; i++)
        if (prefix[i] != text[i])
            return false;
    return !match_has_dot_dot(text, length);
}

/* The pattern as an automaton: state p means that its first p bytes match the text so far. All states that are
 * possible are kept as bits, so no text makes it go back. A '*' is passed without a byte; the second byte of "%d"
 * stands for "one more digit", which is why such places are known beforehand. */
struct states {
    uint64_t words[STATE_WORDS];
};

struct matcher {
    const char *pattern;
    size_t length;
    struct states digits; /* the 'd's of "%d" */
    struct states now, next;
    size_t low, high; /* words of `next` that may hold a bit */
};

static inline bool has_state(const struct states *states, size_t state) {
    return (states->words[state / 64] >> state % 64 & 1) != 0;
}

static inline void set_state(struct states *states, size_t state) {
    states->words[state / 64] |= UINT64_C(1) << state % 64;
}

static inline bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

/* Of "**" and "%s" 2, of '*' 1, of all else 0. */
static inline size_t star_length(const struct matcher *matcher, size_t state) {
    const char *pattern = matcher->pattern + state;
    size_t left = matcher->length - state;
    if (left == 0 || (*pattern != '*' && *pattern != '%'))
        return 0;
    if (left > 1 && pattern[1] == (*pattern == '*' ? '*' : 's'))
        return 2;
    return *pattern == '*';
}

/* Makes the state possible, and those behind the stars that begin there. */
static void enter(struct matcher *matcher, size_t state) {
    while (!has_state(&matcher->next, state)) {
        set_state(&matcher->next, state);
        if (state / 64 < matcher->low)
            matcher->low = state / 64;
        if (state / 64 > matcher->high)
            matcher->high = state / 64;
        size_t star = star_length(matcher, state);
        if (star == 0)
            return;
        state += star;
    }
}

/* What one byte of the text makes possible from a state. */
static void step(struct matcher *matcher, size_t state, char byte) {
    const char *pattern = matcher->pattern;
    size_t left = matcher->length - state;
    if (left == 0)
        return;
    if (has_state(&matcher->digits, state) || (left > 1 && has_state(&matcher->digits, state + 1))) {
        size_t digit = has_state(&matcher->digits, state) ? state : state + 1;
        if (is_digit(byte)) {
            enter(matcher, digit);
            enter(matcher, digit + 1);
        } else if (byte == '-' && digit != state) {
            enter(matcher, digit);
        }
        return;
    }
    size_t star = star_length(matcher, state);
    if (star > 0) {
        if (byte != '/' || star == 2)
            enter(matcher, state);
        return;
    }
    switch (pattern[state]) {
    case '?':
        if (byte != '/')
            enter(matcher, state + 1);
        return;
    case '\\':
        if (left > 1) {
            if (byte == pattern[state + 1])
                enter(matcher, state + 2);
            return;
        }
        break; /* at the end it stands for itself */
    }
    if (byte == pattern[state])
        enter(matcher, state + 1);
}

static void clear_next(struct matcher *matcher) {
    for (size_t i = 0; i <= matcher->length / 64; i++)
        matcher->next.words[i] = 0;
    matcher->low = STATE_WORDS;
    matcher->high = 0;
}

static void find_digits(struct matcher *matcher) {
    /* cppcheck-suppress ctuuninitvar ; pattern and length are set, the states are what is set here */
    for (size_t i = 0; i <= matcher->length / 64; i++)
        matcher->digits.words[i] = 0;
    for (size_t i = 0; i + 1 < matcher->length; i++) {
        if (matcher->pattern[i] == '\\') {
            i++;
        } else if (matcher->pattern[i] == '%' && matcher->pattern[i + 1] == 'd') {
            set_state(&matcher->digits, i + 1);
            i++;
        }
    }
}

/* The caller fills in the pattern alone: clearing the states costs as much as the pattern is long. */
static bool run(struct matcher *matcher, const char *text, size_t length) {
    find_digits(matcher);
    clear_next(matcher);
    enter(matcher, 0);
    for (size_t i = 0; i < length; i++) {
        size_t low = matcher->low, high = matcher->high;
        if (low > high)
            return false; /* no state is left */
        for (size_t word = low; word <= high; word++)
            matcher->now.words[word] = matcher->next.words[word];
        clear_next(matcher);
        for (size_t word = low; word <= high; word++)
            for (uint64_t bits = matcher->now.words[word]; bits != 0; bits &= bits - 1)
                step(matcher, word * 64 + (size_t)__builtin_ctzll(bits), text[i]);
    }
    return has_state(&matcher->next, matcher->length);
}

enum answer {
    ANSWER_NO,
    ANSWER_YES,
    ANSWER_OPEN,
};

/* Patterns of '?', '*' and plain bytes, which most are, in a fraction of the automaton's time: as neither passes a
 * '/', the text's components are those of the pattern, and within one it is enough to let the last '*' grow. Leaves
 * the answer open when it comes upon anything else. */
static enum answer walk(const char *pattern, size_t pattern_length, const char *text, size_t length) {
    size_t p = 0, t = 0;
    size_t behind_star = 0, star_end = 0; /* in the pattern, 0: none yet; in the text */
    while (t < length) {
        if (p < pattern_length) {
            char byte = pattern[p];
            if (byte == '*') {
                if (++p < pattern_length && pattern[p] == '*')
                    return ANSWER_OPEN;
                behind_star = p;
                star_end = t;
                continue;
            }
            if (byte == '%' || byte == '\\')
                return ANSWER_OPEN;
            if (byte == text[t] || (byte == '?' && text[t] != '/')) {
                p++;
                t++;
                continue;
            }
        }
        if (behind_star == 0 || text[star_end] == '/')
            return ANSWER_NO;
        p = behind_star;
        t = ++star_end;
    }
    while (p < pattern_length && pattern[p] == '*')
        p++;
    if (p == pattern_length)
        return ANSWER_YES;
    return ANSWER_OPEN;
}

/* Bytes that stand for themselves at the start: most texts differ there already. */
static size_t plain_length(const char *pattern, size_t length) {
    size_t plain = 0;
    while (plain < length && pattern[plain] != '*' && pattern[plain] != '?' && pattern[plain] != '%' &&
           pattern[plain] != '\\')
        plain++;
    return plain;
}

/* Whether the pattern may hold for a text with "..". */
static bool may_climb(const char *pattern, size_t length) {
    for (size_t i = 0; i + 1 < length; i++) {
        if (pattern[i] == '\\')
            i++;
        else if (pattern[i] == '%' && pattern[i + 1] == 's')
            return true;
    }
    return false;
}

bool match_glob(const char *pattern, size_t pattern_length, const char *text, size_t length) {
    if (pattern_length > MATCH_PATTERN_MAX)
        return false;
    size_t plain = plain_length(pattern, pattern_length);
    if (plain > length)
        return false;
    for (size_t i = 0; i < plain; i++)
        if (pattern[i] != text[i])
            return false;
    enum answer answer = walk(pattern + plain, pattern_length - plain, text + plain, length - plain);
    if (answer != ANSWER_OPEN)
        return answer == ANSWER_YES && !match_has_dot_dot(text, length);
    struct matcher matcher;
    matcher.pattern = pattern + plain;
    matcher.length = pattern_length - plain;
    return run(&matcher, text + plain, length - plain) &&
           (!match_has_dot_dot(text, length) || may_climb(matcher.pattern, matcher.length));
}
