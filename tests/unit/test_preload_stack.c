/* The stack check on real stacks of this program: deep ones, callbacks from libc, signals, threads, coroutines, and
 * the ways in which an attacker leaves a stack behind. The shim's own objects are linked; this file stands in for
 * the module map, the thread's slot and the stub.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "preload/modules.h"
#include "preload/stack.h"
#include "preload/state.h"
#include "preload/unwind.h"

extern void *__libc_stack_end;

#define HIDDEN __attribute__((visibility("hidden")))
#define NOINLINE __attribute__((noinline, noclone))

/* ---- what the shim would supply ---- */

HIDDEN union sealed_state pinion_sealed_state;
HIDDEN int32_t test_stub_offsets[SPELLING_COUNT] __asm__("pinion_stub_offsets");
static struct module_map map;
static _Thread_local struct thread_slot *slot;

HIDDEN const struct mapped_module *module_of_code(uint64_t address) {
    for (uint64_t i = 0; i < map.count; i++)
        if (address >= map.modules[i].code_low && address < map.modules[i].code_high)
            return &map.modules[i];
    return NULL;
}

HIDDEN bool module_copy(uint64_t address, struct mapped_module *copy) {
    const struct mapped_module *module = module_of_code(address);
    if (module != NULL)
        *copy = *module;
    return module != NULL;
}

HIDDEN bool modules_refresh(void) {
    return true;
}

HIDDEN bool module_is_confirmed(const struct mapped_module *module) {
    (void)module;
    return true;
}

HIDDEN struct thread_slot *thread_slot(void) {
    if (slot == NULL)
        slot = mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return slot;
}

static int add_module(struct dl_phdr_info *info, size_t size, void *context) {
    struct mapped_module *module = &map.modules[map.count++];
    (void)size, (void)context;
    *module = (struct mapped_module){.bias = info->dlpi_addr,
                                     .headers = (const Elf64_Phdr *)info->dlpi_phdr,
                                     .header_count = info->dlpi_phnum,
                                     .name = info->dlpi_name,
                                     .low = UINT64_MAX,
                                     .code_low = UINT64_MAX};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uint64_t low = info->dlpi_addr + segment->p_vaddr, high = low + segment->p_memsz;
        if (segment->p_type == PT_LOAD) {
            module->low = low < module->low ? low : module->low;
            module->high = high > module->high ? high : module->high;
            module->readable[module->readable_count].low = low;
            module->readable[module->readable_count++].high = high;
            if (segment->p_flags & PF_X) {
                module->code_low = low < module->code_low ? low : module->code_low;
                module->code_high = high > module->code_high ? high : module->code_high;
            }
        } else if (segment->p_type == PT_GNU_RELRO) {
            module->relro_low = low;
            module->relro_high = high & ~4095ul;
        } else if (segment->p_type == PT_GNU_EH_FRAME) {
            module->frame_header = low;
        } else if (segment->p_type == PT_DYNAMIC) {
            module->dynamic = (const Elf64_Dyn *)low;
        }
    }
    return 0;
}

/* ---- the stub: struct registers on the stack, then test_check ---- */

void test_stub(void);
__asm__(".text\n"
        ".globl test_stub\n"
        ".type test_stub, @function\n"
        "test_stub:\n"
        ".cfi_startproc\n"
        "    pushq $0\n"
        ".cfi_adjust_cfa_offset 8\n"
        "    subq $112, %rsp\n"
        ".cfi_adjust_cfa_offset 112\n"
        "    movq %rbx, 0(%rsp)\n"
        "    movq %rbp, 8(%rsp)\n"
        "    movq %r12, 16(%rsp)\n"
        "    movq %r13, 24(%rsp)\n"
        "    movq %r14, 32(%rsp)\n"
        "    movq %r15, 40(%rsp)\n"
        "    movq %rsp, %rdi\n"
        "    call test_check\n"
        "    addq $120, %rsp\n"
        ".cfi_adjust_cfa_offset -120\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size test_stub, .-test_stub\n");

