/* A list of findings. */
#include "tools/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/json.h"

static const char *const weight_words[] = {
    [WEIGHT_NOTE] = "note",
    [WEIGHT_WARNING] = "warning",
    [WEIGHT_STALE] = "stale",
    [WEIGHT_MISSING] = "missing",
    [WEIGHT_UNPROTECTABLE] = "unprotectable",
};

void findings_add(struct findings *findings, enum weight weight, const char *word, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = xvasprintf(format, arguments);
    va_end(arguments);
    *array_append(findings->items, findings->count) = (struct finding){.weight = weight, .word = word, .text = text};
}

void findings_free(struct findings *findings) {
    for (size_t i = 0; i < findings->count; i++)
        free(findings->items[i].text);
    free(findings->items);
    *findings = (struct findings){0};
}

enum weight findings_worst(const struct findings *findings) {
    enum weight worst = WEIGHT_NOTE;
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].weight > worst)
            worst = findings->items[i].weight;
    return worst;
}

bool findings_has(const struct findings *findings, const char *word) {
    for (size_t i = 0; i < findings->count; i++)
        if (strcmp(findings->items[i].word, word) == 0)
            return true;
    return false;
}

void findings_print(const struct findings *findings) {
    for (int weight = WEIGHT_UNPROTECTABLE; weight >= WEIGHT_NOTE; weight--)
        for (size_t i = 0; i < findings->count; i++)
            if ((int)findings->items[i].weight == weight)
                printf("  %s: %s\n", weight_words[weight], findings->items[i].text);
}

json_t *findings_json(const struct findings *findings) {
    json_t *list = json_array();
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "weight", weight_words[finding->weight], "word",
                                              finding->word, "text", json_text(finding->text)));
    }
    return list;
}
