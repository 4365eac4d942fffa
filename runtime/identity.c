/* What names a program or shared object. The shim reads objects that are being mapped or unmapped beside it: only
 * through the reader it hands in, no library call, bounded.
 */
#include "runtime/identity.h"

#define MAX_NOTES_BYTES 65536u
#define MAX_CODE_BYTES 4096u
#define MAX_NOTES 256
#define DERIVED_TEXT "derived:"
#define NONE_TEXT "none"

static const char *const build_id_owner = "GNU";

/* Whether the bytes are part of the file that the loader maps: only those can be read in a process. */
static bool is_loaded(const Elf64_Phdr *headers, size_t count, uint64_t address, uint64_t length) {
    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *header = &headers[i];
        if (header->p_type == PT_LOAD && address >= header->p_vaddr && length <= header->p_filesz &&
            address - header->p_vaddr <= header->p_filesz - length)
            return true;
    }
    return false;
}

static void take_bytes(struct identity *identity, const unsigned char *bytes, size_t length) {
    if (length > IDENTITY_BYTES)
        length = IDENTITY_BYTES;
    for (size_t i = 0; i < length; i++)
        identity->bytes[i] = bytes[i];
    identity->length = (uint8_t)length;
}

static uint32_t read_word(const unsigned char *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

static bool is_build_id(const unsigned char *note, uint32_t name_length, uint32_t content_length, uint32_t type) {
    if (type != NT_GNU_BUILD_ID || name_length != 4 || content_length == 0)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (note[sizeof(Elf64_Nhdr) + i] != (unsigned char)build_id_owner[i])
            return false;
    return true;
}

static bool find_build_id(const unsigned char *notes, uint64_t size, uint64_t alignment, struct identity *identity) {
    uint64_t at = 0;
    for (unsigned i = 0; i < MAX_NOTES && at + sizeof(Elf64_Nhdr) <= size; i++) {
        const unsigned char *note = notes + at;
        uint32_t name_length = read_word(note), content_length = read_word(note + 4), type = read_word(note + 8);
        uint64_t content = align_up(at + sizeof(Elf64_Nhdr) + name_length, alignment);
        if (content + content_length > size)
            return false;
        if (is_build_id(note, name_length, content_length, type)) {
            identity->kind = IDENTITY_BUILD_ID;
            take_bytes(identity, notes + content, content_length);
            return true;
        }
        at = align_up(content + content_length, alignment);
    }
    return false;
}

static bool read_build_id(const Elf64_Phdr *headers, size_t count, identity_reader at, void *context,
                          struct identity *identity) {
    for (size_t i = 0; i < count; i++) {
        const Elf64_Phdr *header = &headers[i];
        if (header->p_type != PT_NOTE || header->p_filesz > MAX_NOTES_BYTES ||
            !is_loaded(headers, count, header->p_vaddr, header->p_filesz))
            continue;
        const void *notes = at(context, header->p_vaddr, header->p_filesz);
        if (notes != NULL && find_build_id(notes, header->p_filesz, header->p_align == 8 ? 8 : 4, identity))
            return true;
    }
    return false;
}

/* Three lanes of multiply and rotate, for 20 bytes. It tells builds apart; it is no seal, and neither is a
 * build-id. */
struct digest {
    uint64_t lanes[3];
};

static void digest_word(struct digest *digest, uint64_t word) {
    static const uint64_t factors[3] = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u, 0x94d049bb133111ebu};
    for (unsigned i = 0; i < 3; i++) {
        uint64_t lane = (digest->lanes[i] ^ word) * factors[i];
        digest->lanes[i] = lane ^ lane >> 29 ^ lane << 17;
    }
}

static void digest_bytes(struct digest *digest, const unsigned char *bytes, size_t length) {
    digest_word(digest, length);
    for (size_t i = 0; i < length; i += 8) {
        uint64_t word = 0;
        for (size_t j = 0; j < 8 && i + j < length; j++)
            word |= (uint64_t)bytes[i + j] << 8 * j;
        digest_word(digest, word);
    }
}

