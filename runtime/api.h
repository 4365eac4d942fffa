/* The table of interposed functions: enumerations, names and argument shapes, all expanded from apis.def.
 *
 * An API is a function as a policy knows it ("open"). A spelling is a symbol through which programs reach it
 * ("open", "open64", "__open_2"): each has its own stub and its own real function, all share the API's rules
 * and its counter. This header and api.c are free of libc: the shim uses them too.
 */
#ifndef PINION_RUNTIME_API_H
#define PINION_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* At most this many arguments of a call are described: those that travel in registers. */
#define API_MAX_ARGUMENTS 6

enum api_class {
#define CLASS(name, text) CLASS_##name,
#include "classes.def"
#undef CLASS
    CLASS_TOTAL
};

enum api_level {
    LEVEL_COUNTED, /* the stub counts and jumps */
    LEVEL_CHECKED, /* the stub counts, checks, and jumps */
    LEVEL_RAW,     /* no libc function: reached through syscall(2) only */
};

/* How a denied call answers its caller. */
enum api_failure {
    FAILURE_ERRNO,   /* -1 and errno; also iconv_open's (iconv_t)-1 and MAP_FAILED */
    FAILURE_NUMBER,  /* the error number itself (posix_spawn, pthread_create) */
    FAILURE_NULL,    /* a null pointer and errno */
    FAILURE_NAME,    /* the real function, handed an impossible name, fails by itself (dlopen, dlsym) */
    FAILURE_WORDEXP, /* WRDE_CMDSUB */
    FAILURE_KILL,    /* cannot fail: the process ends instead */
};

/* How an argument is read. */
enum shape {
    SHAPE_INT32,    /* the low 32 bits, signed */
    SHAPE_UINT32,   /* the low 32 bits, unsigned */
    SHAPE_INT64,    /* all 64 bits */
    SHAPE_PATH,     /* string, compared as a path: "//" and "/./" are removed first */
    SHAPE_STRING,   /* string, compared byte for byte */
    SHAPE_SOCKADDR, /* struct sockaddr; the next argument is its length */
    SHAPE_MSGHDR,   /* struct msghdr, of which msg_name is compared as a socket address */
    SHAPE_ARGV,     /* vector of strings that ends with a null pointer, or the variadic list of execl* */
    SHAPE_OPAQUE,   /* not read, never constrained */
};

/* Named sets of constants, for reading and writing values symbolically; see constants.h. */
enum constant_set {
    CONSTANTS_NONE,
    CONSTANTS_OCTAL, /* no names: a file mode */
#define CONSTANT_SET(name, combines) CONSTANTS_##name,
#include "constants.def"
#undef CONSTANT_SET
    CONSTANTS_COUNT
};

enum argument_kind {
#define KIND(name, shape, constants) KIND_##name,
#include "kinds.def"
#undef KIND
    KIND_COUNT
};

/* An argument may only mean something when another one says so. Where the condition is false the argument is
 * neither checked nor recorded nor logged. */
enum condition {
    WHEN_ALWAYS,
    WHEN_CREATES,     /* the OPEN_FLAGS argument holds O_CREAT or the whole of O_TMPFILE */
    WHEN_FCNTL_INT,   /* the FCNTL_COMMAND takes an integer that matters (F_SETFL, F_SETFD, ...) */
    WHEN_PRCTL_INT,   /* the PRCTL_OPTION takes an integer */
    WHEN_REMAP_FIXED, /* the MREMAP_FLAGS argument holds MREMAP_FIXED */
};

struct argument {
    uint8_t kind;      /* enum argument_kind */
    uint8_t condition; /* enum condition */
    char name[22];
};

struct api {
    char name[34];
    uint8_t class;
    uint8_t level;
    uint8_t failure;
    uint8_t argument_count;
    struct argument arguments[API_MAX_ARGUMENTS];
};

enum api_index {
#define API(name, class, level, failure, ...) API_##name,
#include "apis.def"
    API_COUNT,
    API_NONE = 0xffff,
};

/* A spelling exists for every API that libc has, and for every ALIAS row. */
enum spelling {
#define API(name, class, level, failure, ...) SPELLING_IF_##level(name)
#define ALIAS(canonical, name) SPELLING_##name,
#define SPELLING_IF_COUNTED(name) SPELLING_##name,
#define SPELLING_IF_CHECKED(name) SPELLING_##name,
#define SPELLING_IF_RAW(name)
#include "apis.def"
#undef SPELLING_IF_COUNTED
#undef SPELLING_IF_CHECKED
#undef SPELLING_IF_RAW
    SPELLING_COUNT
};

struct spelling_row {
    char name[34];
    uint16_t api;
};

extern const struct api api_table[API_COUNT];
extern const struct spelling_row spelling_table[SPELLING_COUNT];

/* One value for all that a compiled policy depends on: names, order, arguments. A policy compiled against
 * another table is refused. */
uint64_t api_table_fingerprint(void);

/* The API or spelling with exactly this name, or API_NONE / SPELLING_COUNT. Linear: not for the hot path. */
unsigned api_by_name(const char *name);
unsigned spelling_by_name(const char *name);

/* The API whose system call has this number, or API_NONE. */
unsigned api_by_system_call(long number);

const char *api_class_name(enum api_class class);
enum shape argument_shape(enum argument_kind kind);
enum constant_set argument_constants(enum argument_kind kind);

/* Whether the argument means anything in a call with these register arguments. */
bool argument_matters(const struct api *api, unsigned argument, const uint64_t values[API_MAX_ARGUMENTS]);

#endif
