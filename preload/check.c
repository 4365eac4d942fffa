/* The check of one call: hot path first. A call whose site is known and whose arguments are integers or constants
 * is decided here without a system call and without a store outside the caller's stack.
 *
 * No malloc, no locks, no libc; errno is untouched unless the call is refused.
 */
#include "preload/check.h"

#include <asm/errno.h>
#include <linux/prctl.h>

#include "preload/copy.h"
#include "preload/counts.h"
#include "preload/filter.h"
#include "preload/layout.h"
#include "preload/libc.h"
#include "preload/log.h"
#include "preload/site.h"
#include "preload/stack.h"
#include "preload/state.h"
#include "runtime/match.h"
#include "runtime/rule.h"

_Static_assert(offsetof(struct registers, arguments) == REGISTERS_RDI, "entry.S stores the arguments here");
_Static_assert(offsetof(struct registers, rax) == REGISTERS_RAX, "entry.S stores rax here");
_Static_assert(offsetof(struct registers, spelling) == REGISTERS_SPELLING, "entry.S stores the spelling here");
_Static_assert(sizeof(struct registers) == REGISTERS_BYTES + 8, "entry.S skips so many bytes");
_Static_assert(API_COUNT < 0x7fff && SPELLING_COUNT < 0x10000, "entry.S packs both into one register");

/* Sealed pages are no place for it: it changes. */
uint32_t pinion_filtered;

/* ---- what each API needs beyond its site's constraints ---- */

enum special {
    SPECIAL_STACK = 1,     /* the stack check */
    SPECIAL_CHILD = 2,     /* starts a program */
    SPECIAL_GUARD = 4,     /* may change memory that protects the process */
    SPECIAL_MODULE = 8,    /* loads code or finds symbols */
    SPECIAL_REGISTER = 16, /* tells of a stack */
    SPECIAL_PATH = 32,     /* opens files for writing: /proc/self/mem */
    SPECIAL_SYSCALL = 64,
    SPECIAL_FILTER = 128, /* may set a filter of system calls */
};

#define STACK_EXEC SPECIAL_STACK
#define STACK_CODE SPECIAL_STACK
#define STACK_MODULE SPECIAL_STACK
#define STACK_IDENTITY SPECIAL_STACK
#define STACK_PROCESS SPECIAL_STACK
#define STACK_FILE 0
#define STACK_NETWORK 0
#define STACK_STACK 0
#define STACK_COUNT 0

static const uint8_t class_special[API_COUNT] = {
#define API(name, class, level, failure, ...) [API_##name] = STACK_##class,
#include "runtime/apis.def"
};

static const uint8_t own_special[API_COUNT] = {
    [API_execve] = SPECIAL_CHILD,
    [API_execv] = SPECIAL_CHILD,
    [API_execvp] = SPECIAL_CHILD,
    [API_execvpe] = SPECIAL_CHILD,
    [API_execl] = SPECIAL_CHILD,
    [API_execlp] = SPECIAL_CHILD,
    [API_execle] = SPECIAL_CHILD,
    [API_fexecve] = SPECIAL_CHILD,
    [API_execveat] = SPECIAL_CHILD,
    [API_posix_spawn_file_actions_addopen] = SPECIAL_PATH,
    [API_posix_spawn] = SPECIAL_CHILD,
    [API_posix_spawnp] = SPECIAL_CHILD,
    [API_system] = SPECIAL_CHILD,
    [API_popen] = SPECIAL_CHILD,
    [API_wordexp] = SPECIAL_CHILD,
    [API_mmap] = SPECIAL_GUARD,
    [API_munmap] = SPECIAL_GUARD,
    [API_mprotect] = SPECIAL_GUARD,
    [API_pkey_mprotect] = SPECIAL_GUARD,
    [API_mremap] = SPECIAL_GUARD,
    [API_madvise] = SPECIAL_GUARD,
    [API_posix_madvise] = SPECIAL_GUARD,
    [API_process_madvise] = SPECIAL_GUARD,
    [API_shmat] = SPECIAL_GUARD,
    [API_process_vm_writev] = SPECIAL_GUARD,
    [API_dlopen] = SPECIAL_MODULE,
    [API_dlmopen] = SPECIAL_MODULE,
    [API_dlsym] = SPECIAL_MODULE,
    [API_dlvsym] = SPECIAL_MODULE,
    [API_makecontext] = SPECIAL_REGISTER,
    [API_sigaltstack] = SPECIAL_REGISTER,
    [API_clone] = SPECIAL_REGISTER,
    [API_open] = SPECIAL_PATH,
    [API_openat] = SPECIAL_PATH,
    [API_openat2] = SPECIAL_PATH,
    [API_creat] = SPECIAL_PATH,
    [API_fopen] = SPECIAL_PATH,
    [API_freopen] = SPECIAL_PATH,
    [API_setmntent] = SPECIAL_PATH,
    [API_truncate] = SPECIAL_PATH,
    [API_prctl] = SPECIAL_FILTER,
    [API_seccomp] = SPECIAL_FILTER,
    [API_syscall] = SPECIAL_SYSCALL,
};

