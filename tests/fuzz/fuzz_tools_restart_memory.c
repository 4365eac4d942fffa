/* What is remembered of programs holds what programs said of themselves, and a disk may have cut it short: whatever its
 * bytes, reading it ends, what it reads can be used without a further look, and is written as it was read. The digest and
 * the boot, which a fuzzer does not find, are put right first.
 */
#include <assert.h>
#include <string.h>

#include "tests/fuzz/packed.h"
#include "tools/patch/restart_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NUMBERS_BEHIND (4 * sizeof(uint64_t)) /* of an empty memory, behind the boot */

static void check(const struct restart_memory *memory, const uint8_t *data, size_t size) {
    for (size_t i = 0; i < memory->count; i++) {
        const struct remembered *item = &memory->items[i];
        assert(item->program[0] != '\0' && item->environment != NULL && item->given != NULL);
        assert(item->command == NULL || item->command[0][0] != '\0');
        assert(item->command == NULL || !item->as_itself || item->identity.directory != NULL);
        assert(item->first.process > 0 && item->identity.outputs[0] == -1);
    }
    for (size_t i = 0; i < memory->listener_count; i++)
        assert(strlen(memory->listeners[i].address) < sizeof((struct listener *)NULL)->address);
    size_t written;
    cleanup_free char *again = restart_memory_write(memory, &written);
    assert(written == size && memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t begin;
    struct restart_memory *memory = restart_memory_make();
    cleanup_free char *empty = restart_memory_write(memory, &begin);
    begin -= SHA256_BYTES + NUMBERS_BEHIND;
    size_t whole;
    cleanup_free uint8_t *file = packed_file(empty, begin, data, size, &whole);
    struct mistake mistake = {.line = 0};
    if (restart_memory_parse(file, whole, memory, &mistake))
        check(memory, file, whole);
    else
        assert(mistake.text[0] != '\0');
    restart_memory_free(memory);
    return 0;
}
