/* Cache files: a header that says what they were made from, and the summary. Files appear whole or not at all and carry
 * a digest of their content, so a damaged one is known before anything in it is looked at.
 */
#include "policygen/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/api.h"
#include "runtime/util.h"

#define CACHE_MAGIC "PINCACHE"
#define READ_BYTES (256u << 10)
#define KEPT_BYTES (4 << 20) /* of a file in the page cache: larger ones are mostly data, not looked at again */
#define NAMED_DIGEST_BYTES 6

struct cache_header {
    char magic[8];
    struct identity analyser; /* of the policygen that made it: another one may analyse otherwise */
    uint64_t table_fingerprint;
    struct cache_key key;
    uint8_t summary_digest[CACHE_DIGEST_BYTES];
    uint64_t size; /* of the summary, which follows */
};

/* ---- What a summary was made from ---- */

static const void *own_bytes(void *context, uint64_t address, size_t length) {
    const struct dl_phdr_info *info = context;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && address >= header->p_vaddr && length <= header->p_filesz &&
            address - header->p_vaddr <= header->p_filesz - length)
            return (const void *)(info->dlpi_addr + address); /* NOLINT(performance-no-int-to-ptr) */
    }
    return NULL;
}

/* The first object of the list is the program. */
static int read_own_identity(struct dl_phdr_info *info, size_t size, void *identity) {
    (void)size;
    *(struct identity *)identity = identity_read(info->dlpi_phdr, info->dlpi_phnum, own_bytes, info);
    return 1;
}

static struct cache_header make_header(const struct cache_key *key, const void *memory, size_t size) {
    struct cache_header header;
    memset(&header, 0, sizeof header);
    memcpy(header.magic, CACHE_MAGIC, sizeof header.magic);
    dl_iterate_phdr(read_own_identity, &header.analyser);
    header.table_fingerprint = api_table_fingerprint();
    header.key = *key;
    header.size = size;
    if (EVP_Digest(memory, size, header.summary_digest, NULL, EVP_sha256(), NULL) != 1)
        die("cannot compute SHA-256");
    return header;
}

static bool digest_file(EVP_MD_CTX *context, int fd, uint8_t *digest) {
    cleanup_free char *buffer = xmalloc(READ_BYTES);
    if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        die("cannot compute SHA-256");
    off_t at = 0;
    while (true) {
        ssize_t got = pread(fd, buffer, READ_BYTES, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 && EVP_DigestFinal_ex(context, digest, NULL) == 1;
        EVP_DigestUpdate(context, buffer, (size_t)got);
        at += got;
        if (at > KEPT_BYTES)
            posix_fadvise(fd, KEPT_BYTES, at - KEPT_BYTES, POSIX_FADV_DONTNEED);
    }
}

bool cache_key(int fd, const struct identity *identity, struct cache_key *key) {
    *key = (struct cache_key){.identity = *identity};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && digest_file(context, fd, key->digest);
    EVP_MD_CTX_free(context);
    return good;
}

/* ---- Files ---- */

void cache_open(struct cache *cache, const char *directory) {
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make the cache directory \"%s\"", directory);
    if (access(directory, R_OK | W_OK | X_OK) != 0)
        die_with_error("cannot use the cache directory \"%s\"", directory);
    cache->directory = directory;
}

/* The identity, and some of the digest: copies that were stripped differently share their build-id. */
static char *file_name(const struct cache *cache, const struct cache_key *key) {
    char identity[IDENTITY_TEXT_BYTES], content[2 * NAMED_DIGEST_BYTES + 1];
    identity_format(&key->identity, identity);
    for (size_t i = 0; i < NAMED_DIGEST_BYTES; i++)
        snprintf(content + 2 * i, 3, "%02x", key->digest[i]);
    return xasprintf("%s/%s-%s.summary", cache->directory, identity, content);
}

/* Whether the file is a summary of what is wanted. One made from something else is no fault, and neither is its
 * absence; everything else is, and is named. */
static bool is_wanted(const struct cache_header *stored, size_t size, const struct cache_key *key, const void *memory,
                      const char **fault) {
    if (size < sizeof *stored || memcmp(stored->magic, CACHE_MAGIC, sizeof stored->magic) != 0) {
        *fault = "it is no summary";
        return false;
    }
    struct cache_header wanted = make_header(key, memory, size - sizeof *stored);
    if (stored->size != wanted.size ||
        memcmp(stored->summary_digest, wanted.summary_digest, sizeof wanted.summary_digest) != 0) {
        *fault = "it is damaged";
        return false;
    }
    return memcmp(stored, &wanted, sizeof wanted) == 0;
}

void *cache_load(const struct cache *cache, const struct cache_key *key, struct summary *summary) {
    size_t size = 0;
    cleanup_free char *name = file_name(cache, key);
    /* Read, not mapped: nobody may change what has been validated. */
    cleanup_free char *content = file_read(name, SUMMARY_MAX_BYTES + sizeof(struct cache_header), &size);
    const char *fault = NULL;
    if (content == NULL) {
        if (errno != ENOENT)
            warn("cache file \"%s\" is passed over: %s", name, strerror(errno));
        return NULL;
    }
    struct cache_header stored = {0};
    memcpy(&stored, content, size < sizeof stored ? size : sizeof stored);
    bool wanted = is_wanted(&stored, size, key, content + sizeof stored, &fault);
    if (wanted) {
        memmove(content, content + sizeof stored, size - sizeof stored);
        fault = summary_open(content, size - sizeof stored, summary);
    }
    if (fault != NULL)
        warn("cache file \"%s\" is passed over: %s", name, fault);
    return wanted && fault == NULL ? steal_pointer(&content) : NULL;
}

void cache_store(const struct cache *cache, const struct cache_key *key, const void *memory, size_t size) {
    cleanup_free char *name = file_name(cache, key);
    struct cache_header header = make_header(key, memory, size);
    struct atomic_file file;
    bool good = atomic_file_open(&file, name, 0644);
    if (good) {
        fwrite(&header, sizeof header, 1, file.stream);
        fwrite(memory, size, 1, file.stream);
        good = atomic_file_commit(&file);
    }
    if (!good)
        warn("cannot write cache file \"%s\": %s", name, strerror(errno));
}