static inline unsigned special_of(unsigned api) {
    return class_special[api] | own_special[api];
}

/* ---- errors ---- */

void set_errno(int error) {
    if (STATE->errno_location != NULL)
        *STATE->errno_location() = error;
}

/* No file can have this name, for no file system takes a component of more than 255 bytes, and no symbol has it: what
 * the real function then says of it is the refusal. */
static const char impossible_name[] =
    "/refused by pinion: the policy does not allow this ................................................"
    "......................................................................................................"
    "......................................................................................................";

_Static_assert(sizeof impossible_name > 290, "longer than NAME_MAX");

void fail(struct call *call, int error) {
    call->target = NULL;
    switch ((enum api_failure)call->api->failure) {
    case FAILURE_ERRNO:
        set_errno(error);
        call->registers->rax = (uint64_t)-1;
        return;
    case FAILURE_NUMBER: call->registers->rax = (uint64_t)error; return;
    case FAILURE_NULL:
        set_errno(error);
        call->registers->rax = 0;
        return;
    case FAILURE_NAME:
        for (unsigned i = 0; i < call->api->argument_count; i++)
            if (call->api->arguments[i].kind == KIND_NAME) {
                call->arguments[i] = (uint64_t)impossible_name;
                break;
            }
        call->target = pinion_real[call->spelling];
        return;
    case FAILURE_WORDEXP:
        call->registers->rax = 4; /* WRDE_CMDSUB */
        return;
    case FAILURE_KILL: break;
    }
    end_process();
}

/* ---- strings ---- */

#define STRING_BYTES (COPY_BYTES / 4) /* longer commands and names are refused where a rule reads them */

bool take_string(struct call *call, unsigned argument, const char **text, size_t *length) {
    uint64_t source = call->arguments[argument];
    *text = NULL;
    *length = 0;
    if (source == 0)
        return true;
    if (call->taken & 1u << argument) {
        *text = (const char *)source;
        *length = strlen(*text);
        return true;
    }
    const char *copy;
    bool is_path = argument_shape(call->api->arguments[argument].kind) == SHAPE_PATH;
    enum copy_result result =
        copy_string(call->slot, call->registers, source, is_path ? PATH_BYTES - 1 : STRING_BYTES, &copy, length);
    if (result == COPY_UNREADABLE || (result == COPY_TOO_LONG && is_path)) {
        fail(call, result == COPY_UNREADABLE ? EFAULT : ENAMETOOLONG);
        return false;
    }
    if (result != COPY_DONE) /* the mode decides; where it lets the call pass, it passes unread */
        return violate(call, &(struct violation){.reason = REASON_NO_SLOT, .argument = (int)argument});
    *text = copy;
    /* mkstemp and kin write the result where the template stands. */
    if (call->api->arguments[argument].kind != KIND_TEMPLATE) {
        call->arguments[argument] = (uint64_t)copy;
        call->taken |= 1u << argument;
    }
    return true;
}

static bool needs_normalising(const char *path, size_t length) {
    for (size_t i = 0; i + 1 < length; i++)
        if (path[i] == '/' && (path[i + 1] == '/' || (path[i + 1] == '.' && i + 2 < length && path[i + 2] == '/')))
            return true;
    return false;
}

