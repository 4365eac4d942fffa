/* Patterns, paths, values: the first byte is the length of the pattern, the rest is the text. Short ones must agree
 * with the plain definition of the pattern language.
 */
#include "runtime/match.h"
#include "tests/unit/globs.h"
#include "tests/unit/policies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* On the heap, to the byte. */
static char *copy_of(const uint8_t *data, size_t length) {
    char *copy = xmalloc(length);
    memcpy(copy, data, length);
    return copy;
}

static void check_path(const uint8_t *data, size_t length) {
    cleanup_free char *path = copy_of(data, length);
    bool dots = match_has_dot_dot(path, length);
    size_t normal = path_normalise(path, length);
    if (normal > length || match_has_dot_dot(path, normal) != dots || path_normalise(path, normal) != normal)
        die("a path is not normalised");
}

static void check_value(const uint8_t *data, size_t length, enum argument_kind kind) {
    cleanup_free char *text = xstrndup((const char *)data, length);
    struct value value, again;
    struct mistake mistake;
    if (value_parse(text, kind, &value, &mistake)) {
        size_t needed = value_format(&value, kind, NULL, 0);
        cleanup_free char *written = xmalloc(needed + 1);
        cleanup_free char *rewritten = xmalloc(needed + 1);
        value_format(&value, kind, written, needed + 1);
        if (!value_parse(written, kind, &again, &mistake))
            die("\"%s\" is refused: %s", written, mistake.text);
        if (value_format(&again, kind, rewritten, needed + 1) != needed || strcmp(written, rewritten) != 0)
            die("\"%s\" becomes \"%s\"", written, rewritten);
        free(again.text);
    }
    free(value.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2)
        return 0;
    enum argument_kind kind = data[0] % KIND_COUNT;
    size_t pattern_length = data[1] < size - 2 ? data[1] : size - 2;
    cleanup_free char *pattern = copy_of(data + 2, pattern_length);
    size_t length = size - 2 - pattern_length;
    cleanup_free char *text = copy_of(data + 2 + pattern_length, length);
    bool matches = match_glob(pattern, pattern_length, text, length);
    if (pattern_length <= REFERENCE_MAX && length <= REFERENCE_MAX &&
        matches != (reference_glob(pattern, pattern_length, text, length) &&
                    (!match_has_dot_dot(text, length) || reference_climbs(pattern, pattern_length))))
        die("the pattern \"%.*s\" is read differently", (int)pattern_length, pattern);
    match_prefix(pattern, pattern_length, text, length);
    check_path(data + 2, size - 2);
    check_value(data + 2, size - 2, kind);
    return 0;
}
