/* A signature database of any bytes: refused with a reason, or read as one whose own text reads back as the same, and in
 * which any of its own recordings can be looked up.
 */
#include <string.h>

#include "runtime/util.h"
#include "tests/fuzz/libconfig.h"
#include "tools/identify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *write_text(const struct signatures *signatures) {
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    signatures_write(signatures, stream);
    fclose(stream);
    return text;
}

static void check_again(const struct signatures *signatures) {
    cleanup_free char *text = write_text(signatures);
    struct signatures again;
    struct mistake mistake;
    if (!signatures_parse(text, &again, &mistake))
        die("own text refused, line %u: %s\n%s", mistake.line, mistake.text, text);
    cleanup_free char *text_again = write_text(&again);
    if (strcmp(text, text_again) != 0)
        die("own text reads differently:\n%s", text);
    signatures_free(&again);
}

static void look_up(const struct signatures *signatures) {
    struct identifier *identifier = identifier_new(signatures);
    for (size_t i = 0; i < signatures->count; i++) {
        struct answer answer;
        identify(identifier, &signatures->entries[i].recordings[0], &answer);
        if (!(answer.confidence >= 0 && answer.confidence <= 1))
            die("a confidence of %g", answer.confidence);
        answer_free(&answer);
    }
    identifier_free(identifier);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    struct signatures signatures;
    struct mistake mistake;
    if (!signatures_parse(text, &signatures, &mistake)) {
        if (mistake.text[0] == '\0')
            die("refused without a reason");
        return 0;
    }
    check_again(&signatures);
    look_up(&signatures);
    signatures_free(&signatures);
    return 0;
}