/* Rules compare paths without "//" and "/./"; the application's spelling is what the real function gets. */
static const char *comparable(struct call *call, unsigned argument, const char *text, size_t *length) {
    unsigned shape = argument_shape(call->api->arguments[argument].kind);
    if (shape != SHAPE_PATH || !needs_normalising(text, *length))
        return text;
    char *copy = copy_allocate(call->slot, call->registers, *length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, *length + 1);
    *length = path_normalise(copy, *length);
    return copy;
}

static bool check_string(struct call *call, const struct policy_constraint *constraint) {
    const char *text;
    size_t length;
    if (!take_string(call, constraint->argument, &text, &length))
        return false;
    const char *compared = text == NULL ? NULL : comparable(call, constraint->argument, text, &length);
    if (compared != NULL && rule_allows_text(STATE->policy, constraint, 0, compared, length))
        return true;
    return violate(call, &(struct violation){.reason = REASON_ARGUMENT,
                                             .argument = constraint->argument,
                                             .constraint = constraint,
                                             .text = compared});
}

/* ---- vectors and socket addresses ---- */

#define VECTOR_ELEMENTS 4096
#define VECTOR_BYTES (COPY_BYTES / 2)

/* The i-th pointer of an argument vector, or of the variadic list of execl and kin. */
static bool vector_element(const struct call *call, unsigned argument, unsigned i, uint64_t *element) {
    if (call->arguments[argument] == 0) { /* the kernel takes it for an empty vector */
        *element = 0;
        return true;
    }
    if (call->index != API_execl && call->index != API_execlp && call->index != API_execle)
        return read_word(call->arguments[argument] + 8 * (uint64_t)i, element);
    unsigned place = argument + i;
    *element = place < 6 ? call->arguments[place] : call->registers->stack_arguments[place - 6];
    return true;
}

/* The original's pointers, with a null pointer behind them. */
static enum copy_result read_pointers(const struct call *call, unsigned argument, uint64_t *vector, unsigned *count) {
    for (*count = 0; *count < VECTOR_ELEMENTS; ++*count) {
        if (!vector_element(call, argument, *count, &vector[*count]))
            return COPY_UNREADABLE;
        if (vector[*count] == 0)
            return COPY_DONE;
    }
    return COPY_TOO_LONG;
}

enum copy_result take_vector(struct call *call, unsigned argument, uint64_t **vector, unsigned *count) {
    *vector = copy_allocate(call->slot, call->registers, VECTOR_BYTES);
    if (*vector == NULL)
        return COPY_NO_ROOM;
    enum copy_result result = read_pointers(call, argument, *vector, count);
    char *text = (char *)(*vector + *count + 1), *end = (char *)*vector + VECTOR_BYTES;
    for (unsigned i = 0; i < *count && result == COPY_DONE; i++) {
        size_t length = 0;
        result = text < end
                     ? read_string(call->slot, call->registers, (*vector)[i], text, (size_t)(end - text) - 1, &length)
                     : COPY_TOO_LONG;
        (*vector)[i] = (uint64_t)text;
        text += length + 1;
    }
    copy_shrink(call->slot, *vector, result == COPY_DONE ? (size_t)(text - (char *)*vector) : 0);
    return result;
}

static bool check_vector(struct call *call, const struct policy_constraint *constraint) {
    struct violation violation = {
        .reason = REASON_ARGUMENT, .argument = constraint->argument, .constraint = constraint};
    uint64_t *vector;
    unsigned count;
    enum copy_result result = take_vector(call, constraint->argument, &vector, &count);
    if (result == COPY_UNREADABLE) {
        fail(call, EFAULT);
        return false;
    }
    if (result != COPY_DONE) {
        violation.reason = REASON_NO_SLOT;
        return violate(call, &violation);
    }
    for (unsigned i = 0; i < count; i++) {
        violation.text = (const char *)vector[i];
        if (!rule_allows_text(STATE->policy, constraint, i < 254 ? i : 254, violation.text, strlen(violation.text)) &&
            !violate(call, &violation))
            return false;
    }
    if (!rule_allows_end(STATE->policy, constraint, count)) {
        violation.text = NULL;
        if (!violate(call, &violation))
            return false;
    }
    call->vector = vector; /* prepare_child hands it on */
    return true;
}

#define SOCKADDR_MAX 128

