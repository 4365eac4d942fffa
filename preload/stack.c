/* See stack.h. The walk itself: from the intercepted call to the start of the thread, one frame after the other. A
 * frame that was met before costs a look-up in the frame cache and one or two reads of the stack; libunwind runs
 * for new ones. May run in a signal handler, also one that interrupted another walk: no locks, no libc.
 *
 * A stack deeper than FRAMES_MAX is judged by that many innermost frames: recursion without end is ordinary in
 * interpreters, and a forger would have to supply as many frames that all hold.
 */
#include "preload/stack.h"

#include <linux/mman.h>

#include "preload/calls.h"
#include "preload/copy.h"
#include "preload/imports.h"
#include "preload/libc.h"
#include "preload/mappings.h"
#include "preload/modules.h"
#include "preload/raw.h"
#include "preload/stack_known.h"
#include "preload/state.h"
#include "preload/unwind.h"

#define FRAMES_MAX 256
/* While other threads load and unload modules. */
#define ATTEMPTS_MAX 4
/* A stack's outermost frame lies this close to its high end, under what its thread was started with. */
#define START_DISTANCE 16384
/* A thread's start may call its functions from two places, a destructor's among them. */
#define START_VARIES 256
/* What a signal interrupts may still read what it has just popped. */
#define RED_ZONE 128
/* So far behind a module's entry point code without call-frame information is a program's start. */
#define ENTRY_CODE 256

/* The kernel's signal frame: offsets in ucontext, and the order of its registers by their DWARF numbers. */
#define CONTEXT_R8 40
#define CONTEXT_BYTES 312 /* with the signal's number */
#define CONTEXT_AT(name) (CONTEXT_R8 + 8 * CONTEXT_##name)
enum {
    CONTEXT_RBP = 10,
    CONTEXT_RSP = 15,
    CONTEXT_RIP = 16,
    CONTEXT_SELECTORS = 18 /* cs, gs, fs, ss: 16 bits each */
};
#define CONTEXT_FLAGS_MOST 0xff /* three are in use */
#define CONTEXT_HAS_SS 2
#define USER_PRIVILEGE 3 /* the low bits of every selector of a process */
/* siginfo stands behind ucontext; the kernel writes it for handlers with SA_SIGINFO alone. */
#define SIGNAL_NUMBER 304
#define SIGNALS 64
#define SIGNAL_BUS 7
#define SIGNAL_SEGV 11
static const uint8_t context_order[UNWIND_REGISTERS] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16};

struct walk {
    struct thread_slot *slot;
    struct stack_cache *cache;
    uint64_t sequence; /* of the module map */
    /* Where the walk is: the state just after the call that the frame made has returned. */
    uint64_t address; /* return address, or where a signal interrupted */
    uint64_t stack_pointer, frame_pointer;
    uint64_t callee; /* start of the function that returns to the address; 0 when that is not known */
    unsigned frame;
    bool interrupted; /* the address is no return address */
    bool frame_pointer_known;
    bool trusted;           /* the stack is the thread's own, mapped throughout */
    bool refreshed;         /* the module map was made anew once */
    uint64_t readable_page; /* of a stack that is not trusted */
    struct stack_range stack;
    /* The innermost place at which all registers are known: the call, or what the last signal interrupted. */
    const struct registers *origin;
    uint64_t context;  /* of the signal, or 0 */
    uint64_t restorer; /* where its handler returns to */
    unsigned origin_frame;
    /* libunwind with all registers, for unusual frames: where it has got to. */
    unsigned unwound_frame;
    bool unwinding;
    struct unwind unwind;
};

static struct stack_result verdict(const struct walk *walk, enum stack_state state, enum reason reason,
                                   uint64_t address) {
    return (struct stack_result){.state = state, .reason = reason, .address = address, .frame = walk->frame};
}

static const struct stack_result sound = {.state = STACK_SOUND};

static COLD struct stack_result broken(const struct walk *walk, enum reason reason, uint64_t address) {
    return verdict(walk, STACK_BROKEN, reason, address);
}

