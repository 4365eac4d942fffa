/* An ELF file of any bytes: its analysis ends, in bounded time and memory, and so does its linking into a policy. */
#include <stdlib.h>
#include <string.h>

#include "policygen/program.h"
#include "runtime/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free uint8_t *bytes = xmalloc(size + 1);
    struct analysis analysis = {.path = xstrdup("fuzzed")};
    memcpy(bytes, data, size);
    if (object_parse("fuzzed", bytes, size, &analysis.object) != OBJECT_FINE) {
        free(analysis.path);
        return 0;
    }
    analysis_make(&analysis);
    size_t summary_size;
    cleanup_free void *memory = summary_make(&analysis, &summary_size);
    struct summary summary;
    if (summary_open(memory, summary_size, &summary) != NULL)
        abort();
    struct program_module module = {
        .path = "fuzzed", .soname = analysis.object.soname, .summary = &summary, .plugin = size % 2 == 0};
    struct program program = {&module, 1};
    struct document document;
    struct coverage coverage = {0};
    program_link(&program, &document, &coverage);
    document_free(&document);
    analysis_free(&analysis);
    return 0;
}