/* A socket address is copied, and the copy is handed on. */
static bool check_address(struct call *call, const struct policy_constraint *constraint) {
    unsigned argument = constraint->argument;
    uint64_t source = call->arguments[argument], size = 0;
    uint64_t *place = &call->arguments[argument];
    if (constraint->shape == SHAPE_MSGHDR) {
        uint64_t *header = copy_bytes(call->slot, call->registers, source, 56);
        if (header == NULL) {
            fail(call, EFAULT);
            return false;
        }
        call->arguments[argument] = (uint64_t)header;
        place = &header[0];
        source = header[0];
        size = (uint32_t)header[1];
    } else if (argument + 1u < API_MAX_ARGUMENTS) {
        size = (uint32_t)call->arguments[argument + 1];
    }
    if (source == 0)
        return true; /* a connected socket's send: the address was checked when it connected */
    void *copy = size > SOCKADDR_MAX ? NULL : copy_bytes(call->slot, call->registers, source, size);
    if (copy == NULL) {
        fail(call, size > SOCKADDR_MAX ? EINVAL : EFAULT);
        return false;
    }
    *place = (uint64_t)copy;
    if (rule_allows_address(STATE->policy, constraint, copy, size))
        return true;
    return violate(call,
                   &(struct violation){.reason = REASON_ARGUMENT, .argument = (int)argument, .constraint = constraint});
}

/* ---- the site's rule ---- */

/* Constraints that need memory. Returns whether the call may go on. */
static COLD bool check_memory(struct call *call, const struct policy_constraint *constraint) {
    switch (constraint->kind) {
    case CONSTRAINT_STRINGS: return check_string(call, constraint);
    case CONSTRAINT_ARGV: return check_vector(call, constraint);
    case CONSTRAINT_ADDRESSES: return check_address(call, constraint);
    default: return true; /* CONSTRAINT_CHILDREN: prepare_child looks at it */
    }
}

static bool check_constraints(struct call *call) {
    const struct policy_header *policy = STATE->policy;
    const struct policy_constraint *constraint = policy_section(policy, policy->constraints);
    constraint += call->site->first_constraint;
    for (unsigned left = call->site->constraint_count; left > 0; left--, constraint++) {
        uint64_t value = call->arguments[constraint->argument];
        if (constraint->condition != WHEN_ALWAYS && !argument_matters(call->api, constraint->argument, call->arguments))
            continue;
        if (constraint->kind <= CONSTRAINT_MASK) {
            if (likely(rule_allows_integer(policy, constraint, value)))
                continue;
            if (!violate(call, &(struct violation){.reason = REASON_ARGUMENT,
                                                   .argument = constraint->argument,
                                                   .constraint = constraint}))
                return false;
        } else if (constraint->kind == CONSTRAINT_STRINGS &&
                   likely(rule_allows_constant(policy, constraint, value, call->module->bias))) {
            continue;
        } else if (!check_memory(call, constraint)) {
            return false;
        }
    }
    return true;
}

/* ---- the slow part ---- */

static bool check_stack(struct call *call) {
    struct stack_result result = stack_check(call->registers, call->slot);
    if (likely(result.state == STACK_SOUND))
        return true;
    enum verdict verdict = result.state == STACK_UNKNOWN ? STATE->on_unknown_stack : STATE->on_broken_stack;
    if (result.reason == REASON_ANONYMOUS_CODE)
        verdict = STATE->on_anonymous_code;
    if (result.foreign)
        verdict = STATE->on_foreign_stack;
    return violate(call, &(struct violation){
                             .reason = result.reason, .argument = -1, .address = result.address, .verdict = verdict});
}

/* No site: the module's loose rules, or a violation. */
static bool check_unlisted(struct call *call) {
    struct violation violation = {.reason = REASON_UNKNOWN_SITE, .argument = -1};
    if (STATE->policy == NULL)
        return true; /* said at start-up; the built-in rules and the stack check remain */
    if (call->module == NULL) {
        violation.reason = REASON_ANONYMOUS_CODE;
        violation.verdict = STATE->on_anonymous_code;
    } else if (call->module->rules == NULL) {
        violation.reason = call->module->changed ? REASON_CHANGED_MODULE : REASON_UNKNOWN_MODULE;
        violation.verdict = STATE->on_unlisted_module;
    }
    return violate(call, &violation);
}

