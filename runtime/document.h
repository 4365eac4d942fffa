/* A policy in memory, as policygen fills it, people edit it (libconfig text) and `pinion merge` widens it.
 * Hosted code only: the shim never sees this.
 */
#ifndef PINION_RUNTIME_DOCUMENT_H
#define PINION_RUNTIME_DOCUMENT_H

#include <stdio.h>

#include "runtime/policy.h"
#include "runtime/record.h"

enum origin {
    ORIGIN_STATIC,  /* derived from the program */
    ORIGIN_LEARNED, /* observed in a learning run */
    ORIGIN_MANUAL,  /* written by a person */
    ORIGIN_COUNT,
};

enum value_kind {
    VALUE_INTEGER, /* low */
    VALUE_RANGE,   /* low .. high, inclusive */
    VALUE_MASK,    /* low: the bits that may be set */
    VALUE_NULL,    /* a null pointer */
    VALUE_TEXT,    /* text, exactly */
    VALUE_PREFIX,  /* text, at the start */
    VALUE_GLOB,    /* text, a pattern of match.h */
    VALUE_ADDRESS, /* address */
};

struct value {
    enum origin origin;
    enum value_kind kind;
    uint8_t position; /* argv */
    int64_t low, high;
    char *text;                    /* owned; may hold any byte but NUL */
    uint32_t constant;             /* VALUE_TEXT: address of the constant in the site's module, or 0 */
    struct policy_address address; /* path and path_length are not used: the path is `text` */
};

/* What is allowed for one argument. `any` with a reason when nothing is known: then a call passes whatever it
 * passes, and the coverage report counts it. Values may still be listed beside `any`: they are shown, not enforced. */
struct constraint {
    uint8_t argument;
    bool any;
    char *why_any; /* owned: "heap", "import return", "exported parameter", ...; NULL unless any */
    struct value *values;
    size_t value_count;
};

struct site {
    uint32_t offset; /* return address, relative */
    uint16_t api;
    enum origin origin;
    enum mode mode;                 /* MODE_INHERIT unless a person set it */
    enum verdict verdict;           /* likewise */
    char *function;                 /* owned: nearest symbol or function start, for readers; may be NULL */
    uint64_t fingerprint;           /* of that function's instructions, the same in every build of it; 0: not known */
    struct constraint *constraints; /* in the order of the arguments; an argument without one is as `any` */
    size_t constraint_count;
    struct value *children; /* programs this site may start unprotected */
    size_t child_count;
};

struct loose {
    uint16_t api;
    enum looseness how;
    char *why; /* owned */
};

struct tail {
    uint32_t target;
    uint16_t flags;
    uint32_t *members;
    size_t member_count;
};

struct module {
    char *path; /* owned */
    struct identity identity;
    struct site *sites;
    size_t site_count;
    struct loose *loose;
    size_t loose_count;
    uint32_t *returns; /* at which the loose functions may be called too: see enum looseness */
    size_t return_count;
    struct tail *tails;
    size_t tail_count;
    bool has_tails; /* the closure is complete */
};

struct document {
    char *program; /* owned: path */
    struct identity identity;
    enum mode mode;
    enum verdict on_violation, on_broken_stack, on_unknown_stack;
    enum verdict on_unlisted_module, on_anonymous_code, on_foreign_stack;
    struct module *modules;
    size_t module_count;
};

/* A mistake in a file: file and line name the place (line 0: none), text what is wrong and what to do. */
struct mistake {
    char text[512];
    unsigned line;
};

void document_init(struct document *document); /* enforce; deny, kill, allow; deny, deny, kill */
void document_free(struct document *document);

/* Both return the element, found or appended. Pointers into the document are valid until the next append. */
struct module *document_module(struct document *document, const struct identity *identity, const char *path);
struct site *module_site(struct module *module, uint32_t offset, uint16_t api); /* new ones are ORIGIN_STATIC */
struct constraint *site_constraint(struct site *site, uint8_t argument);
/* Adds a value unless it is there already (origin aside: the earlier origin stays). Takes over value->text. */
void constraint_add(struct constraint *constraint, struct value value);
void site_add_child(struct site *site, struct value value); /* likewise */
void module_add_loose(struct module *module, uint16_t api, enum looseness how, const char *why);
/* Appends without searching: doubles go when the document is sorted or compiled. */
void module_add_return(struct module *module, uint32_t offset);
/* Appends without searching: tails of one target are united when the document is sorted or compiled. The arrays of a
 * document grow by array_append (util.h) alone. */
struct tail *module_add_tail(struct module *module, uint32_t target);
void tail_add_member(struct tail *tail, uint32_t member);

/* Brings everything into the one order in which policies are written: modules as appended, sites by offset and
 * API, values by kind and value. Idempotent. */
void document_sort(struct document *document);

/* Text form. Reading takes an initialised, empty document; it returns false and fills `mistake` (with the nearest known
 * word for an unknown one), and the document is then still to be freed. Writing keeps the document's order:
 * document_sort comes first. Every argument of a site is a key of its name, and so no argument may be named as one of
 * the site's own keys. */
bool document_read_text(const char *path, struct document *document, struct mistake *mistake);
bool document_parse_text(const char *text, struct document *document, struct mistake *mistake);
void document_write_text(const struct document *document, FILE *out);
/* Writes one value as it stands in the text form ("O_RDONLY|O_CLOEXEC", "0644", "/etc/passwd", "glob:/tmp/...",
 * "inet:127.0.0.1:80", "1..5"); snprintf semantics. */
size_t value_format(const struct value *value, enum argument_kind kind, char *buffer, size_t size);
bool value_parse(const char *text, enum argument_kind kind, struct value *value, struct mistake *mistake);

/* Binary form: a malloc'd, validated image for which policy_validate returns NULL. Never fails for a document
 * that was read or generated; exits with a message on impossible sizes. */
void *document_compile(const struct document *document, size_t *size);

/* "/usr/sbin/nginx" -> "usr.sbin.nginx": under this name plus ".policy" (text) and ".pinion" (binary) a program's
 * policy stands in a policy directory. The shim builds the same name. */
char *policy_file_stem(const char *program);

#endif
