/* Writing and reading packed files. Nothing here knows what they are about.
 */
#include "tools/patch/packed.h"

#include <string.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"

static void digest_of(const void *data, size_t size, uint8_t digest[SHA256_BYTES]) {
    struct sha256 hash;
    sha256_begin(&hash);
    sha256_add(&hash, data, size);
    sha256_end(&hash, digest);
}

/* ---- writing ---- */

void packed_begin(struct packed_writer *writer, const char *magic) {
    writer->out = xopen_memstream(&writer->data, &writer->size);
    fputs(magic, writer->out);
}

void packed_put(struct packed_writer *writer, uint64_t number) {
    fwrite(&number, sizeof number, 1, writer->out);
}

void packed_put_bytes(struct packed_writer *writer, const void *data, size_t size) {
    packed_put(writer, size);
    fwrite(data, 1, size, writer->out);
}

void packed_put_text(struct packed_writer *writer, const char *text) {
    packed_put_bytes(writer, text != NULL ? text : "", text != NULL ? strlen(text) : 0);
}

char *packed_end(struct packed_writer *writer, size_t *size) {
    uint8_t digest[SHA256_BYTES];
    fflush(writer->out);
    digest_of(writer->data, writer->size, digest);
    fwrite(digest, 1, sizeof digest, writer->out);
    fclose(writer->out);
    *size = writer->size;
    return writer->data;
}

/* ---- reading ---- */

bool packed_open(struct packed_reader *reader, const void *data, size_t size, const char *magic, const char *what,
                 struct mistake *mistake) {
    size_t begin = strlen(magic);
    uint8_t digest[SHA256_BYTES];
    *reader = (struct packed_reader){.bad = true};
    if (size < begin + SHA256_BYTES || memcmp(data, magic, begin) != 0)
        return text_mistake(mistake, 0, "it is no %s of this version", what);
    const uint8_t *bytes = data;
    size -= SHA256_BYTES;
    digest_of(bytes, size, digest);
    if (memcmp(digest, bytes + size, SHA256_BYTES) != 0)
        return text_mistake(mistake, 0, "it is damaged");
    *reader = (struct packed_reader){.at = bytes + begin, .end = bytes + size};
    return true;
}

uint64_t packed_take(struct packed_reader *reader, uint64_t most) {
    uint64_t number = 0;
    if (reader->bad || (size_t)(reader->end - reader->at) < sizeof number) {
        reader->bad = true;
        return 0;
    }
    memcpy(&number, reader->at, sizeof number);
    reader->at += sizeof number;
    reader->bad = number > most;
    return reader->bad ? 0 : number;
}

size_t packed_take_count(struct packed_reader *reader) {
    return (size_t)packed_take(reader, (uint64_t)(reader->end - reader->at) / 8);
}

uint8_t *packed_take_bytes(struct packed_reader *reader, size_t most, size_t *size) {
    *size = (size_t)packed_take(reader, most);
    if (reader->bad || (size_t)(reader->end - reader->at) < *size) {
        reader->bad = true;
        return NULL;
    }
    uint8_t *bytes = xmalloc(*size + 1);
    memcpy(bytes, reader->at, *size);
    bytes[*size] = '\0';
    reader->at += *size;
    return bytes;
}

char *packed_take_text(struct packed_reader *reader, size_t most) {
    size_t size;
    char *text = (char *)packed_take_bytes(reader, most, &size);
    if (text != NULL && strlen(text) != size)
        reader->bad = true;
    return text;
}

bool packed_close(struct packed_reader *reader, struct mistake *mistake) {
    if (!reader->bad && reader->at == reader->end)
        return true;
    return text_mistake(mistake, 0, "it makes no sense");
}
