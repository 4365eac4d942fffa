/* A learn record of any bytes: refused with a mistake, or every entry can be read. Magic, version, size and
 * fingerprint are made right, or nothing else would ever be looked at.
 */
#include "tests/unit/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    cleanup_free char *image = xmalloc(size);
    memcpy(image, data, size);
    if (size >= sizeof(struct record_header)) {
        struct record_header *header = (struct record_header *)image;
        memcpy(header->magic, RECORD_MAGIC, sizeof(header->magic));
        header->version = RECORD_VERSION;
        header->size = size;
        header->table_fingerprint = api_table_fingerprint();
    }
    struct record record;
    struct mistake mistake = {0};
    if (record_open_bytes(&record, image, size, &mistake)) {
        record_exercise(&record);
        record_close(&record);
    } else if (mistake.text[0] == '\0') {
        die("refused without a reason");
    }
    return 0;
}