static struct stack_result result;
static _Thread_local void (*tamper)(struct registers *registers);
static unsigned repeat, cold;
static double nanoseconds;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void test_check(struct registers *registers);
void test_check(struct registers *registers) {
    uint64_t saved[8];
    memcpy(saved, &registers->return_address, sizeof saved);
    registers->spelling = 0;
    if (tamper != NULL)
        tamper(registers);
    struct stack_result found = stack_check(registers, thread_slot());
    if (repeat != 0) {
        double start = now();
        for (unsigned i = 0; i < repeat; i++) {
            map.sequence += cold;
            found = stack_check(registers, thread_slot());
        }
        nanoseconds = (now() - start) / repeat;
    }
    memcpy(&registers->return_address, saved, sizeof saved);
    result = found;
}

static void expect(enum stack_state state, enum reason reason) {
    if (result.state != state || (state != STACK_SOUND && result.reason != reason))
        fail_msg("state %d, reason %d (%#lx, frame %u), not state %d, reason %d", result.state, result.reason,
                 result.address, result.frame, state, reason);
}

#define expect_sound() expect(STACK_SOUND, 0)

/* ---- rules: every module is covered, and calls lead where they point, but for the tails named ---- */

static struct {
    struct policy_header header;
    struct policy_tail tails[2];
    uint32_t members[2];
} policy;
static struct policy_module rules;

static void cover_modules(void) {
    memset(&policy, 0, sizeof policy);
    policy.header.tails = (struct policy_section){offsetof(__typeof__(policy), tails), 2};
    policy.header.members = (struct policy_section){offsetof(__typeof__(policy), members), 2};
    rules = (struct policy_module){.flags = MODULE_HAS_TAILS};
    pinion_sealed_state.state.policy = &policy.header;
    for (uint64_t i = 0; i < map.count; i++)
        map.modules[i].rules = &rules;
    map.sequence++;
}

static int uncover_modules(void **state) {
    (void)state;
    for (uint64_t i = 0; i < map.count; i++)
        map.modules[i].rules = NULL;
    map.sequence++;
    tamper = NULL;
    return 0;
}

static uint32_t offset_of(void (*function)(void)) {
    return (uint32_t)((uint64_t)function - module_of_code((uint64_t)function)->bias);
}

/* ---- frames of every shape ---- */

NOINLINE static void plain(unsigned depth) {
    if (depth == 0)
        test_stub(); // NOLINT(bugprone-signal-handler): as the shim itself, safe in one
    else
        plain(depth - 1);
    __asm__ volatile("");
}

NOINLINE static void with_frame_pointer(unsigned depth) {
    /* cppcheck-suppress allocaCalled */
    volatile char *room = __builtin_alloca(depth * 24 + 16);
    room[0] = 1;
    if (depth == 0)
        test_stub();
    else
        with_frame_pointer(depth - 1);
    __asm__ volatile("" : : "r"(room));
}

NOINLINE static void realigned(unsigned depth) {
    _Alignas(128) volatile char room[128];
    room[0] = 1;
    /* cppcheck-suppress allocaCalled */
    volatile char *more = __builtin_alloca(depth + 1);
    more[0] = 1;
    if (depth == 0)
        test_stub();
    else
        realigned(depth - 1);
    __asm__ volatile("" : : "r"(room), "r"(more));
}

NOINLINE static void mixed(unsigned depth) {
    /* cppcheck-suppress allocaCalled */
    volatile char *room = __builtin_alloca(depth + 1);
    room[0] = 1;
    if (depth > 0)
        mixed(depth - 1);
    else
        realigned(2);
    __asm__ volatile("" : : "r"(room));
}