/* Whether the call can only read what it opens. A mode string is taken, so that it stays what it is. */
static bool only_reads(struct call *call, bool *ended) {
    for (unsigned i = 0; i < call->api->argument_count; i++) {
        const char *mode;
        size_t length;
        if (call->api->arguments[i].kind == KIND_OPEN_FLAGS)
            return (call->arguments[i] & OPEN_WRITES) == 0;
        if (call->api->arguments[i].kind != KIND_NAME)
            continue;
        *ended = !take_string(call, i, &mode, &length);
        return !*ended && mode != NULL && mode[0] == 'r' && strchr(mode, '+') == NULL;
    }
    return false;
}

/* What may write: is the memory of a process meant? */
static bool check_written_path(struct call *call) {
    bool ended = false;
    if (only_reads(call, &ended) || ended)
        return !ended;
    for (unsigned i = 0; i < call->api->argument_count; i++) {
        const char *text;
        size_t length;
        if (argument_shape(call->api->arguments[i].kind) != SHAPE_PATH)
            continue;
        if (!take_string(call, i, &text, &length))
            return false;
        if (text != NULL && !guard_path(call, i, text))
            return false;
    }
    return true;
}

static bool check_special(struct call *call, unsigned special) {
    if (special & SPECIAL_GUARD && !guard_call(call))
        return false;
    if (special & SPECIAL_PATH && !check_written_path(call))
        return false;
    if (special & SPECIAL_MODULE && !prepare_module_call(call))
        return false;
    if (special & SPECIAL_CHILD && !prepare_child(call))
        return false;
    if (special & SPECIAL_REGISTER)
        register_stack(call);
    if (special & SPECIAL_FILTER && (call->index == API_seccomp || call->arguments[0] == PR_SET_SECCOMP))
        filter_set();
    return true;
}

/* Before the process may be over, or another program. Most signals go to other processes. */
static void tell_before_leaving(const struct call *call) {
    bool sends = call->index == API_kill || call->index == API_tgkill || call->index == API_sigqueue;
    int32_t target = (int32_t)call->arguments[0];
    if (counts_may_leave(call->index) && (!sends || target <= 0 || (uint32_t)target == call->slot->process))
        counts_leave();
}

static bool check_one(struct call *call, unsigned special) {
    if (unlikely(STATE->mode == MODE_LEARN || (STATE->policy == NULL && STATE->record != NULL)))
        learn_call(call);
    /* First: where the stack is broken, its verdict outranks that of a wrong argument or place. */
    if (special & SPECIAL_STACK && !check_stack(call))
        return false;
    if (call->site != NULL) {
        if (call->site->constraint_count != 0 && !check_constraints(call))
            return false;
    } else if (!call->loose && !check_unlisted(call)) {
        return false;
    }
    return (special & ~(unsigned)(SPECIAL_SYSCALL | SPECIAL_STACK)) == 0 || check_special(call, special);
}

/* syscall(2): the number names the function that it imitates; that one's rules hold, too. */
static bool check_system_call(struct call *call) {
    unsigned meant = api_by_system_call((long)call->arguments[0]);
    if (meant == API_NONE || meant == API_syscall)
        return true;
    struct call inner = *call;
    uint64_t arguments[API_MAX_ARGUMENTS];
    for (unsigned i = 0; i < 5; i++)
        arguments[i] = call->registers->arguments[i + 1];
    arguments[5] = call->registers->stack_arguments[0];
    inner.arguments = arguments;
    inner.api = &api_table[meant];
    inner.index = meant;
    inner.site = NULL;
    inner.taken = 0;
    if (call->module != NULL && call->module->rules != NULL)
        inner.site = site_of(call->module, call->registers->return_address, meant);
    inner.loose = inner.site == NULL; /* the site's own rule, which names the number, has allowed it */
    count_call(call->slot, meant);
    tell_before_leaving(&inner);
    if (!check_one(&inner, special_of(meant) & ~(unsigned)SPECIAL_STACK)) {
        call->target = NULL;
        return false;
    }
    for (unsigned i = 0; i < 5; i++)
        call->registers->arguments[i + 1] = arguments[i];
    return true;
}

/* Where no thread slot can be had there is nothing to hold a copy: nothing is allowed that needs one. */
static COLD void *without_slot(struct call *call) {
    violate(call, &(struct violation){.reason = REASON_NO_SLOT, .argument = -1});
    return call->target;
}

