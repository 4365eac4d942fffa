/* Showing answers. The texts are those of the database. */
#include "tools/answer.h"

#include <stdio.h>

#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/json.h"

void entry_print(const struct signature_entry *entry) {
    const char *const texts[] = {entry->name, entry->cve, entry->package, entry->recipe};
    static const char *const heads[] = {"", ", ", ", package ", ", recipe "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i] != NULL) {
            cleanup_free char *clean = printable(texts[i]);
            printf("%s%s", heads[i], clean);
        }
}

void answer_print(const struct answer *answer) {
    printf("  %s", answer_word(answer->kind));
    if (answer->kind == ANSWER_NAMED)
        printf(" with confidence %.2f", answer->confidence);
    putchar('\n');
    for (size_t i = 0; i < answer->candidate_count; i++) {
        printf("    ");
        entry_print(answer->candidates[i].entry);
        printf(": similarity %.2f%s\n", answer->candidates[i].similarity,
               answer->candidates[i].exact ? ", the same signature" : "");
    }
}

json_t *entry_json(const struct signature_entry *entry) {
    return json_pack("{s:o, s:o, s:o, s:o}", "name", json_text(entry->name), "cve", json_text(entry->cve), "package",
                     json_text(entry->package), "recipe", json_text(entry->recipe));
}

void answer_add_json(const struct answer *answer, json_t *object) {
    json_t *candidates = json_array();
    for (size_t i = 0; i < answer->candidate_count; i++) {
        json_t *candidate = entry_json(answer->candidates[i].entry);
        json_object_set_new(candidate, "similarity", json_real(answer->candidates[i].similarity));
        json_object_set_new(candidate, "exact", json_boolean(answer->candidates[i].exact));
        json_array_append_new(candidates, candidate);
    }
    bool named = answer->kind == ANSWER_NAMED;
    json_object_set_new(object, "answer", json_string(answer_word(answer->kind)));
    json_object_set_new(object, "name", named ? json_text(answer->candidates[0].entry->name) : json_null());
    json_object_set_new(object, "confidence", json_real(answer->confidence));
    json_object_set_new(object, "candidates", candidates);
}
