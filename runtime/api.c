/* The table of interposed functions and its look-ups. The shim runs this code before libc is ready: no library
 * call may happen here, and nothing here may be writable.
 */
#include "runtime/api.h"

/* Every table comes before the system's headers: those of musl make some function names macros. */

/* clang-format off */
#define CLASS(name, text) [CLASS_##name] = text,
static const char class_names[CLASS_TOTAL][12] = {
#include "runtime/classes.def"
};
#undef CLASS

#define KIND(name, shape, constants) [KIND_##name] = {SHAPE_##shape, CONSTANTS_##constants},
static const struct {
    uint8_t shape;
    uint8_t constants;
} kind_table[KIND_COUNT] = {
#include "runtime/kinds.def"
};
#undef KIND

/* A row's number of arguments: its ARGs become a sum. */
#define ARG(kind, name) +1
#define ARG_WHEN(kind, name, condition) +1
enum argument_count {
#define API(name, class, level, failure, ...) ARGUMENTS_OF_##name = 0 __VA_ARGS__,
#include "runtime/apis.def"
};

#undef ARG
#undef ARG_WHEN

#define ARG(kind, name) {KIND_##kind, WHEN_ALWAYS, #name},
#define ARG_WHEN(kind, name, condition) {KIND_##kind, WHEN_##condition, #name},
#define API(name, class, level, failure, ...)                                                                          \
    [API_##name] = {#name, CLASS_##class, LEVEL_##level, FAILURE_##failure, ARGUMENTS_OF_##name, {__VA_ARGS__}},
const struct api api_table[API_COUNT] = {
#include "runtime/apis.def"
};
#undef ARG
#undef ARG_WHEN

#define ROW_IF_COUNTED(name) [SPELLING_##name] = {#name, API_##name},
#define ROW_IF_CHECKED(name) [SPELLING_##name] = {#name, API_##name},
#define ROW_IF_RAW(name)
#define API(name, class, level, failure, ...) ROW_IF_##level(name)
#define ALIAS(canonical, name) [SPELLING_##name] = {#name, API_##canonical},
const struct spelling_row spelling_table[SPELLING_COUNT] = {
#include "runtime/apis.def"
};
#undef ROW_IF_COUNTED
#undef ROW_IF_CHECKED
#undef ROW_IF_RAW
/* clang-format on */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* clang-format off */
/* One more than the API, so that a number without a row is zero. */
#define SYSCALL(name, number) [number] = API_##name + 1,
static const uint16_t api_of_system_call[] = {
#include "runtime/apis.def"
};
/* clang-format on */

#define X32_BIT 0x40000000u
#define FNV_OFFSET_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

static bool same_text(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

#ifdef PINION_SHIM
/* Hashing the tables would take some microseconds of every program's start: the build has done it. */
#include "build/fingerprint.h"

uint64_t api_table_fingerprint(void) {
    return API_TABLE_FINGERPRINT;
}
#else
/* FNV-1a. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (; size > 0; bytes++, size--)
        hash = (hash ^ *bytes) * FNV_PRIME;
    return hash;
}

/* Neither table holds padding: names are filled up with zeros. A row of kinds.def changes policies as well. */
_Static_assert(sizeof(struct argument) == 24 && sizeof(struct api) == 38 + API_MAX_ARGUMENTS * 24, "no padding");

uint64_t api_table_fingerprint(void) {
    return hash_bytes(hash_bytes(FNV_OFFSET_BASIS, api_table, sizeof api_table), kind_table, sizeof kind_table);
}
#endif

unsigned spelling_by_name(const char *name) {
    for (unsigned i = 0; i < SPELLING_COUNT; i++)
        if (same_text(spelling_table[i].name, name))
            return i;
    return SPELLING_COUNT;
}

unsigned api_by_name(const char *name) {
    unsigned spelling = spelling_by_name(name);
    if (spelling < SPELLING_COUNT)
        return spelling_table[spelling].api;
    for (unsigned i = 0; i < API_COUNT; i++)
        if (same_text(api_table[i].name, name))
            return i;
    return API_NONE;
}

/* The kernel reads the low 32 bits of the number, and the x32 bit leads to the same calls: neither may hide one. */
unsigned api_by_system_call(long number) {
    uint32_t index = (uint32_t)number & ~X32_BIT;
    if (index >= sizeof(api_of_system_call) / sizeof(api_of_system_call[0]) || api_of_system_call[index] == 0)
        return API_NONE;
    return api_of_system_call[index] - 1u;
}

const char *api_class_name(enum api_class class) {
    return (unsigned)class < CLASS_TOTAL ? class_names[class] : "";
}

enum shape argument_shape(enum argument_kind kind) {
    return (unsigned)kind < KIND_COUNT ? (enum shape)kind_table[kind].shape : SHAPE_OPAQUE;
}

enum constant_set argument_constants(enum argument_kind kind) {
    return (unsigned)kind < KIND_COUNT ? (enum constant_set)kind_table[kind].constants : CONSTANTS_NONE;
}

/* The low 32 bits of the call's argument of this kind; zero if the API has none. */
static uint32_t value_of_kind(const struct api *api, enum argument_kind kind,
                              const uint64_t values[API_MAX_ARGUMENTS]) {
    for (unsigned i = 0; i < api->argument_count; i++)
        if (api->arguments[i].kind == kind)
            return (uint32_t)values[i];
    return 0;
}

static bool creates(uint32_t flags) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
}

/* Commands without an argument, with a pointer, and those whose number is a size or a lower bound are left out. */
static bool fcntl_takes_integer(uint32_t command) {
    switch (command) {
    case F_SETFD:
    case F_SETFL:
    case F_SETOWN:
    case F_SETSIG:
    case F_SETLEASE:
    case F_NOTIFY:
    case F_ADD_SEALS: return true;
    default: return false;
    }
}

static bool prctl_takes_integer(uint32_t option) {
    switch (option) {
    case PR_SET_PDEATHSIG:
    case PR_SET_DUMPABLE:
    case PR_SET_UNALIGN:
    case PR_SET_KEEPCAPS:
    case PR_SET_FPEMU:
    case PR_SET_FPEXC:
    case PR_SET_TIMING:
    case PR_SET_ENDIAN:
    case PR_SET_SECCOMP:
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
    case PR_SET_TSC:
    case PR_SET_SECUREBITS:
    case PR_MCE_KILL:
    case PR_SET_MM:
    case PR_SET_PTRACER:
    case PR_SET_CHILD_SUBREAPER:
    case PR_SET_NO_NEW_PRIVS:
    case PR_SET_THP_DISABLE:
    case PR_SET_FP_MODE:
    case PR_CAP_AMBIENT:
    case PR_GET_SPECULATION_CTRL:
    case PR_SET_SPECULATION_CTRL:
    case PR_SET_IO_FLUSHER:
    case PR_SET_SYSCALL_USER_DISPATCH: return true;
    default: return false;
    }
}

bool argument_matters(const struct api *api, unsigned argument, const uint64_t values[API_MAX_ARGUMENTS]) {
    if (argument >= api->argument_count)
        return false;
    switch ((enum condition)api->arguments[argument].condition) {
    case WHEN_ALWAYS: return true;
    case WHEN_CREATES: return creates(value_of_kind(api, KIND_OPEN_FLAGS, values));
    case WHEN_FCNTL_INT: return fcntl_takes_integer(value_of_kind(api, KIND_FCNTL_COMMAND, values));
    case WHEN_PRCTL_INT: return prctl_takes_integer(value_of_kind(api, KIND_PRCTL_OPTION, values));
    case WHEN_REMAP_FIXED: return (value_of_kind(api, KIND_MREMAP_FLAGS, values) & MREMAP_FIXED) != 0;
    }
    return true;
}
