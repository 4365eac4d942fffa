/* Who has signed a recipe: Ed25519 keys, the signature line, and reading a recipe that is to be trusted. Nothing parses a
 * byte before its signature has been verified.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/sha256.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/recipe.h"

#define KEY_PREFIX "ed25519:"
#define LINE_PREFIX "# pinion-recipe "
#define CONTEXT "pinion recipe 1\n"
#define PUBLIC_BYTES 32
#define PUBLIC_TEXT 44 /* base64 */
#define SIGNATURE_BYTES 64
#define SIGNATURE_TEXT 88
#define NAME_TEXT 16
#define PEM_BYTES_MOST 16384

/* ---- base64 ---- */

/* Exactly `size` bytes, in the one form that base64 has for them. */
static bool decode(const char *text, size_t length, uint8_t *bytes, size_t size) {
    uint8_t decoded[SIGNATURE_TEXT];
    char again[SIGNATURE_TEXT + 1];
    if (length > SIGNATURE_TEXT || EVP_DecodeBlock(decoded, (const uint8_t *)text, (int)length) < (int)size)
        return false;
    if ((size_t)EVP_EncodeBlock((uint8_t *)again, decoded, (int)size) != length || memcmp(again, text, length) != 0)
        return false;
    memcpy(bytes, decoded, size);
    return true;
}

