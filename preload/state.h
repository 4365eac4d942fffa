/* What the shim knows after start-up. All of it lies in pages that are sealed read-only before the first check
 * is answered, together with the addresses of the real functions: nothing writable decides.
 */
#ifndef PINION_PRELOAD_STATE_H
#define PINION_PRELOAD_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/descriptor.h"
#include "runtime/policy.h"
#include "runtime/record.h"

#define PAGE_BYTES 4096u
#define PATH_BYTES 4096u

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define COLD __attribute__((cold, noinline))

struct module_map;
struct timespec;

typedef int clock_function(int clock, struct timespec *now);
struct r_debug;

/* What a child must be given so that it is as protected as this process: complete "NAME=value" strings. */
#define INHERITED_MAX 10

struct state {
    const struct policy_header *policy; /* NULL: the program has none */
    const struct module_map *modules;
    const struct module_map *quick; /* the same, or NULL where every call takes the long way: no policy, other modes */
    const struct policy_constraint *constraints; /* sections of the policy */
    const int64_t *integers;
    const struct policy_string *strings;
    struct r_debug *debug;        /* the loader's, for what is loaded later */
    struct record_header *record; /* learn mode: shared with all processes of the run, or NULL */
    struct identity program;
    uint8_t mode; /* enum mode; never zero once sealed */
    uint8_t on_unlisted_module, on_anonymous_code, on_broken_stack, on_unknown_stack, on_foreign_stack, on_violation;
    bool musl;
    struct kept_descriptor log;
    const char *log_path; /* NULL: standard error */
    struct kept_descriptor event_socket;
    const char *event_path; /* NULL: no events are sent */
    uint64_t policy_bytes;
    uint64_t record_bytes;
    uint64_t environment_end;   /* above the first thread's stack */
    uint64_t first_thread;      /* its thread pointer; with the next two, set by stack_start */
    uint64_t first_stack_low;   /* as far as its stack may grow */
    uint64_t first_stack_start; /* no frame of its outermost function lies lower */
    clock_function *clock;      /* of the vDSO, or NULL */
    uint64_t interval;          /* nanoseconds, where this process makes the page of counts; 0: as the model has it */
    const char *model_path;     /* PINION_MODEL; NULL: the default, if it is there */
    const char *counts_path;    /* PINION_COUNTS; NULL: the default */
    char ***environment;        /* libc's environ */
    int *(*errno_location)(void);
    const char *inherited[INHERITED_MAX];
    unsigned inherited_count;
    const char *shim_path; /* as LD_PRELOAD names it; NULL when the loader's own configuration brought the shim */
    const char *preload;   /* "LD_PRELOAD=" and the shim's path */
    const char *program_path;
    const char *policy_directory; /* as it was given; never NULL */
    uint64_t policy_device, policy_inode;
    uint32_t text_used;
    uint32_t ready;            /* stored last, with release order, when all else is in place */
    char text[3 * PATH_BYTES]; /* holds the strings above; behind all else, so that few pages are touched */
};

#define READY 0x50494e31u

extern union sealed_state {
    struct state state;
    char pages[(sizeof(struct state) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES];
} pinion_sealed_state;

#define STATE (&pinion_sealed_state.state)

/* The real function of every spelling, from entry.S; NULL where libc has none. Sealed too. */
extern void *pinion_real[SPELLING_COUNT];

/* The stub of a spelling, as dlsym must hand it out. */
extern const int32_t pinion_stub_offsets[SPELLING_COUNT];
static inline void *stub_of(unsigned spelling) {
    return (char *)pinion_stub_offsets + pinion_stub_offsets[spelling];
}

/* Starts the shim: once, idempotent, from the constructor or from the first call of any stub. */
void pinion_start(void);

#endif