static COLD struct stack_result unknown(const struct walk *walk, uint64_t address) {
    return verdict(walk, STACK_UNKNOWN, REASON_STACK_UNKNOWN, address);
}

/* ---- memory of the stack ---- */

/* A registered stack may have been described too large, or be gone: its pages are probed, one call each. */
static inline bool can_read(struct walk *walk, uint64_t address) {
    uint64_t page = address & ~(uint64_t)(PAGE_BYTES - 1);
    if (likely(walk->trusted) || page == walk->readable_page)
        return true;
    if (!memory_is_readable(address))
        return false;
    walk->readable_page = page;
    return true;
}

static inline uint64_t word(uint64_t address) {
    return *(const volatile uint64_t *)address;
}

/* Stands on the stack that holds the stack pointer. */
static inline bool enter_stack(struct walk *walk) {
    if (!known_stack(walk->slot, walk->stack_pointer, &walk->stack))
        return false;
    walk->trusted = is_first_stack(walk->stack) || walk->stack.high == walk->slot->stack.high;
    walk->readable_page = UINT64_MAX;
    return true;
}

static COLD struct stack_result off_stack(const struct walk *walk) {
    if (!off_stack_is_proof(walk->slot, walk->stack_pointer))
        return unknown(walk, walk->stack_pointer);
    struct stack_result result = broken(walk, REASON_STACK_PIVOT, walk->stack_pointer);
    result.foreign = true;
    return result;
}

/* ---- calls and callees ---- */

static bool tail_reaches(const struct mapped_module *module, const struct policy_tail *tail, uint64_t callee) {
    if (tail->flags & (TAIL_LEAVES_MODULE | TAIL_ANYWHERE))
        return true;
    const uint32_t *members = policy_section(STATE->policy, STATE->policy->members);
    for (unsigned i = 0; i < tail->member_count; i++)
        if (module->bias + members[tail->first_member + i] == callee)
            return true;
    return false;
}

static bool knows_tails(const struct mapped_module *module) {
    return module->rules != NULL && STATE->policy != NULL && (module->rules->flags & MODULE_HAS_TAILS) &&
           (!module->late || module_is_confirmed(module));
}

/* Whether a call of the target may have led to the callee. Says yes where the policy cannot tell. */
static bool leads_to(const struct call_instruction *call, uint64_t callee, bool callee_is_stub) {
    struct mapped_module copy, *module = &copy;
    if (call->kind != CALL_KNOWN || call->target == callee || !module_copy(call->target, &copy))
        return true;
    if (module->shim)
        return !callee_is_stub; /* the stub went on to the real function */
    if (!knows_tails(module))
        return true;
    uint64_t function = unwind_function(call->target);
    if (function == 0 || function == callee)
        return true;
    const struct policy_tail *tail =
        policy_find_tail(STATE->policy, module->rules, (uint32_t)(call->target - module->bias));
    if (tail == NULL)
        tail = policy_find_tail(STATE->policy, module->rules, (uint32_t)(function - module->bias));
    if (tail != NULL && tail_reaches(module, tail, callee))
        return true;
    return call->resolver != 0 && unwind_function(call->resolver) == callee;
}

static COLD bool callee_is_allowed(struct walk *walk, struct frame_rule *rule) {
    struct mapped_module module;
    if (!module_copy(walk->address, &module))
        return true;
    struct call_instruction call = call_before(&module, walk->address);
    if (!leads_to(&call, walk->callee, walk->frame == 0))
        return false;
    rule->callee = walk->callee;
    frame_cache_store(walk->cache, walk->sequence, walk->address, rule);
    return true;
}

/* ---- frames that the cache does not know ---- */

static bool module_of(struct walk *walk, struct mapped_module *module) {
    bool found = module_copy(walk->address, module);
    if (!found && !walk->refreshed && walk->address != 0) {
        walk->refreshed = true;
        found = modules_refresh() && module_copy(walk->address, module);
        walk->sequence = STATE->modules->sequence;
    }
    return found;
}