/* Its CFA follows from rbx: only libunwind, with all preserved registers, can step it. */
void unusual(void (*next)(void));
__asm__(".text\n"
        ".type unusual, @function\n"
        "unusual:\n"
        ".cfi_startproc\n"
        "    pushq %rbx\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_offset %rbx, -16\n"
        "    movq %rsp, %rbx\n"
        ".cfi_def_cfa_register %rbx\n"
        "    subq $256, %rsp\n"
        "    andq $-64, %rsp\n"
        "    call *%rdi\n"
        "    movq %rbx, %rsp\n"
        ".cfi_def_cfa_register %rsp\n"
        "    popq %rbx\n"
        ".cfi_adjust_cfa_offset -8\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size unusual, .-unusual\n");

NOINLINE static void plain_three(void) {
    plain(3);
    __asm__ volatile("");
}

NOINLINE static void unusual_inside(void) {
    unusual(plain_three);
    __asm__ volatile("");
}

static void test_frames_of_every_shape(void **state) {
    (void)state;
    for (unsigned twice = 0; twice < 2; twice++) {
        plain(0);
        expect_sound();
        plain(20);
        expect_sound();
        with_frame_pointer(5);
        expect_sound();
        realigned(5);
        expect_sound();
        mixed(3);
        expect_sound();
        unusual(plain_three);
        expect_sound();
        unusual(unusual_inside);
        expect_sound();
    }
}

static void test_deep_recursion_is_sound(void **state) {
    (void)state;
    plain(2000);
    expect_sound();
}

static void test_calls_lead_where_they_point(void **state) {
    (void)state;
    cover_modules();
    plain(3);
    expect_sound();
    with_frame_pointer(3);
    expect_sound();
    realigned(3);
    expect_sound();
}

static int compare(const void *a, const void *b) {
    plain(1);
    return *(const int *)a - *(const int *)b;
}

static void test_callback_from_libc(void **state) {
    (void)state;
    int numbers[3] = {3, 1, 2};
    qsort(numbers, 3, sizeof numbers[0], compare);
    expect_sound();
}

static void test_errno_is_untouched(void **state) {
    (void)state;
    map.sequence++;
    errno = 12345;
    plain(2);
    assert_int_equal(errno, 12345);
}

/* ---- signals, threads, coroutines ---- */

static volatile sig_atomic_t handled;

static void handle(int number) {
    (void)number;
    plain(2);
    handled++;
}

static void raise_with(int flags) {
    struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
    raise(SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
}

static void test_signal_handler(void **state) {
    (void)state;
    raise_with(0);
    expect_sound();
    cover_modules();
    raise_with(0);
    expect_sound();
}

static void test_signal_handler_on_alternate_stack(void **state) {
    (void)state;
    static char room[65536];
    stack_t stack = {.ss_sp = room, .ss_size = sizeof room};
    sigaltstack(&stack, NULL);
    thread_slot()->alternate = (struct stack_range){(uint64_t)room, (uint64_t)room + sizeof room};
    raise_with(SA_ONSTACK);
    expect_sound();
    thread_slot()->alternate = (struct stack_range){0, 0};
    raise_with(SA_ONSTACK);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    assert_true(result.foreign);
    stack.ss_flags = SS_DISABLE;
    sigaltstack(&stack, NULL);
}

static struct stack_result worst;

static void handle_storm(int number) {
    (void)number;
    struct stack_result interrupted = result;
    mixed(4);
    if (result.state != STACK_SOUND)
        worst = result;
    result = interrupted;
    handled++;
}

static void test_signals_during_checks(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = handle_storm};
    struct itimerval interval = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    handled = 0;
    memset(&worst, 0, sizeof worst);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &interval, NULL);
    for (unsigned i = 0; handled < 1000; i++) {
        if (i % 3 == 0)
            map.sequence++; /* everything must be looked up anew */
        mixed(i % 8);
        if (result.state != STACK_SOUND)
            break;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    expect_sound();
    result = worst;
    expect_sound();
}

static void *thread_body(void *argument) {
    (void)argument;
    for (unsigned i = 0; i < 10; i++)
        mixed(i);
    return NULL;
}

