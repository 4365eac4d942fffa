/* The manifest of a commit lies in a root that may be hostile: whatever its bytes, reading it ends, and what it reads
 * names plain paths alone and is written as it was read. The digest, which a fuzzer does not find, is put right first.
 */
#include <assert.h>
#include <string.h>

#include "tests/fuzz/packed.h"
#include "tools/patch/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct manifest *manifest, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < manifest->entry_count; i++)
        assert(path_is_plain(manifest->entries[i].path));
    size_t written;
    cleanup_free char *again = manifest_write(manifest, &written);
    assert(written == size && memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char magic[] = "pinion manifest 1\n";
    size_t whole;
    cleanup_free uint8_t *file = packed_file(magic, sizeof magic - 1, data, size, &whole);
    struct manifest manifest = {.incident = 0};
    struct mistake mistake = {.line = 0};
    if (manifest_parse(file, whole, &manifest, &mistake))
        check(&manifest, file, whole);
    else
        assert(manifest.entries == NULL && mistake.text[0] != '\0');
    manifest_free(&manifest);
    return 0;
}