/* So many digits of the SHA-256, and a NUL. */
static void digest_text(const void *bytes, size_t size, char *text, size_t digits) {
    struct sha256 hash;
    uint8_t digest[SHA256_BYTES];
    sha256_begin(&hash);
    sha256_add(&hash, bytes, size);
    sha256_end(&hash, digest);
    for (size_t i = 0; i < digits / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
}

static void name_key(struct recipe_key *key) {
    digest_text(key->public, sizeof key->public, key->name, NAME_TEXT);
}

bool recipe_key_parse(const char *text, struct recipe_key *key) {
    size_t prefix = strlen(KEY_PREFIX);
    *key = (struct recipe_key){0};
    if (strncmp(text, KEY_PREFIX, prefix) != 0 || strlen(text) != prefix + PUBLIC_TEXT ||
        !decode(text + prefix, PUBLIC_TEXT, key->public, sizeof key->public))
        return false;
    name_key(key);
    return true;
}

char *recipe_key_format(const struct recipe_key *key) {
    char text[PUBLIC_TEXT + 1];
    EVP_EncodeBlock((uint8_t *)text, key->public, sizeof key->public);
    return xasprintf(KEY_PREFIX "%s", text);
}

/* ---- private keys ---- */

static bool openssl_mistake(struct mistake *mistake, const char *what) {
    char reason[200];
    ERR_error_string_n(ERR_get_error(), reason, sizeof reason);
    ERR_clear_error();
    return text_mistake(mistake, 0, "%s: %s", what, reason);
}

static bool public_of(EVP_PKEY *pair, struct recipe_key *key, struct mistake *mistake) {
    size_t length = sizeof key->public;
    *key = (struct recipe_key){0};
    if (EVP_PKEY_get_raw_public_key(pair, key->public, &length) != 1 || length != sizeof key->public)
        return openssl_mistake(mistake, "the key has no public part");
    name_key(key);
    return true;
}

/* A new file alone: an old key that is overwritten is gone for good. */
static bool write_private(const char *path, EVP_PKEY *pair, struct mistake *mistake) {
    cleanup_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return text_mistake(mistake, 0, "cannot make \"%s\": %s", path,
                            errno == EEXIST ? "it is there already, and a key is never replaced" : strerror(errno));
    BIO *out = BIO_new_fd(fd, BIO_NOCLOSE);
    bool good = out != NULL && fchmod(fd, 0600) == 0 &&
                PEM_write_bio_PKCS8PrivateKey(out, pair, NULL, NULL, 0, NULL, NULL) == 1 && fsync(fd) == 0;
    BIO_free(out);
    if (good)
        return true;
    unlink(path);
    return text_mistake(mistake, 0, "cannot write \"%s\": %s", path, strerror(errno));
}

bool recipe_key_generate(const char *path, struct recipe_key *key, struct mistake *mistake) {
    EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (pair == NULL)
        return openssl_mistake(mistake, "cannot make a key");
    bool good = public_of(pair, key, mistake) && write_private(path, pair, mistake);
    EVP_PKEY_free(pair);
    return good;
}

/* A key with a password is none that can be read: nobody is asked for one. */
static int no_password(char *buffer, int size, int writing, void *context) {
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

static EVP_PKEY *parse_private(const char *pem, size_t size) {
    BIO *in = BIO_new_mem_buf(pem, (int)size);
    EVP_PKEY *pair = in != NULL ? PEM_read_bio_PrivateKey(in, NULL, no_password, NULL) : NULL;
    BIO_free(in);
    ERR_clear_error();
    if (pair != NULL && EVP_PKEY_get_id(pair) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(pair);
        return NULL;
    }
    return pair;
}

static EVP_PKEY *read_private(const char *path, struct mistake *mistake) {
    struct stat status;
    size_t size = 0;
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *pem = fd >= 0 && fstat(fd, &status) == 0 ? fd_read(fd, PEM_BYTES_MOST, &size) : NULL;
    EVP_PKEY *pair = NULL;
    if (pem == NULL)
        text_mistake(mistake, 0, "cannot read the key \"%s\": %s", path, strerror(errno));
    else if ((status.st_mode & 077) != 0)
        text_mistake(mistake, 0, "others may read the key \"%s\": chmod 600 it, or make a new one if they could have",
                     path);
    else if ((pair = parse_private(pem, size)) == NULL)
        text_mistake(mistake, 0,
                     "\"%s\" is no Ed25519 key in PEM form without a password: `pinion recipe key` makes one", path);
    if (pem != NULL)
        OPENSSL_clear_free(pem, size);
    return pair;
}

bool recipe_key_public(const char *path, struct recipe_key *key, struct mistake *mistake) {
    EVP_PKEY *pair = read_private(path, mistake);
    bool good = pair != NULL && public_of(pair, key, mistake);
    EVP_PKEY_free(pair);
    return good;
}

/* ---- the signature line ---- */

struct seal {
    const char *key;       /* NAME_TEXT digits, or NULL: no such line */
    const char *signature; /* SIGNATURE_TEXT characters */
    const char *body;      /* what is signed */
};

static bool is_seal_line(const char *line) {
    return strncmp(line, LINE_PREFIX, strlen(LINE_PREFIX)) == 0;
}

/* False for a line that is damaged, or one too many: two could be two people's words on one text. */
static bool find_seal(const char *text, struct seal *seal, struct mistake *mistake) {
    *seal = (struct seal){.body = text};
    if (is_seal_line(text)) {
        const char *key = text + strlen(LINE_PREFIX);
        size_t length = strcspn(key, "\n");
        if (length != NAME_TEXT + 1 + SIGNATURE_TEXT || key[NAME_TEXT] != ' ' || key[length] != '\n')
            return text_mistake(mistake, 1, "the signature line is damaged: have the recipe signed again");
        *seal = (struct seal){key, key + NAME_TEXT + 1, key + length + 1};
    }
    const char *at = seal->body;
    for (unsigned line = 1 + (seal->key != NULL); at != NULL; line++) {
        if (is_seal_line(at))
            return text_mistake(mistake, line,
                                "a signature line stands here, and it may only be the first: remove this one");
        const char *end = strchr(at, '\n');
        at = end != NULL ? end + 1 : NULL;
    }
    return true;
}

/* What is signed: the context makes sure that no signature of another kind can be taken for one of a recipe. */
static uint8_t *signed_bytes(const char *body, size_t *size) {
    *size = strlen(CONTEXT) + strlen(body);
    return (uint8_t *)xasprintf(CONTEXT "%s", body);
}

static bool signature_holds(const struct recipe_key *key, const uint8_t signature[SIGNATURE_BYTES], const char *body) {
    size_t size;
    cleanup_free uint8_t *bytes = signed_bytes(body, &size);
    EVP_PKEY *public = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->public, sizeof key->public);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = public != NULL && context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) == 1 &&
                EVP_DigestVerify(context, signature, SIGNATURE_BYTES, bytes, size) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(public);
    ERR_clear_error();
    return good;
}

static const struct recipe_key *find_key(const struct recipe_key *keys, size_t key_count, const char *name) {
    for (size_t i = 0; i < key_count; i++)
        if (strncmp(keys[i].name, name, NAME_TEXT) == 0)
            return &keys[i];
    return NULL;
}

static enum recipe_seal judge(const struct seal *seal, const struct recipe_key *keys, size_t key_count,
                              const struct recipe_key **signer, struct mistake *mistake) {
    uint8_t signature[SIGNATURE_BYTES];
    if (seal->key == NULL) {
        text_mistake(mistake, 1, "the recipe is not signed: `pinion recipe sign` does that");
        return SEAL_NONE;
    }
    const struct recipe_key *key = find_key(keys, key_count, seal->key);
    if (key == NULL && key_count == 0)
        text_mistake(mistake, 1, "signed with the key %.*s, and no key is pinned: nothing is trusted", NAME_TEXT,
                     seal->key);
    else if (key == NULL)
        text_mistake(mistake, 1,
                     "signed with the key %.*s, which is none of the %zu that the configuration pins (\"keys\")",
                     NAME_TEXT, seal->key, key_count);
    if (key == NULL)
        return SEAL_UNKNOWN;
    if (!decode(seal->signature, SIGNATURE_TEXT, signature, sizeof signature) ||
        !signature_holds(key, signature, seal->body)) {
        text_mistake(mistake, 1, "the signature is not over this text: it was changed after signing");
        return SEAL_BROKEN;
    }
    *signer = key;
    return SEAL_GOOD;
}