static void run_thread(size_t size, void *stack) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    if (stack != NULL)
        assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
    else if (size != 0)
        pthread_attr_setstacksize(&attributes, size);
    assert_int_equal(pthread_create(&thread, &attributes, thread_body, NULL), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void test_threads(void **state) {
    (void)state;
    run_thread(0, NULL);
    expect_sound();
    run_thread(32768, NULL);
    expect_sound();
    void *own = aligned_alloc(4096, 262144);
    run_thread(262144, own);
    expect_sound();
    free(own);
}

static ucontext_t outside, inside;

static void context_body(void) {
    plain(2);
}

static void run_context(char *room, size_t size) {
    /* cppcheck-suppress getcontextCalled */
    getcontext(&inside);
    inside.uc_stack.ss_sp = room;
    inside.uc_stack.ss_size = size;
    inside.uc_link = &outside;
    /* cppcheck-suppress makecontextCalled */
    makecontext(&inside, context_body, 0);
    /* cppcheck-suppress swapcontextCalled */
    swapcontext(&outside, &inside);
}

static void test_coroutines(void **state) {
    (void)state;
    static char registered[65536], foreign[65536];
    stack_register((uint64_t)registered, (uint64_t)registered + sizeof registered);
    run_context(registered, sizeof registered);
    expect_sound();
    run_context(foreign, sizeof foreign);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    assert_true(result.foreign);
    assert_true(result.address >= (uint64_t)foreign && result.address < (uint64_t)foreign + sizeof foreign);
}

static void test_oldest_registered_stack_goes(void **state) {
    (void)state;
    static char first[65536];
    stack_register((uint64_t)first, (uint64_t)first + sizeof first);
    for (uint64_t i = 1; i <= 300; i++)
        stack_register(i << 12, (i << 12) + 64);
    run_context(first, sizeof first);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
}

/* ---- what attackers leave ---- */

static void one_byte_off(struct registers *registers) {
    registers->return_address++;
}

static void test_return_address_after_no_call(void **state) {
    (void)state;
    tamper = one_byte_off;
    plain(2);
    expect(STACK_BROKEN, REASON_STACK_NOT_AFTER_CALL);
    assert_int_equal(result.frame, 0);
}

static void into_data(struct registers *registers) {
    registers->return_address = (uint64_t)&map;
}

static char *executable;

static void into_anonymous_code(struct registers *registers) {
    registers->return_address = (uint64_t)executable + 5;
}

static void to_nowhere(struct registers *registers) {
    registers->return_address = 0;
}

static void test_return_address_outside_code(void **state) {
    (void)state;
    tamper = into_data;
    plain(2);
    expect(STACK_BROKEN, REASON_STACK_NOT_CODE);
    executable = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    executable[0] = (char)0xe8;
    tamper = into_anonymous_code;
    for (unsigned twice = 0; twice < 2; twice++) {
        plain(2);
        expect(STACK_UNKNOWN, REASON_ANONYMOUS_CODE);
    }
    munmap(executable, 4096);
    tamper = to_nowhere;
    plain(2);
    expect(STACK_BROKEN, REASON_STACK_NOT_CODE);
}

static uint64_t elsewhere; /* a return address after a call of another function than the stub */

NOINLINE static void note_return_address(void) {
    elsewhere = (uint64_t)__builtin_return_address(0);
    __asm__ volatile("");
}

NOINLINE static void calls_another(void) {
    note_return_address();
    __asm__ volatile("");
}

static void after_another_call(struct registers *registers) {
    registers->return_address = elsewhere;
}

static bool is_wrong_callee_of_stub(void) {
    return result.state == STACK_BROKEN && result.reason == REASON_STACK_WRONG_CALLEE && result.frame == 0;
}

static void test_call_of_another_function(void **state) {
    (void)state;
    calls_another();
    tamper = after_another_call;
    plain(0);
    assert_false(is_wrong_callee_of_stub()); /* not covered */
    cover_modules();
    plain(0);
    expect(STACK_BROKEN, REASON_STACK_WRONG_CALLEE);
    assert_int_equal(result.frame, 0);
    /* The same call is allowed where the policy says that the function goes on to the stub. */
    cover_modules();
    rules.tail_count = 1;
    policy.members[0] = offset_of(test_stub);
    policy.tails[0] = (struct policy_tail){.target = offset_of(note_return_address), .member_count = 1};
    plain(0);
    assert_false(is_wrong_callee_of_stub());
    cover_modules();
    rules.tail_count = 1;
    policy.tails[0] = (struct policy_tail){.target = offset_of(note_return_address), .flags = TAIL_ANYWHERE};
    plain(0);
    assert_false(is_wrong_callee_of_stub());
}

/* Its own return address is what an overflow overwrote; the call of the stub is genuine. */
NOINLINE static void overwritten(uint64_t address) {
    volatile uint64_t *place = (uint64_t *)__builtin_frame_address(0) + 1;
    uint64_t saved = *place;
    *place = address;
    test_stub();
    *place = saved;
}

NOINLINE static void calls_overwritten(uint64_t address) {
    overwritten(address);
    __asm__ volatile("");
}

static void test_overwritten_outer_frame(void **state) {
    (void)state;
    calls_another();
    cover_modules();
    for (unsigned twice = 0; twice < 2; twice++) {
        calls_overwritten(elsewhere);
        expect(STACK_BROKEN, REASON_STACK_WRONG_CALLEE);
        assert_int_equal(result.frame, 1);
        calls_overwritten(elsewhere + 1);
        expect(STACK_BROKEN, REASON_STACK_NOT_AFTER_CALL);
        calls_overwritten((uint64_t)&map);
        expect(STACK_BROKEN, REASON_STACK_NOT_CODE);
    }
}

static uint64_t program_start; /* return address of the outermost frame */

static void note_outermost(void) {
    uint64_t *word = __libc_stack_end;
    const struct mapped_module *program = module_of_code((uint64_t)note_outermost);
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)program->low;
    while (*--word - (program->bias + header->e_entry) > 64)
        ;
    program_start = *word;
}

