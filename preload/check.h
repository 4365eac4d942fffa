/* One intercepted call on its way through the checks. */
#ifndef PINION_PRELOAD_CHECK_H
#define PINION_PRELOAD_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/copy.h"
#include "preload/modules.h"
#include "preload/registers.h"
#include "preload/threads.h"
#include "runtime/policy.h"

/* open's flags: an access mode other than O_RDONLY, or O_TRUNC, which writes all the same. */
#define OPEN_WRITES (3 | 01000)

struct call {
    struct registers *registers;
    uint64_t *arguments; /* those of the API: for syscall(2) they begin one register later */
    struct thread_slot *slot;
    const struct api *api;
    unsigned index; /* enum api_index */
    unsigned spelling;
    void *target;                       /* where the call goes on; NULL: return to the caller with registers->rax */
    struct mapped_module *caller;       /* room for what the map says of the caller */
    const struct mapped_module *module; /* of the caller; NULL: anonymous code */
    const struct policy_site *site;     /* NULL: none */
    uint64_t *vector;                   /* the copy of a checked argument vector, or NULL */
    unsigned taken;                     /* bit i: argument i already points to a copy */
    bool loose;                         /* allowed without a site: arguments are free */
};

/* What was wrong with a call. */
struct violation {
    enum reason reason;
    int argument;                               /* index, or -1 */
    const struct policy_constraint *constraint; /* the one that was not met, or NULL */
    const char *text;                           /* the offending string, or NULL: the argument's value speaks */
    uint64_t address;                           /* stack reasons: the offending address */
    enum verdict verdict;                       /* VERDICT_INHERIT: that of the site or the policy */
    bool built_in;                              /* no mode and no verdict of the policy loosens it */
};

/* Entered from the stubs, the last for classes with a stack check, the second for calls that may block. Return where the call goes on, or NULL when it
 * ends with registers->rax. */
void *pinion_check(struct registers *registers);
void *pinion_check_visiting(struct registers *registers);
void *pinion_check_fully(struct registers *registers);

/* Decides, logs, and where the verdict says so ends the call (call->target becomes NULL) or the process. Returns whether the
 * call may go on. */
bool violate(struct call *call, const struct violation *violation);

/* Ends the call as its API fails. */
void fail(struct call *call, int error);
void set_errno(int error);

/* Built-in rules that no policy loosens; false: the call has ended. */
bool guard_call(struct call *call);
bool guard_path(struct call *call, unsigned argument, const char *path);

/* exec, spawn, system and kin: protects the child or ends the call. */
bool prepare_child(struct call *call);

/* dlopen, dlsym and kin; stacks that the program registers. */
bool prepare_module_call(struct call *call);
void register_stack(struct call *call);

/* Learn mode: puts what the call does into the record. */
void learn_call(struct call *call);
void learn_child(struct call *call, const char *path);

/* Argument strings: a copy, checked and handed on in place of the original; see copy.h. False: the call has
 * ended (the pointer was bad). A null pointer gives NULL. */
bool take_string(struct call *call, unsigned argument, const char **text, size_t *length);

/* A copy of an argument vector and its strings, in one piece. */
enum copy_result take_vector(struct call *call, unsigned argument, uint64_t **vector, unsigned *count);

#endif
