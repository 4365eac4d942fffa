/* A policy's text of any bytes: refused with a mistake, or read as a document that compiles and whose own text reads
 * back as the same.
 */
#include "tests/fuzz/libconfig.h"
#include "tests/unit/policies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *write_text(const struct document *document) {
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    document_write_text(document, stream);
    fclose(stream);
    return text;
}

static void check_again(const struct document *document) {
    cleanup_free char *text = write_text(document);
    struct document again;
    struct mistake mistake;
    document_init(&again);
    if (!document_parse_text(text, &again, &mistake))
        die("own text refused, line %u: %s\n%s", mistake.line, mistake.text, text);
    size_t size, size_again;
    cleanup_free char *image = document_compile(document, &size);
    cleanup_free char *image_again = document_compile(&again, &size_again);
    if (size != size_again || memcmp(image, image_again, size) != 0)
        die("own text reads differently:\n%s", text);
    exercise_policy((const struct policy_header *)image);
    document_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    struct document document;
    struct mistake mistake;
    document_init(&document);
    if (document_parse_text(text, &document, &mistake))
        check_again(&document);
    else if (mistake.text[0] == '\0')
        die("refused without a reason");
    document_free(&document);
    return 0;
}