static void digest_headers(struct digest *digest, const Elf64_Phdr *headers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        digest_word(digest, (uint64_t)headers[i].p_type << 32 | headers[i].p_flags);
        digest_word(digest, headers[i].p_offset);
        digest_word(digest, headers[i].p_vaddr);
        digest_word(digest, headers[i].p_filesz);
        digest_word(digest, headers[i].p_memsz);
    }
}

static void derive(const Elf64_Phdr *headers, size_t count, identity_reader at, void *context,
                   struct identity *identity) {
    struct digest digest = {{1, 2, 3}};
    digest_headers(&digest, headers, count);
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type != PT_LOAD || (headers[i].p_flags & PF_X) == 0)
            continue;
        size_t length = headers[i].p_filesz < MAX_CODE_BYTES ? headers[i].p_filesz : MAX_CODE_BYTES;
        const void *code = at(context, headers[i].p_vaddr, length);
        if (code == NULL)
            return;
        digest_bytes(&digest, code, length);
        digest_word(&digest, 0); /* the last bytes reach every bit */
        digest_word(&digest, 0);
        unsigned char bytes[IDENTITY_BYTES];
        for (unsigned j = 0; j < IDENTITY_BYTES; j++)
            bytes[j] = (unsigned char)(digest.lanes[j / 8] >> 8 * (j % 8));
        identity->kind = IDENTITY_DERIVED;
        take_bytes(identity, bytes, IDENTITY_BYTES);
        return;
    }
}

struct identity identity_read(const Elf64_Phdr *headers, size_t count, identity_reader at, void *context) {
    struct identity identity = {.kind = IDENTITY_NONE};
    if (!read_build_id(headers, count, at, context, &identity))
        derive(headers, count, at, context, &identity);
    return identity;
}

bool identity_equal(const struct identity *a, const struct identity *b) {
    if (a->kind == IDENTITY_NONE || a->kind != b->kind || a->length != b->length)
        return false;
    for (unsigned i = 0; i < a->length && i < IDENTITY_BYTES; i++)
        if (a->bytes[i] != b->bytes[i])
            return false;
    return true;
}

static size_t append(char *text, size_t length, const char *more) {
    for (size_t i = 0; more[i] != '\0'; i++)
        text[length++] = more[i];
    return length;
}

size_t identity_format(const struct identity *identity, char text[IDENTITY_TEXT_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    size_t length = 0;
    if (identity->kind == IDENTITY_NONE)
        length = append(text, length, NONE_TEXT);
    else if (identity->kind == IDENTITY_DERIVED)
        length = append(text, length, DERIVED_TEXT);
    for (unsigned i = 0; identity->kind != IDENTITY_NONE && i < identity->length && i < IDENTITY_BYTES; i++) {
        text[length++] = digits[identity->bytes[i] >> 4];
        text[length++] = digits[identity->bytes[i] & 15];
    }
    text[length] = '\0';
    return length;
}

/* The text behind `start`, or NULL. */
static const char *behind(const char *text, const char *start) {
    while (*start != '\0' && *text == *start) {
        text++;
        start++;
    }
    return *start == '\0' ? text : NULL;
}

static int digit_value(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

bool identity_parse(const char *text, struct identity *identity) {
    *identity = (struct identity){.kind = IDENTITY_NONE};
    const char *rest = behind(text, NONE_TEXT);
    if (rest != NULL)
        return *rest == '\0';
    struct identity parsed = {.kind = IDENTITY_BUILD_ID};
    rest = behind(text, DERIVED_TEXT);
    if (rest != NULL)
        parsed.kind = IDENTITY_DERIVED;
    else
        rest = text;
    for (; *rest != '\0'; rest += 2) {
        int high = digit_value(rest[0]);
        int low = high < 0 ? -1 : digit_value(rest[1]);
        if (low < 0)
            return false;
        if (parsed.length < IDENTITY_BYTES)
            parsed.bytes[parsed.length++] = (uint8_t)(high << 4 | low);
    }
    if (parsed.length == 0)
        return false;
    *identity = parsed;
    return true;
}
