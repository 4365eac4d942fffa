/* A compiled policy of any bytes: refused, or every look-up stays inside it. Even inputs are a whole file whose
 * magic, size and fingerprint are made right; odd ones are changes to a good policy.
 */
#include "tests/unit/policies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct change {
    uint16_t at;
    uint8_t width;
    uint8_t value[4];
};

static char *good_policy(size_t *size) {
    static void *image;
    static size_t image_size;
    if (image == NULL) {
        struct document document;
        random_document(&document, 1, 3, 10);
        image = document_compile(&document, &image_size);
        document_free(&document);
    }
    *size = image_size;
    char *copy = xmalloc(image_size);
    memcpy(copy, image, image_size);
    return copy;
}

static char *changed_policy(const uint8_t *data, size_t length, size_t *size) {
    char *image = good_policy(size);
    struct change change;
    for (; length >= sizeof(change); data += sizeof(change), length -= sizeof(change)) {
        memcpy(&change, data, sizeof(change));
        size_t width = 1 + change.width % 4;
        if (change.at + width <= *size)
            memcpy(image + change.at, change.value, width);
    }
    return image;
}

static char *whole_policy(const uint8_t *data, size_t length, size_t *size) {
    char *image = xmalloc(length);
    memcpy(image, data, length);
    *size = length;
    if (length >= sizeof(struct policy_header)) {
        struct policy_header *header = (struct policy_header *)image;
        memcpy(header->magic, POLICY_MAGIC, sizeof(header->magic));
        header->version = POLICY_VERSION;
        header->size = (uint32_t)length;
        header->table_fingerprint = api_table_fingerprint();
    }
    return image;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    size_t length;
    cleanup_free char *image =
        data[0] % 2 == 0 ? whole_policy(data + 1, size - 1, &length) : changed_policy(data + 1, size - 1, &length);
    if (policy_validate(image, length) == NULL)
        exercise_policy((const struct policy_header *)image);
    return 0;
}
