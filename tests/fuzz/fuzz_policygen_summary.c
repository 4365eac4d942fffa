/* A summary of any bytes, as a cache directory might hold it: either it is refused, or nothing that linking does with it
 * leaves its memory. The first byte says whether the rest is the summary itself or a list of changes (offset, byte) to
 * that of a real object.
 */
#include <stdlib.h>
#include <string.h>

#include "policygen/program.h"
#include "runtime/util.h"

#define CHANGE_BYTES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *count, char ***arguments);

static const char *const examples[] = {
    "tests/fuzz/corpus/policygen_elf/library",
    "tests/fuzz/corpus/policygen_elf/program",
    "tests/fuzz/corpus/policygen_elf/exceptions",
};
#define EXAMPLE_COUNT (sizeof examples / sizeof *examples)
static void *summaries[EXAMPLE_COUNT];
static size_t sizes[EXAMPLE_COUNT];

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    for (size_t i = 0; i < EXAMPLE_COUNT; i++) {
        struct analysis analysis = {.path = xstrdup(examples[i])};
        if (object_open(examples[i], &analysis.object) != OBJECT_FINE)
            die("cannot read \"%s\"", examples[i]);
        analysis_make(&analysis);
        summaries[i] = summary_make(&analysis, &sizes[i]);
        analysis_free(&analysis);
    }
    return 0;
}

static void link_summary(const struct summary *summary, bool plugin) {
    struct program_module modules[] = {{"fuzzed", NULL, summary, false}, {"twice", NULL, summary, plugin}};
    struct program program = {modules, 2};
    struct document document;
    struct coverage coverage[2] = {0};
    program_link(&program, &document, coverage);
    document_free(&document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t example = data[0] % (EXAMPLE_COUNT + 1);
    bool raw = example == EXAMPLE_COUNT, plugin = data[0] >= 128;
    size_t length = raw ? size - 1 : sizes[example];
    /* Exactly as long as it says, so that every byte read too much is seen. */
    cleanup_free uint8_t *memory = xmalloc(length);
    memcpy(memory, raw ? data + 1 : summaries[example], length);
    for (size_t i = 1; !raw && i + CHANGE_BYTES <= size; i += CHANGE_BYTES)
        memory[((size_t)data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16) % length] = data[i + 3];
    struct summary summary;
    if (summary_open(memory, length, &summary) == NULL)
        link_summary(&summary, plugin);
    return 0;
}
