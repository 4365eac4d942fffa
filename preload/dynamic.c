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

static const struct mapped_module *module_of_handle(uint64_t handle) {
    const struct module_map *map = STATE->modules;
    for (uint64_t i = 0; map != NULL && i < map->count; i++)
        if ((uint64_t)map->modules[i].link == handle)
            return &map->modules[i];
    return NULL;
}

/* Whether the symbol that the real dlsym would find is the very function that the stub stands for. */
static bool leads_to_real(const struct call *call, unsigned spelling) {
    uint64_t handle = call->arguments[0], real = (uint64_t)pinion_real[spelling];
    const char *name = spelling_table[spelling].name;
    if (handle == RTLD_DEFAULT_HANDLE)
        return false; /* finds the stub, or a definition of the program's own, by itself */
    if (handle == RTLD_NEXT_HANDLE)
        return call->module == NULL || resolve_in(call->module->link, name) == 0;
    const struct mapped_module *module = module_of_handle(handle);
    uint64_t own = module == NULL ? 0 : resolve_in(module->link, name);
    return own == 0 || own == real;
}

static bool prepare_dlsym(struct call *call) {
    const char *name;
    size_t length;
    if (!take_string(call, 1, &name, &length))
        return false;
    unsigned spelling = name == NULL ? SPELLING_COUNT : spelling_by_name(name);
    if (spelling == SPELLING_COUNT || !leads_to_real(call, spelling) || !resolve_found(spelling))
        return true;
    call->registers->rax = (uint64_t)stub_of(spelling);
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
    if (!(call->arguments[flags] & RTLD_DEEPBIND) || STATE->mode == MODE_OFF)
        return;
    violate(call, &(struct violation){.reason = REASON_DEEP_BINDING, .argument = (int)flags, .verdict = VERDICT_LOG});
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