static bool is_musl(const struct mapped_module *module) {
    return STATE->musl && getauxval != NULL && module_of_code((uint64_t)getauxval) == module_of_code(module->code_low);
}

static bool is_entry_code(const struct mapped_module *module, uint64_t address) {
    if (!module_holds(module, module->low, sizeof(Elf64_Ehdr)))
        return false;
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)module->low;
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_entry != 0 &&
           address - (module->bias + header->e_entry) < ENTRY_CODE;
}

static enum frame_kind describe(struct walk *walk, const struct mapped_module *module, struct frame_rule *rule) {
    struct unwind *unwind = &walk->unwind;
    bool stepped;
    walk->unwinding = false;
    unwind->registers[UNWIND_RIP] = walk->address;
    unwind->registers[UNWIND_RSP] = walk->stack_pointer;
    unwind->registers[UNWIND_RBP] = walk->frame_pointer;
    unwind->known = 1u << UNWIND_RIP | 1u << UNWIND_RSP | (uint32_t)walk->frame_pointer_known << UNWIND_RBP;
    unwind->exact = walk->interrupted;
    unwind->trusted = walk->trusted;
    unwind->stack = (struct stack_range){walk->stack_pointer - RED_ZONE, walk->stack.high};
    unwind_begin(unwind);
    enum frame_kind kind = unwind_step(unwind, rule, &stepped);
    if (kind == FRAME_BLIND && (is_musl(module) || is_entry_code(module, walk->address)))
        return FRAME_BLIND_START;
    return kind;
}

/* A thread that a program makes for itself may start with no return address. The first one never does. */
static bool is_made_start(const struct walk *walk) {
    return walk->address == 0 && !is_first_stack(walk->stack) &&
           walk->stack.high - walk->stack_pointer <= START_DISTANCE;
}

/* Code of no module: a just-in-time compiler's, which cannot be walked. What is not executable cannot have called. */
static struct stack_result outside_modules(const struct walk *walk) {
    if (is_made_start(walk))
        return sound;
    if (address_is_executable(walk->address))
        return verdict(walk, STACK_UNKNOWN, REASON_ANONYMOUS_CODE, walk->address);
    return broken(walk, REASON_STACK_NOT_CODE, walk->address);
}

/* Fills in the rule of a frame that was never met. Returns false with the walk's end in *end. */
static COLD bool meet(struct walk *walk, struct frame_rule *rule, struct stack_result *end) {
    *rule = (struct frame_rule){.rbp_offset = RBP_NOT_SAVED, .call = CALL_ANYWHERE};
    struct mapped_module copy, *module = &copy;
    if (!module_of(walk, &copy)) {
        *end = outside_modules(walk);
        if (end->reason == REASON_ANONYMOUS_CODE) {
            rule->kind = FRAME_ANONYMOUS;
            frame_cache_store(walk->cache, walk->sequence, walk->address, rule);
        }
        return false;
    }
    if (is_signal_return(module, walk->address)) {
        rule->kind = FRAME_SIGNAL;
    } else if (!walk->interrupted && is_context_end(module, walk->address)) {
        rule->kind = FRAME_CONTEXT_END;
    } else {
        if (!walk->interrupted) {
            rule->call = (uint8_t)call_before(module, walk->address).kind;
            if (rule->call == CALL_NONE) {
                *end = broken(walk, REASON_STACK_NOT_AFTER_CALL, walk->address);
                return false;
            }
        }
        rule->kind = (uint8_t)describe(walk, module, rule);
        if (rule->kind == FRAME_ASTRAY) {
            *end = broken(walk, REASON_STACK_PIVOT, unwind_stack_pointer(&walk->unwind));
            return false;
        }
    }
    if (!walk->interrupted)
        frame_cache_store(walk->cache, walk->sequence, walk->address, rule);
    return true;
}

/* ---- where a walk may end ---- */