static COLD void *check_slowly(struct registers *registers, unsigned spelling, unsigned index) {
    struct mapped_module caller;
    struct call call = {
        .caller = &caller,
        .registers = registers,
        .arguments = registers->arguments,
        .slot = thread_slot(),
        .api = &api_table[index],
        .index = index,
        .spelling = spelling,
        .target = pinion_real[spelling],
    };
    if (call.slot == NULL)
        return without_slot(&call);
    counts_visit(call.slot);
    copy_begin(call.slot, registers);
    site_find(&call);
    unsigned special = special_of(index);
    if (!check_one(&call, special))
        return call.target;
    if (special & SPECIAL_SYSCALL)
        check_system_call(&call);
    tell_before_leaving(&call);
    return call.target;
}

/* All that can be said of a call. Where the process is not yet started, or the slot's budget is spent, that is
 * seen to first. */
void *pinion_check_fully(struct registers *registers) {
    if (registers->spelling & SPENT)
        thread_spent(registers->spelling >> 16 & API_BITS, (const void *)registers->r10);
    if (__atomic_load_n(&STATE->ready, __ATOMIC_ACQUIRE) != READY)
        pinion_start();
    unsigned spelling = registers->spelling & 0xffff;
    if (STATE->mode == MODE_OFF)
        return pinion_real[spelling];
    return check_slowly(registers, spelling, registers->spelling >> 16 & API_BITS);
}

/* ---- the hot path: no call but the last, so that little needs saving ---- */

/* What of its own an API may need that is no matter of the deep classes, which never come here. A path opened for
 * reading only cannot be a way to write into this process. */
static inline bool is_quick(unsigned index, const struct registers *registers) {
    unsigned special = own_special[index];
    return likely(special == 0) ||
           (special == SPECIAL_PATH && ((index == API_open && (registers->arguments[1] & OPEN_WRITES) == 0) ||
                                        (index == API_openat && (registers->arguments[2] & OPEN_WRITES) == 0)));
}

/* Integer sets and constants, which most constraints are. */
static inline bool quickly_met(const struct state *state, const struct policy_constraint *constraint, uint64_t value,
                               uint64_t bias) {
    if (constraint->kind == CONSTRAINT_INTEGERS) {
        const int64_t *at = state->integers + constraint->first, *end = at + constraint->count;
        int64_t integer = rule_integer(constraint->shape, value);
        for (; at < end; at++)
            if (likely(*at == integer))
                return true;
    } else if (constraint->kind == CONSTRAINT_STRINGS) {
        const struct policy_string *at = state->strings + constraint->first, *end = at + constraint->count;
        for (; at < end; at++)
            if (likely(at->address == value - bias && at->match == MATCH_EXACT))
                return value != bias;
    }
    return false;
}

void *pinion_check(struct registers *registers) {
    const struct state *state = STATE;
    unsigned packed = (unsigned)registers->spelling, index = packed >> 16;
    const struct module_map *map = __atomic_load_n(&state->quick, __ATOMIC_ACQUIRE);
    if (unlikely(map == NULL || packed & SPENT || !is_quick(index, registers)))
        return pinion_check_fully(registers);
    uint64_t sequence = __atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE), address = registers->return_address;
    const struct mapped_module *module = module_in_map(map, address);
    if (unlikely(module == NULL || module->quick.site_count == 0))
        return pinion_check_fully(registers);
    uint64_t bias = module->bias;
    const struct policy_site *site = policy_table_find(&module->quick, (uint32_t)(address - bias), index);
    if (unlikely(site == NULL))
        return pinion_check_fully(registers);
    const struct policy_constraint *constraint = state->constraints + site->first_constraint;
    const struct policy_constraint *end = constraint + site->constraint_count;
    for (; constraint < end; constraint++)
        if (unlikely(!quickly_met(state, constraint, registers->arguments[constraint->argument], bias)))
            return pinion_check_fully(registers);
    if (unlikely(__atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE) != sequence))
        return pinion_check_fully(registers);
    return pinion_real[packed & 0xffff];
}

/* A call that is checked and may block. */
void *pinion_check_visiting(struct registers *registers) {
    struct thread_slot *slot = thread_registered();
    if (likely(slot != NULL))
        counts_visit(slot);
    return pinion_check(registers);
}