enum recipe_seal recipe_seal(const char *text, const struct recipe_key *keys, size_t key_count,
                             const struct recipe_key **signer, struct mistake *mistake) {
    struct seal seal;
    const struct recipe_key *key = NULL;
    enum recipe_seal result = SEAL_BROKEN;
    if (find_seal(text, &seal, mistake))
        result = judge(&seal, keys, key_count, &key, mistake);
    if (signer != NULL)
        *signer = key;
    return result;
}

/* ---- signing ---- */

static char *sign_body(const char *body, EVP_PKEY *pair, struct mistake *mistake) {
    uint8_t signature[SIGNATURE_BYTES];
    char text[SIGNATURE_TEXT + 1];
    struct recipe_key key;
    size_t size, length = sizeof signature;
    cleanup_free uint8_t *bytes = signed_bytes(body, &size);
    if (!public_of(pair, &key, mistake))
        return NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
                EVP_DigestSign(context, signature, &length, bytes, size) == 1 && length == sizeof signature;
    EVP_MD_CTX_free(context);
    if (!good) {
        openssl_mistake(mistake, "cannot sign");
        return NULL;
    }
    EVP_EncodeBlock((uint8_t *)text, signature, sizeof signature);
    return xasprintf(LINE_PREFIX "%s %s\n%s", key.name, text, body);
}

char *recipe_sign(const char *text, const char *private_path, struct mistake *mistake) {
    struct seal seal;
    struct recipe recipe;
    if (!find_seal(text, &seal, mistake) || !recipe_parse(text, &recipe, mistake))
        return NULL;
    recipe_free(&recipe);
    EVP_PKEY *pair = read_private(private_path, mistake);
    char *result = pair != NULL ? sign_body(seal.body, pair, mistake) : NULL;
    EVP_PKEY_free(pair);
    return result;
}

/* ---- reading ---- */

static const char *file_problem(int error) {
    switch (error) {
    case EINVAL: return "it is no regular file";
    case EFBIG: return "it is too large for a recipe";
    default: return strerror(error);
    }
}

char *recipe_load(const char *path, struct mistake *mistake) {
    size_t size = 0;
    cleanup_free char *text = file_read(path, RECIPE_BYTES_MOST, &size);
    if (text == NULL)
        text_mistake(mistake, 0, "%s", file_problem(errno));
    else if (strlen(text) != size)
        text_mistake(mistake, 0, "it is no text: it holds a zero byte");
    else
        return steal_pointer(&text);
    return NULL;
}

bool recipe_name_fits(const struct recipe *recipe, const char *path, struct mistake *mistake) {
    const char *slash = strrchr(path, '/');
    const char *file = slash != NULL ? slash + 1 : path;
    size_t length = strlen(recipe->name);
    if (strncmp(file, recipe->name, length) == 0 && strcmp(file + length, RECIPE_SUFFIX) == 0)
        return true;
    return text_mistake(mistake, 0, "the file must have the recipe's name, \"%s" RECIPE_SUFFIX "\"", recipe->name);
}

static bool read_verified(const char *path, const struct recipe_key *keys, size_t key_count, struct recipe *recipe,
                          const struct recipe_key **signer, struct mistake *mistake) {
    struct seal seal;
    cleanup_free char *text = recipe_load(path, mistake);
    if (text == NULL || recipe_seal(text, keys, key_count, signer, mistake) != SEAL_GOOD ||
        !find_seal(text, &seal, mistake) || !recipe_parse(text, recipe, mistake))
        return false;
    digest_text(seal.body, strlen(seal.body), recipe->digest, sizeof recipe->digest - 1);
    recipe->file = steal_pointer(&text);
    return true;
}

bool recipe_read(const char *path, const struct recipe_key *keys, size_t key_count, struct recipe *recipe,
                 const struct recipe_key **signer, struct mistake *mistake) {
    if (!read_verified(path, keys, key_count, recipe, signer, mistake))
        return false;
    if (recipe_name_fits(recipe, path, mistake))
        return true;
    recipe_free(recipe);
    return false;
}

bool recipe_read_copy(const char *path, const struct recipe_key *keys, size_t key_count, struct recipe *recipe,
                      struct mistake *mistake) {
    return read_verified(path, keys, key_count, recipe, NULL, mistake);
}