static void test_start_in_the_middle_of_the_stack(void **state) {
    (void)state;
    note_outermost();
    /* cppcheck-suppress allocaCalled */
    volatile char *depth = __builtin_alloca(4096);
    depth[0] = 1;
    calls_overwritten(program_start);
    expect(STACK_BROKEN, REASON_STACK_ORDER);
}

static void *thread_with_false_start(void *argument) {
    (void)argument;
    plain(0);
    /* cppcheck-suppress allocaCalled */
    volatile char *depth = __builtin_alloca(4096);
    depth[0] = 1;
    if (result.state == STACK_SOUND)
        calls_overwritten(program_start);
    return NULL;
}

static void test_start_in_the_middle_of_a_thread(void **state) {
    (void)state;
    pthread_t thread;
    note_outermost();
    pthread_create(&thread, NULL, thread_with_false_start, NULL);
    pthread_join(thread, NULL);
    expect(STACK_BROKEN, REASON_STACK_ORDER);
}

/* The first place in libc's code that holds these bytes. */
static uint64_t find_in_libc(const char *bytes, size_t size) {
    const struct mapped_module *libc = module_of_code((uint64_t)dlsym(RTLD_DEFAULT, "qsort"));
    uint64_t found = (uint64_t)memmem((const void *)libc->code_low, libc->code_high - libc->code_low, bytes, size);
    assert_true(found != 0);
    return found;
}

static void test_forged_end_of_a_context(void **state) {
    (void)state;
    calls_overwritten(find_in_libc("\x48\x89\xdc\x48\x8b\x3c\x24", 7));
    expect(STACK_BROKEN, REASON_STACK_ORDER);
}