/* A thread's outermost function stays where it is: the place that the first walk of the thread found is the place
 * where all of them end. Forged frames that end the walk early lie lower. */
static bool is_start_of_thread(struct walk *walk) {
    uint64_t thread = walk->slot->stack.high;
    if (is_first_stack(walk->stack))
        return walk->stack_pointer >= STATE->first_stack_start;
    if (walk->cache->start_thread != thread || walk->stack_pointer > walk->cache->start) {
        walk->cache->start_thread = thread;
        walk->cache->start = walk->stack_pointer;
    }
    return walk->stack_pointer >= walk->cache->start - START_VARIES;
}

static COLD struct stack_result started(struct walk *walk) {
    if (walk->trusted)
        return is_start_of_thread(walk) || registered_stack_begins(walk->stack_pointer)
                   ? sound
                   : broken(walk, REASON_STACK_ORDER, walk->stack_pointer);
    return walk->stack.high - walk->stack_pointer <= START_DISTANCE ? sound : unknown(walk, walk->stack_pointer);
}

/* ---- frames that only libunwind can step ---- */

static void begin_at_origin(struct walk *walk) {
    struct unwind *unwind = &walk->unwind;
    const struct registers *call = walk->origin;
    memset(unwind->registers, 0, sizeof unwind->registers);
    if (walk->context != 0) {
        for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
            unwind->registers[context_order[i]] = word(walk->context + CONTEXT_R8 + 8 * i);
        unwind->known = (1u << UNWIND_REGISTERS) - 1;
    } else {
        const uint64_t preserved[4] = {call->r12, call->r13, call->r14, call->r15};
        unwind->registers[UNWIND_RBX] = call->rbx;
        unwind->registers[UNWIND_RBP] = call->rbp;
        unwind->registers[UNWIND_RSP] = (uint64_t)call->stack_arguments;
        unwind->registers[UNWIND_RIP] = call->return_address;
        memcpy(&unwind->registers[UNWIND_R12], preserved, sizeof preserved);
        unwind->known = 1u << UNWIND_RIP | 1u << UNWIND_RSP | 1u << UNWIND_RBP | 1u << UNWIND_RBX | 0xfu << UNWIND_R12;
    }
    unwind->exact = walk->context != 0;
    unwind->trusted = walk->trusted;
    unwind->stack = (struct stack_range){unwind->registers[UNWIND_RSP] - RED_ZONE, walk->stack.high};
    unwind_begin(unwind);
    walk->unwound_frame = walk->origin_frame;
    walk->unwinding = true;
}

/* Steps over the frame. Returns false with the walk's end in *end. */
static COLD bool step_unusual(struct walk *walk, struct stack_result *end) {
    struct frame_rule ignored;
    enum frame_kind kind = FRAME_UNUSUAL;
    bool stepped = true;
    if (!walk->unwinding || walk->unwound_frame > walk->frame)
        begin_at_origin(walk);
    for (; walk->unwound_frame < walk->frame && stepped; walk->unwound_frame++)
        unwind_step(&walk->unwind, &ignored, &stepped);
    if (!stepped || unwind_address(&walk->unwind) != walk->address) {
        *end = unknown(walk, walk->address);
        return false;
    }
    kind = unwind_step(&walk->unwind, &ignored, &stepped);
    walk->unwound_frame++;
    uint64_t next = unwind_stack_pointer(&walk->unwind);
    if (!stepped) {
        *end = kind == FRAME_START    ? started(walk)
               : kind == FRAME_ASTRAY ? broken(walk, REASON_STACK_PIVOT, next)
                                      : unknown(walk, walk->address);
        return false;
    }
    if (next <= walk->stack_pointer || next > walk->stack.high) {
        *end = broken(walk, next > walk->stack.high ? REASON_STACK_PIVOT : REASON_STACK_ORDER, next);
        return false;
    }
    walk->address = unwind_address(&walk->unwind);
    walk->stack_pointer = next;
    walk->frame_pointer_known = unwind_frame_pointer(&walk->unwind, &walk->frame_pointer);
    return true;
}

