/* Two policies of any content, parted by a zero byte: what policygen diff and exposure say of them. None differs from
 * itself, and what one direction adds the other drops.
 */
#include <stdlib.h>
#include <string.h>

#include "policygen/behaviour.h"
#include "policygen/difference.h"
#include "runtime/util.h"
#include "tests/fuzz/libconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static long long count_of(const json_t *difference, const char *kind) {
    return json_integer_value(json_object_get(json_object_get(difference, "counts"), kind));
}

static json_t *compare(struct document *old, struct document *new) {
    const struct policies before = {.path = "old", .documents = old, .count = 1};
    const struct policies after = {.path = "new", .documents = new, .count = 1};
    return policies_difference(&before, &after);
}

static void review(struct document *old, struct document *new) {
    json_t *same = compare(old, old), *forth = compare(old, new), *back = compare(new, old);
    if (json_array_size(json_object_get(same, "changes")) != 0)
        die("a policy differs from itself");
    if (count_of(forth, "added") != count_of(back, "dropped") || count_of(forth, "dropped") != count_of(back, "added"))
        die("what one direction adds the other does not drop");
    json_decref(same);
    json_decref(forth);
    json_decref(back);
    struct exposure exposure;
    exposure_find(new, &exposure);
    for (unsigned i = 0; i < BEHAVIOUR_COUNT; i++) {
        if (behaviour_strength(&exposure, i) > STRENGTH_YES)
            die("impossible strength");
    }
    exposure_free(&exposure);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    size_t first = strlen(text);
    const char *second = first < size ? text + first + 1 : text;
    struct document old, new;
    struct mistake mistake;
    document_init(&old);
    document_init(&new);
    if (document_parse_text(text, &old, &mistake) && document_parse_text(second, &new, &mistake))
        review(&old, &new);
    document_free(&old);
    document_free(&new);
    return 0;
}