/* The words of a signal's frame, above a return address to libc's restorer. */
static uint64_t false_frame[63], restorer;

static void stand_under_false_frame(struct registers *registers) {
    registers->return_address = restorer;
    memcpy(registers->stack_arguments, false_frame, sizeof false_frame);
}

NOINLINE static void call_under_false_frame(void) {
    /* cppcheck-suppress allocaCalled */
    volatile char *room = __builtin_alloca(4096);
    room[0] = 1;
    tamper = stand_under_false_frame;
    test_stub();
    tamper = NULL;
    __asm__ volatile("" : : "r"(room));
}

static bool is_refused_signal_frame(void) {
    call_under_false_frame();
    return result.state == STACK_BROKEN && result.reason == REASON_STACK_NOT_AFTER_CALL && result.frame == 0;
}

struct kernel_action {
    uint64_t words[4];
};

static void test_forged_signal_frame(void **state) {
    (void)state;
    static struct kernel_action kept[65];
    const struct kernel_action untouched = {{0}};
    restorer = find_in_libc("\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9);
    memset(false_frame, 0, sizeof false_frame);
    false_frame[5 + 15] = (uint64_t)__builtin_frame_address(0);
    false_frame[5 + 16] = (uint64_t)call_under_false_frame;
    false_frame[38] = SIGUSR2;
    assert_true(is_refused_signal_frame()); /* no code segment */
    false_frame[0] = 7;
    false_frame[5 + 18] = 0x2bul << 48 | 0x33;
    for (int number = 1; number <= 64; number++)
        syscall(SYS_rt_sigaction, number, &untouched, &kept[number], 8);
    cover_modules();
    bool without_any = is_refused_signal_frame();
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGUSR2, &action, NULL);
    bool with_another = is_refused_signal_frame();
    action.sa_handler = (void (*)(int))test_stub;
    sigaction(SIGUSR2, &action, NULL);
    bool with_itself = is_refused_signal_frame();
    action.sa_handler = SIG_DFL; /* as a handler does that passes its signal on */
    sigaction(SIGUSR2, &action, NULL);
    bool with_reset = is_refused_signal_frame();
    /* What the signal interrupted is no code: proof, where no handler of faults may have seen it. */
    false_frame[5 + 16] = (uint64_t)&map;
    call_under_false_frame();
    struct stack_result in_data = result;
    for (int number = 1; number <= 64; number++)
        syscall(SYS_rt_sigaction, number, &kept[number], NULL, 8);
    assert_true(without_any && with_another);
    assert_false(with_itself || with_reset);
    result = in_data;
    expect(STACK_BROKEN, REASON_STACK_NOT_CODE);
}

static jmp_buf before_fault;
static void (*volatile no_function)(void);

static void handle_fault(int number) {
    (void)number;
    plain(1);
    siglongjmp(before_fault, 1);
}

static void test_handler_of_a_call_to_nowhere(void **state) {
    (void)state;
    struct sigaction action = {.sa_handler = handle_fault}, kept;
    sigaction(SIGSEGV, &action, &kept);
    if (sigsetjmp(before_fault, 1) == 0)
        no_function();
    sigaction(SIGSEGV, &kept, NULL);
    expect(STACK_UNKNOWN, REASON_STACK_UNKNOWN);
}

static void reset_and_check(int number) {
    signal(number, SIG_DFL);
    plain(1);
}

static void test_handler_that_resets_its_signal(void **state) {
    (void)state;
    signal(SIGUSR2, reset_and_check);
    raise(SIGUSR2);
    expect_sound();
}

static int cloned_body(void *argument) {
    (void)argument;
    plain(2);
    return 0;
}

