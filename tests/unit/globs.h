/* The pattern language once more, in the plainest way: what match_glob is compared with. */
#ifndef PINION_TESTS_UNIT_GLOBS_H
#define PINION_TESTS_UNIT_GLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define REFERENCE_MAX 64 /* bytes of pattern and of text */

/* known[i][j]: 0 unknown, 1 the rest matches, 2 it does not. */
static inline bool reference_rest(const char *pattern, size_t i, size_t pattern_length, const char *text, size_t j,
                                  size_t length, char known[REFERENCE_MAX + 1][REFERENCE_MAX + 1]);

static inline bool reference_digits(const char *pattern, size_t i, size_t pattern_length, const char *text, size_t j,
                                    size_t length, char known[REFERENCE_MAX + 1][REFERENCE_MAX + 1]) {
    if (j < length && text[j] == '-')
        j++;
    while (j < length && text[j] >= '0' && text[j] <= '9') {
        j++;
        if (reference_rest(pattern, i, pattern_length, text, j, length, known))
            return true;
    }
    return false;
}

static inline bool reference_decide(const char *pattern, size_t i, size_t pattern_length, const char *text, size_t j,
                                    size_t length, char known[REFERENCE_MAX + 1][REFERENCE_MAX + 1]) {
    if (i == pattern_length)
        return j == length;
    bool more = i + 1 < pattern_length;
    if (pattern[i] == '*' || (pattern[i] == '%' && more && pattern[i + 1] == 's')) {
        bool across = more && pattern[i + 1] == (pattern[i] == '*' ? '*' : 's');
        if (reference_rest(pattern, i + (across ? 2 : 1), pattern_length, text, j, length, known))
            return true;
        return j < length && (across || text[j] != '/') &&
               reference_rest(pattern, i, pattern_length, text, j + 1, length, known);
    }
    if (pattern[i] == '%' && more && pattern[i + 1] == 'd')
        return reference_digits(pattern, i + 2, pattern_length, text, j, length, known);
    if (j == length)
        return false;
    if (pattern[i] == '?')
        return text[j] != '/' && reference_rest(pattern, i + 1, pattern_length, text, j + 1, length, known);
    if (pattern[i] == '\\' && more)
        i++;
    return pattern[i] == text[j] && reference_rest(pattern, i + 1, pattern_length, text, j + 1, length, known);
}

static inline bool reference_rest(const char *pattern, size_t i, size_t pattern_length, const char *text, size_t j,
                                  size_t length, char known[REFERENCE_MAX + 1][REFERENCE_MAX + 1]) {
    if (known[i][j] == 0)
        known[i][j] = reference_decide(pattern, i, pattern_length, text, j, length, known) ? 1 : 2;
    return known[i][j] == 1;
}

static inline bool reference_climbs(const char *pattern, size_t length) {
    for (size_t i = 0; i + 1 < length; i++) {
        if (pattern[i] == '%' && pattern[i + 1] == 's')
            return true;
        i += pattern[i] == '\\';
    }
    return false;
}

/* Both texts at most REFERENCE_MAX bytes; the rule about ".." is left out. */
static inline bool reference_glob(const char *pattern, size_t pattern_length, const char *text, size_t length) {
    char known[REFERENCE_MAX + 1][REFERENCE_MAX + 1];
    memset(known, 0, sizeof(known));
    return reference_rest(pattern, 0, pattern_length, text, 0, length, known);
}

#endif
