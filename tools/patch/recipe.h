/* A recipe: how one vulnerability is fixed. One file of libconfig text for each fix, signed as a whole: its first line
 * is a comment "# pinion-recipe KEY SIGNATURE", an Ed25519 signature (base64) over "pinion recipe 1\n" and every byte
 * behind that line. The bytes that are verified are the bytes that are parsed: before that nothing parses them.
 */
#ifndef PINION_TOOLS_PATCH_RECIPE_H
#define PINION_TOOLS_PATCH_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/document.h"

#define RECIPE_SUFFIX ".recipe"
#define RECIPE_BYTES_MOST (1u << 20)

enum recipe_method {
    METHOD_APT,
    METHOD_APK,
    METHOD_FILES,
    METHOD_BUILD,
    METHOD_SCRIPT,
    METHOD_COUNT,
};

/* A call that the policy refused: how a violation, which has no counts, is known again. */
struct recipe_violation {
    struct identity module; /* of the call site */
    char *api;              /* NULL: any */
};

/* A file to be fetched: a Debian package below a source's address, a replacement, a source archive. */
struct recipe_file {
    char *package, *version, *architecture; /* of a Debian package; else NULL */
    char *path;                             /* `files`: where it goes. Else NULL */
    char *source; /* apt: the Filename of the archive's index ("pool/..."); else an URL (https:, http:, file:) */
    uint64_t size;
    uint8_t sha256[32];
    uint32_t mode; /* `files`; 0: that of the file it replaces */
};

enum restart_how {
    RESTART_AUTO,    /* what the table of known programs says, else RESTART_SERVICE */
    RESTART_UPGRADE, /* a new process takes over the sockets: no connection is lost */
    RESTART_RELOAD,  /* the program starts itself anew or loads its modules again, at a signal or command */
    RESTART_SERVICE, /* the service manager or init script of the target */
    RESTART_COMMAND, /* `command` */
    RESTART_SIGNAL,  /* `signal` to the first process: whoever supervises it starts it again */
    RESTART_NONE,    /* nothing: it ends by itself */
};

struct recipe_restart {
    char *program; /* path in the target */
    enum restart_how how;
    char **command; /* ends with NULL, or NULL */
    char *signal;   /* "HUP", or NULL */
};

/* One of three. All of a recipe's must be well within `timeout` seconds. */
struct recipe_health {
    char **command;  /* ends with NULL: exits with 0 */
    char *url;       /* answers with `status`, and `contains` in the first 64 KiB if that is not NULL */
    unsigned status; /* 200 unless told otherwise */
    char *contains;
    bool serving; /* every address that an affected process listened on accepts connections */
};

struct recipe {
    char *name; /* its file is NAME.recipe: letters, digits, "-", "_", ".", "+" */
    char *summary;
    int64_t serial;           /* the same name with a lower serial than one that was seen is a replay */
    int64_t created, expires; /* seconds since 1970; "2026-11-22" or "2026-11-22T10:00:00Z" in the text */

    char **signatures; /* names of the signature database; each of these three ends with NULL */
    char **cves;
    struct recipe_violation *violations;
    size_t violation_count;

    char *package, *fixed; /* package to be fixed and the version that has the fix; files, build, script: the
                            * versions are those of the package that owns what is replaced; both may be NULL there */
    enum recipe_method method;
    /* apt: the packages, all that are to be installed, pinned; none: apt resolves. files: the files. build: the first
     * is the source archive. */
    struct recipe_file *files;
    size_t file_count;
    char **build_depends; /* build: packages needed while building alone; ends with NULL */
    char **commands;      /* build: shell lines, run in the unpacked archive, DESTDIR set; ends with NULL */
    char *script;         /* script: text for /bin/sh */

    uint64_t free_disk; /* bytes that must be free in the target, beyond what the files need */
    struct recipe_restart *restarts;
    size_t restart_count;
    struct recipe_health *health;
    size_t health_count;
    unsigned timeout; /* seconds for the health check, 30 unless told otherwise */

    char digest[65]; /* SHA-256 of the text that is signed, as recipe_read found it; else "" */
    char *file;      /* the whole file, as recipe_read found it; else NULL */
};

void recipe_free(struct recipe *recipe);

/* Strict: anything unknown, missing or contradictory is a mistake with its line. Nothing is left to release then. */
bool recipe_parse(const char *text, struct recipe *recipe, struct mistake *mistake);
/* In the order of the struct; what parses again to the same. No signature line. */
void recipe_write(const struct recipe *recipe, FILE *out);

/* ---- signing ---- */

struct recipe_key {
    uint8_t public[32];
    char name[17]; /* the first 16 hexadecimal digits of the SHA-256 of `public` */
};

/* "ed25519:BASE64", as `pinion recipe key` prints it and the helper's configuration pins it. */
bool recipe_key_parse(const char *text, struct recipe_key *key);
char *recipe_key_format(const struct recipe_key *key);

/* The private key is a PEM file (PKCS #8), as OpenSSL writes it; mode 0600. A file that is there is never replaced. */
bool recipe_key_generate(const char *path, struct recipe_key *key, struct mistake *mistake);
bool recipe_key_public(const char *path, struct recipe_key *key, struct mistake *mistake); /* of a private key */
/* The text with the signature line before it (an old one is replaced); the caller frees. NULL and a mistake, also for a
 * text that is no recipe. */
char *recipe_sign(const char *text, const char *private_path, struct mistake *mistake);

/* Reads a recipe that one of the keys has signed; without keys there is none. `signer` (may be NULL) tells which. The
 * file's name must be that of the recipe. The file is read once. */
bool recipe_read(const char *path, const struct recipe_key *keys, size_t key_count, struct recipe *recipe,
                 const struct recipe_key **signer, struct mistake *mistake);
/* The same of a copy, which need not have the recipe's name. */
bool recipe_read_copy(const char *path, const struct recipe_key *keys, size_t key_count, struct recipe *recipe,
                      struct mistake *mistake);

/* The same in two steps, for those who show recipes that they do not trust. */
enum recipe_seal {
    SEAL_GOOD,
    SEAL_NONE,    /* no signature line */
    SEAL_UNKNOWN, /* by a key that is not among these */
    SEAL_BROKEN,  /* the signature line is damaged, or is not over this text */
};
char *recipe_load(const char *path, struct mistake *mistake); /* the text; the caller frees. NULL and a mistake */
enum recipe_seal recipe_seal(const char *text, const struct recipe_key *keys, size_t key_count,
                             const struct recipe_key **signer, struct mistake *mistake);
/* Whether the file's name is that of the recipe, with RECIPE_SUFFIX. */
bool recipe_name_fits(const struct recipe *recipe, const char *path, struct mistake *mistake);

/* ---- words ---- */

const char *recipe_method_word(enum recipe_method method); /* "apt", ... */
bool recipe_method_by_word(const char *word, enum recipe_method *method);
const char *restart_how_word(enum restart_how how); /* "auto", "upgrade", ... */
/* Expired, or from the future, at this time; a text owned by the caller, or NULL. */
char *recipe_time_problem(const struct recipe *recipe, int64_t now);

#endif
