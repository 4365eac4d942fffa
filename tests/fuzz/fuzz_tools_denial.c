/* A line of the log of any bytes: refused with a mistake, or explained, with nothing that a terminal would obey. */
#include <string.h>

#include "runtime/util.h"
#include "tools/explanation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text) {
    for (; text != NULL && *text != '\0'; text++)
        if (((unsigned char)*text < 0x20 && *text != '\n') || *text == 0x7f)
            die("a control character came through");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *line = xmalloc(size + 1);
    memcpy(line, data, size);
    line[size] = '\0';
    struct denial denial;
    struct mistake mistake = {0};
    if (!denial_parse(line, &denial, &mistake)) {
        if (mistake.text[0] == '\0')
            die("refused without a reason");
        return 0;
    }
    struct explain_place place = {.directory = "/nonexistent", .root = "/nonexistent"};
    struct explanation explanation;
    explanation_make(&explanation, &denial, &place);
    check_text(explanation.call);
    check_text(explanation.code_note);
    check_text(explanation.policy_note);
    for (size_t i = 0; i < CHOICE_COUNT; i++)
        check_text(explanation.choices[i]);
    explanation_free(&explanation);
    denial_free(&denial);
    return 0;
}