/* ---- signal frames ---- */

struct kernel_action {
    uint64_t handler, flags, restorer, mask;
};

/* What the kernel does on a signal; false where it does not say. */
static bool action_of(unsigned signal, struct kernel_action *action) {
    return raw(__NR_rt_sigaction, signal, NULL, action, sizeof action->mask) == 0;
}

/* Every signal has the kernel write these; a handler has no reason to change them. */
static bool looks_like_the_kernels(uint64_t context) {
    uint64_t flags = word(context), selectors = word(context + CONTEXT_AT(SELECTORS));
    uint64_t stack_selector = selectors >> 48;
    return flags <= CONTEXT_FLAGS_MOST && (selectors & USER_PRIVILEGE) == USER_PRIVILEGE &&
           (!(flags & CONTEXT_HAS_SS) || stack_selector == 0 || (stack_selector & USER_PRIVILEGE) == USER_PRIVILEGE);
}

/* Whether the handler of a signal may have returned to the restorer by way of the callee. A handler other than the
 * callee proves nothing, for the one that runs may have been replaced since; but a stub is reached only from the
 * handler that is in force, or from one that was reset. */
static bool may_return_from(unsigned signal, uint64_t restorer, uint64_t callee, bool callee_is_stub) {
    struct kernel_action action = {0};
    if (!action_of(signal, &action))
        return true;
    if (action.restorer != restorer)
        return false;
    const struct call_instruction call = {CALL_KNOWN, action.handler, 0};
    return !callee_is_stub || action.handler <= 1 /* SIG_DFL, SIG_IGN */ || action.handler == callee ||
           leads_to(&call, callee, true);
}

/* The kernel remembers what its frames return to, also of handlers that were reset. The number that the frame tells is
 * only where to look first. */
static bool may_be_delivered(const struct walk *walk, uint64_t callee) {
    bool callee_is_stub = walk->frame == 0;
    uint64_t place = walk->stack_pointer + SIGNAL_NUMBER;
    unsigned told = place <= walk->stack.high - 8 ? (unsigned)word(place) : 0;
    if (told - 1 < SIGNALS && may_return_from(told, walk->address, callee, callee_is_stub))
        return true;
    for (unsigned signal = 1; signal <= SIGNALS; signal++)
        if (signal != told && may_return_from(signal, walk->address, callee, callee_is_stub))
            return true;
    return false;
}

/* Goes on where the signal interrupted. Returns false with the walk's end in *end. */
static COLD bool step_signal(struct walk *walk, uint64_t callee, struct stack_result *end) {
    uint64_t context = walk->stack_pointer;
    if (walk->stack.high - context < CONTEXT_BYTES || (context & 7) || !can_read(walk, context) ||
        !can_read(walk, context + SIGNAL_NUMBER) || !can_read(walk, context)) {
        *end = unknown(walk, context);
        return false;
    }
    if (!looks_like_the_kernels(context) || !may_be_delivered(walk, callee)) {
        *end = broken(walk, REASON_STACK_NOT_AFTER_CALL, walk->address);
        return false;
    }
    walk->restorer = walk->address;
    walk->address = word(context + CONTEXT_AT(RIP));
    walk->stack_pointer = word(context + CONTEXT_AT(RSP));
    walk->frame_pointer = word(context + CONTEXT_AT(RBP));
    walk->frame_pointer_known = true;
    walk->interrupted = true;
    walk->context = context;
    walk->origin_frame = walk->frame + 1;
    walk->unwinding = false;
    struct stack_range handler = walk->stack;
    if (!enter_stack(walk)) {
        *end = off_stack(walk);
        return false;
    }
    if (walk->stack.low == handler.low && walk->stack.high == handler.high && walk->stack_pointer <= context) {
        *end = broken(walk, REASON_STACK_ORDER, walk->stack_pointer);
        return false;
    }
    return true;
}

/* ---- the walk ---- */