/* A child's stack in the middle of the parent's: containers are started like this. */
static void test_clone_on_a_part_of_the_stack(void **state) {
    (void)state;
    _Alignas(16) char room[32768];
    stack_register((uint64_t)room, (uint64_t)room + sizeof room);
    int child = clone(cloned_body, room + sizeof room, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
    assert_true(child > 0);
    waitpid(child, NULL, 0);
    expect_sound();
}

/* Calls `function` on another stack. */
void call_on(uint64_t top, void (*function)(void));
__asm__(".text\n"
        ".type call_on, @function\n"
        "call_on:\n"
        ".cfi_startproc\n"
        "    pushq %rbp\n"
        ".cfi_adjust_cfa_offset 8\n"
        ".cfi_offset %rbp, -16\n"
        "    movq %rsp, %rbp\n"
        ".cfi_def_cfa_register %rbp\n"
        "    movq %rdi, %rsp\n"
        "    call *%rsi\n"
        "    leave\n"
        ".cfi_def_cfa %rsp, 8\n"
        "    ret\n"
        ".cfi_endproc\n"
        ".size call_on, .-call_on\n");

static void test_pivoted_stack(void **state) {
    (void)state;
    static char room[65536];
    call_on((uint64_t)room + 32768, test_stub);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    assert_true(result.foreign);
    char *heap = calloc(1, 65536);
    call_on(((uint64_t)heap + 32768) & ~15ul, test_stub);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    free(heap);
}

static void test_pivot_with_overwritten_tables(void **state) {
    (void)state;
    static char room[65536];
    const struct stack_range everything = {0, UINT64_MAX};
    thread_slot()->stack = everything;
    call_on((uint64_t)room + 32768, test_stub);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    thread_slot()->stack.high = 0;
    call_on((uint64_t)room + 32768, test_stub);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    thread_slot()->stack.low = 0;
    call_on((uint64_t)room + 32768, test_stub);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    /* The kernel knows no alternate stack: none, or one that is disarmed while its handler runs. */
    thread_slot()->alternate = everything;
    call_on((uint64_t)room + 32768, test_stub);
    expect(STACK_UNKNOWN, REASON_STACK_UNKNOWN);
    static char other[65536];
    stack_t stack = {.ss_sp = other, .ss_size = sizeof other}, none = {.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
    call_on((uint64_t)room + 32768, test_stub);
    sigaltstack(&none, NULL);
    thread_slot()->alternate = (struct stack_range){0, 0};
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
}

static uint64_t false_frame_pointer;

static void forge_frame_pointer(struct registers *registers) {
    registers->rbp = false_frame_pointer;
}

static void test_forged_frame_pointer(void **state) {
    (void)state;
    static uint64_t data[64];
    tamper = forge_frame_pointer;
    false_frame_pointer = (uint64_t)&data[32];
    for (unsigned twice = 0; twice < 2; twice++) {
        with_frame_pointer(0);
        expect(STACK_BROKEN, REASON_STACK_PIVOT);
        tamper = NULL;
        with_frame_pointer(0);
        expect_sound();
        tamper = forge_frame_pointer;
    }
    false_frame_pointer = (uint64_t)&data & ~0xffful; /* far below */
    with_frame_pointer(0);
    expect(STACK_BROKEN, REASON_STACK_PIVOT);
    false_frame_pointer = (uint64_t)__builtin_frame_address(0) - 65536;
    with_frame_pointer(0);
    expect(STACK_BROKEN, REASON_STACK_ORDER);
}

/* ---- the frame cache ---- */

static void test_frame_cache_refuses_torn_entries(void **state) {
    (void)state;
    static struct stack_cache cache;
    struct frame_rule rule = {.function = 0x7f0000001000,
                              .callee = 0x7f0000002000,
                              .cfa_offset = -24,
                              .rbp_offset = -16,
                              .kind = FRAME_FROM_RBP,
                              .call = 2};
    struct frame_rule found;
    frame_cache_store(&cache, 7, 0x7f0000001234, &rule);
    assert_true(frame_cache_find(&cache, 7, 0x7f0000001234, &found));
    assert_memory_equal(&rule, &found, sizeof rule);
    assert_false(frame_cache_find(&cache, 8, 0x7f0000001234, &found)); /* other modules */
    for (unsigned word = 0; word < 4; word++)
        for (unsigned bit = 0; bit < 64; bit += 3) {
            uint64_t *torn = &cache.entries[frame_set(0x7f0000001234)].words[word];
            *torn ^= 1ul << bit;
            assert_false(frame_cache_find(&cache, 7, 0x7f0000001234, &found));
            *torn ^= 1ul << bit;
        }
}

static void test_speed(void **state) {
    (void)state;
    repeat = 200000;
    cover_modules();
    rules.flags = 0;
    plain(5);
    expect_sound();
    print_message("# about 10 frames: %.0f ns", nanoseconds);
    plain(25);
    expect_sound();
    print_message(", about 30 frames: %.0f ns", nanoseconds);
    repeat = 2000;
    cold = 1;
    plain(5);
    expect_sound();
    print_message("; about 10 frames never met before: %.0f ns\n", nanoseconds);
    repeat = cold = 0;
}

int main(int count, char **arguments) {
    char **end = environ;
    while (*end != NULL)
        end++;
    pinion_sealed_state.state.environment_end = (uint64_t)(end > environ ? end[-1] + strlen(end[-1]) : arguments[0]);
    test_stub_offsets[0] = (int32_t)((char *)test_stub - (char *)test_stub_offsets);
    dl_iterate_phdr(add_module, NULL);
    map.sequence = 1;
    pinion_sealed_state.state.modules = &map;
    stack_start(&pinion_sealed_state.state);
    (void)count;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_frames_of_every_shape, uncover_modules),
        cmocka_unit_test_teardown(test_deep_recursion_is_sound, uncover_modules),
        cmocka_unit_test_teardown(test_calls_lead_where_they_point, uncover_modules),
        cmocka_unit_test_teardown(test_callback_from_libc, uncover_modules),
        cmocka_unit_test_teardown(test_errno_is_untouched, uncover_modules),
        cmocka_unit_test_teardown(test_signal_handler, uncover_modules),
        cmocka_unit_test_teardown(test_signal_handler_on_alternate_stack, uncover_modules),
        cmocka_unit_test_teardown(test_signals_during_checks, uncover_modules),
        cmocka_unit_test_teardown(test_threads, uncover_modules),
        cmocka_unit_test_teardown(test_coroutines, uncover_modules),
        cmocka_unit_test_teardown(test_forged_end_of_a_context, uncover_modules),
        cmocka_unit_test_teardown(test_oldest_registered_stack_goes, uncover_modules),
        cmocka_unit_test_teardown(test_return_address_after_no_call, uncover_modules),
        cmocka_unit_test_teardown(test_return_address_outside_code, uncover_modules),
        cmocka_unit_test_teardown(test_call_of_another_function, uncover_modules),
        cmocka_unit_test_teardown(test_overwritten_outer_frame, uncover_modules),
        cmocka_unit_test_teardown(test_start_in_the_middle_of_the_stack, uncover_modules),
        cmocka_unit_test_teardown(test_start_in_the_middle_of_a_thread, uncover_modules),
        cmocka_unit_test_teardown(test_forged_signal_frame, uncover_modules),
        cmocka_unit_test_teardown(test_handler_of_a_call_to_nowhere, uncover_modules),
        cmocka_unit_test_teardown(test_handler_that_resets_its_signal, uncover_modules),
        cmocka_unit_test_teardown(test_clone_on_a_part_of_the_stack, uncover_modules),
        cmocka_unit_test_teardown(test_pivoted_stack, uncover_modules),
        cmocka_unit_test_teardown(test_pivot_with_overwritten_tables, uncover_modules),
        cmocka_unit_test_teardown(test_forged_frame_pointer, uncover_modules),
        cmocka_unit_test(test_frame_cache_refuses_torn_entries),
        cmocka_unit_test_teardown(test_speed, uncover_modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
