/* dlopen, dlsym and kin, and the stacks that a program tells of. */
#include <link.h>

#include "preload/check.h"
#include "preload/copy.h"
#include "preload/libc.h"
#include "preload/log.h"
#include "preload/resolve.h"
#include "preload/stack.h"
#include "preload/state.h"

#define RTLD_DEEPBIND 8
#define LM_ID_BASE 0
#define RTLD_NEXT_HANDLE UINT64_MAX
#define RTLD_DEFAULT_HANDLE 0

/* ---- dlsym: a handle of libc must not lead past the stubs ---- */

/* What the real function finds through a handle. Its search does not depend on who asks. */
static uint64_t ask(const struct call *call) {
    const uint64_t *argument = call->arguments;
    void *real = pinion_real[call->spelling];
    if (call->index == API_dlvsym)
        return ((uint64_t(*)(uint64_t, uint64_t, uint64_t))real)(argument[0], argument[1], argument[2]);
    return ((uint64_t(*)(uint64_t, uint64_t))real)(argument[0], argument[1]);
}

/* libc's own definition, in any of its versions. */
static bool is_libc_function(uint64_t address, unsigned spelling) {
    const struct mapped_module *module = module_of_code((uint64_t)pinion_real[spelling]);
    return address == (uint64_t)pinion_real[spelling] ||
           (module != NULL && address != 0 && module_of_code(address) == module);
}

/* By itself RTLD_DEFAULT finds the stub, or a definition of the program's own. RTLD_NEXT depends on who asks: from a
 * module behind this library in search order it leads to libc. A module that defines the name itself wraps the
 * function, and gets what it asked for: its own callers met the stub. */
static bool prepare_dlsym(struct call *call) {
    const char *name;
    size_t length;
    if (!take_string(call, 1, &name, &length))
        return false;
    unsigned spelling = name == NULL ? SPELLING_COUNT : spelling_by_name(name);
    uint64_t handle = call->arguments[0], answer;
    if (spelling == SPELLING_COUNT || !resolve_found(spelling) || handle == RTLD_DEFAULT_HANDLE)
        return true;
    if (handle == RTLD_NEXT_HANDLE) {
        if (call->module != NULL && resolve_in(call->module->link, name) != 0)
            return true;
        answer = (uint64_t)pinion_real[spelling];
    } else {
        answer = ask(call);
    }
    call->registers->rax = is_libc_function(answer, spelling) ? (uint64_t)stub_of(spelling) : answer;
    call->target = NULL;
    return false;
}

/* ---- dlopen ---- */

static bool is_named(const struct call *call, unsigned argument) {
    if (call->site == NULL || STATE->policy == NULL)
        return false;
    const struct policy_constraint *constraint = policy_section(STATE->policy, STATE->policy->constraints);
    for (unsigned i = 0; i < call->site->constraint_count; i++)
        if (constraint[call->site->first_constraint + i].argument == argument)
            return true;
    return false;
}

/* A library bound to itself first would call libc past the stubs. */
static void strip_deep_binding(struct call *call, unsigned flags) {
    static uint32_t told; /* atomic: once per process is enough */
    if (!(call->arguments[flags] & RTLD_DEEPBIND) || STATE->mode == MODE_OFF)
        return;
    if (__atomic_exchange_n(&told, 1, __ATOMIC_RELAXED) == 0)
        violate(call,
                &(struct violation){.reason = REASON_DEEP_BINDING, .argument = (int)flags, .verdict = VERDICT_LOG});
    if (STATE->mode == MODE_ENFORCE)
        call->arguments[flags] &= ~(uint64_t)RTLD_DEEPBIND;
}

bool prepare_module_call(struct call *call) {
    switch (call->index) {
    case API_dlsym:
    case API_dlvsym: return prepare_dlsym(call);
    case API_dlopen: strip_deep_binding(call, 1); return true;
    case API_dlmopen:
        strip_deep_binding(call, 2);
        if ((int64_t)call->arguments[0] == LM_ID_BASE || is_named(call, 0))
            return true;
        return violate(call, &(struct violation){.reason = REASON_FOREIGN_NAMESPACE, .argument = 0});
    default: return true;
    }
}

/* ---- stacks ---- */

/* Offsets of uc_stack in ucontext_t and of the fields of stack_t: the kernel's, the same in every libc. */
#define UCONTEXT_STACK 16
#define CLONE_STACK_GUESS (1u << 20)

struct told_stack {
    uint64_t address;
    uint64_t flags; /* int */
    uint64_t size;
};

void register_stack(struct call *call) {
    struct told_stack told;
    switch (call->index) {
    case API_makecontext:
        if (read_bytes(&told, call->arguments[0] + UCONTEXT_STACK, sizeof told))
            stack_register(told.address, told.address + told.size);
        break;
    case API_sigaltstack:
        if (call->arguments[0] == 0 || !read_bytes(&told, call->arguments[0], sizeof told))
            break;
        if ((told.flags & 2) /* SS_DISABLE */)
            told.size = 0;
        call->slot->alternate = (struct stack_range){told.address, told.address + told.size};
        break;
    case API_clone:
        if (call->arguments[1] > CLONE_STACK_GUESS)
            stack_register(call->arguments[1] - CLONE_STACK_GUESS, call->arguments[1]);
        break;
    default: break;
    }
}