static COLD struct stack_result misplaced(const struct walk *walk, uint64_t cfa) {
    bool outside = cfa < walk->stack.low || cfa > walk->stack.high;
    return broken(walk, outside ? REASON_STACK_PIVOT : REASON_STACK_ORDER, cfa);
}

/* Frames with no caller. */
static COLD struct stack_result outermost(struct walk *walk, const struct frame_rule *rule) {
    if (rule->kind == FRAME_START)
        return started(walk);
    if (rule->kind == FRAME_ANONYMOUS)
        return verdict(walk, STACK_UNKNOWN, REASON_ANONYMOUS_CODE, walk->address);
    if (rule->kind == FRAME_BLIND)
        return unknown(walk, walk->address);
    if (rule->kind == FRAME_CONTEXT_END && !registered_stack_begins(walk->stack_pointer))
        return registered_stacks_were_lost() ? unknown(walk, walk->address)
                                             : broken(walk, REASON_STACK_ORDER, walk->stack_pointer);
    return sound;
}

static inline bool step_regular(struct walk *walk, const struct frame_rule *rule, uint64_t red_zone,
                                struct stack_result *end) {
    uint64_t base = rule->kind == FRAME_FROM_RSP ? walk->stack_pointer : walk->frame_pointer;
    uint64_t cfa = base + (uint64_t)(int64_t)rule->cfa_offset;
    uint64_t saved = cfa + (uint64_t)(int64_t)rule->rbp_offset;
    if (rule->kind == FRAME_REALIGNED) {
        saved = base;
        if (unlikely(cfa < walk->stack_pointer || cfa > walk->stack.high - 8 || !can_read(walk, cfa))) {
            *end = misplaced(walk, cfa);
            return false;
        }
        cfa = word(cfa);
    }
    if (unlikely(cfa <= walk->stack_pointer || cfa > walk->stack.high || (cfa & 7))) {
        *end = misplaced(walk, cfa);
        return false;
    }
    if (unlikely(!can_read(walk, cfa - 8))) {
        *end = unknown(walk, cfa);
        return false;
    }
    if (rule->rbp_offset != RBP_NOT_SAVED || rule->kind == FRAME_REALIGNED) {
        if (unlikely(saved < walk->stack_pointer - red_zone || saved > walk->stack.high - 8 ||
                     !can_read(walk, saved))) {
            *end = misplaced(walk, saved);
            return false;
        }
        walk->frame_pointer = word(saved);
        walk->frame_pointer_known = true;
    }
    walk->address = word(cfa - 8);
    walk->stack_pointer = cfa;
    return true;
}

static struct stack_result follow(struct walk *walk) {
    struct stack_result end;
    for (; walk->frame < FRAMES_MAX; walk->frame++) {
        struct frame_rule rule;
        bool met = !walk->interrupted && frame_cache_find(walk->cache, walk->sequence, walk->address, &rule);
        if (unlikely(!met) && !meet(walk, &rule, &end))
            return end;
        if (rule.call == CALL_KNOWN && rule.callee != walk->callee && walk->callee != 0 &&
            unlikely(!callee_is_allowed(walk, &rule)))
            return broken(walk, REASON_STACK_WRONG_CALLEE, walk->address);
        uint64_t callee = walk->callee;
        walk->callee = rule.function;
        uint64_t red_zone = unlikely(walk->interrupted) ? RED_ZONE : 0;
        walk->interrupted = false;
        if (likely(rule.kind == FRAME_FROM_RSP || (rule.kind <= FRAME_REALIGNED && walk->frame_pointer_known))) {
            if (unlikely(!step_regular(walk, &rule, red_zone, &end)))
                return end;
        } else if (rule.kind == FRAME_SIGNAL) {
            if (!step_signal(walk, callee, &end))
                return end;
        } else if (rule.kind == FRAME_UNUSUAL || rule.kind <= FRAME_REALIGNED) {
            if (!step_unusual(walk, &end))
                return end;
        } else {
            return outermost(walk, &rule);
        }
    }
    return sound;
}

static COLD struct stack_cache *map_cache(struct thread_slot *slot) {
    long pages = raw(__NR_mmap, 0, sizeof(struct stack_cache), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw_failed(pages))
        return NULL;
    slot->stack_cache = (void *)pages;
    return slot->stack_cache;
}

static bool on_alternate(const struct thread_slot *slot, uint64_t stack_pointer) {
    return stack_pointer >= slot->alternate.low && stack_pointer < slot->alternate.high;
}

/* Whether a walk that this one's signal handler interrupted will go on: it stands further out on the same stack, or
 * on the thread's while this one is on the alternate. Any other was left by longjmp. */
static bool is_nested(const struct thread_slot *slot, const struct stack_cache *cache, uint64_t here) {
    bool alternate = on_alternate(slot, here);
    if (cache->walker == 0 || cache->objects_used > UNWIND_OBJECTS * 3 / 4)
        return false;
    return alternate == on_alternate(slot, cache->walker) ? cache->walker > here : alternate;
}

/* A call through a bad pointer arrives where no code is; the handler of that fault may live to tell of it. */
static bool faults_are_handled(const struct walk *walk) {
    struct kernel_action action = {0};
    return !action_of(SIGNAL_SEGV, &action) || action.restorer == walk->restorer || !action_of(SIGNAL_BUS, &action) ||
           action.restorer == walk->restorer;
}

/* Call-frame information is exact at calls; between them, where signals interrupt, hand-written code has errors. What
 * was interrupted itself is told by the kernel. */
static bool is_doubtful(const struct walk *walk, const struct stack_result *result) {
    if (walk->context == 0 || result->frame < walk->origin_frame || result->frame > walk->origin_frame + 1)
        return false;
    return result->reason != REASON_STACK_NOT_CODE || result->frame != walk->origin_frame || faults_are_handled(walk);
}

static void begin(struct walk *walk, const struct registers *registers) {
    walk->address = registers->return_address;
    walk->stack_pointer = (uint64_t)registers->stack_arguments;
    walk->frame_pointer = registers->rbp;
    walk->frame_pointer_known = true;
    walk->callee = (uint64_t)stub_of((uint16_t)registers->spelling);
    walk->origin = registers;
    walk->context = 0;
    walk->frame = walk->origin_frame = 0;
    walk->interrupted = walk->refreshed = walk->unwinding = false;
}

/* A verdict from a module map that was replaced meanwhile counts for nothing. */
static struct stack_result follow_steadily(struct walk *walk, const struct registers *registers) {
    struct stack_result result = sound;
    for (unsigned attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        begin(walk, registers);
        if (unlikely(!enter_stack(walk)))
            return off_stack(walk);
        walk->sequence = STATE->modules->sequence;
        result = follow(walk);
        if (likely(result.state == STACK_SOUND) || walk->sequence == STATE->modules->sequence)
            break;
    }
    if (result.state == STACK_BROKEN && is_doubtful(walk, &result)) {
        result.state = STACK_UNKNOWN;
        result.reason = REASON_STACK_UNKNOWN;
    }
    return result;
}

struct stack_result stack_check(const struct registers *registers, struct thread_slot *slot) {
    struct walk walk;
    walk.slot = slot;
    walk.frame = 0;
    walk.cache = slot == NULL ? NULL : slot->stack_cache;
    if (unlikely(walk.cache == NULL && slot != NULL))
        walk.cache = map_cache(slot);
    if (unlikely(walk.cache == NULL || STATE->modules == NULL))
        return unknown(&walk, registers->return_address);
    uint64_t here = (uint64_t)registers, outer = walk.cache->walker;
    if (likely(!is_nested(slot, walk.cache, here))) {
        outer = 0;
        walk.cache->objects_used = 0;
    }
    walk.cache->walker = here;
    struct stack_result result = follow_steadily(&walk, registers);
    walk.cache->walker = outer;
    return result;
}
