/* What an attack leaves behind, imitated: the state of the processor and of the memory after a corruption that
 * gave the attacker everything. The requests carry the whole state, so that the knowledge stays in ./attack.
 */
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)
#define STACK_WORDS 512

/* The body of /hijacked. */
struct state {
    uint64_t instruction;
    uint64_t rdi, rsi, rdx;
    uint64_t word_count;
    uint64_t words[STACK_WORDS]; /* what the stack pointer points to, as far as it is given */
};

static _Noreturn void resume(const struct state *state, const uint64_t *stack) {
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "push %1\n\t"
                     "ret"
                     :
                     : "c"(stack), "a"(state->instruction), "D"(state->rdi), "S"(state->rsi), "d"(state->rdx)
                     : "memory");
    __builtin_unreachable();
}

/* Goes on at state->instruction with the stack pointer at a copy of the words: in this thread's own stack
 * ("thread") or in a heap buffer ("heap"), the pivoted stack of an attack that could not reach the real one. */
void resume_hijacked_state(void) {
    static struct state state;
    memcpy(&state, request.body, request.body_length < sizeof state ? request.body_length : sizeof state);
    size_t bytes = state.word_count * sizeof *state.words;
    if (bytes > sizeof state.words) {
        respond(400, "too many words\n");
        return;
    }
    if (strcmp(parameter("stack", NULL), "heap") == 0) {
        char *heap = aligned_alloc(16, STACK_BYTES);
        uint64_t *top = heap ? (uint64_t *)(heap + STACK_BYTES - sizeof state.words) : NULL;
        if (!top) {
            respond(500, "no memory\n");
            return;
        }
        memcpy(top, state.words, bytes);
        resume(&state, top);
    }
    uint64_t words[STACK_WORDS] __attribute__((aligned(16)));
    memcpy(words, state.words, bytes);
    resume(&state, words);
}

static int write_through_proc(uint64_t address, uint64_t size) {
    int memory = open("/proc/self/mem", O_RDWR);
    if (memory < 0)
        return -1;
    ssize_t written = pwrite(memory, request.body, size, (off_t)address);
    close(memory);
    return written == (ssize_t)size ? 0 : -1;
}

/* Every way to make sealed pages writable, to empty them, or to put others in their place. */
void change_memory(void) {
    const char *change = parameter("change", NULL);
    uint64_t address = number_parameter("address"), size = number_parameter("size");
    void *pages = (void *)address;
    int result = -1;
    errno = EINVAL;
    if (strcmp(change, "protect") == 0)
        result = mprotect(pages, size, PROT_READ | PROT_WRITE);
    else if (strcmp(change, "discard") == 0)
        result = madvise(pages, size, MADV_DONTNEED);
    else if (strcmp(change, "replace") == 0)
        result =
            mmap(pages, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == pages ? 0 : -1;
    else if (strcmp(change, "unmap") == 0)
        result = munmap(pages, size);
    else if (strcmp(change, "proc") == 0)
        result = write_through_proc(address, request.body_length);
    if (result)
        respond(500, "not changed: %s\n", strerror(errno));
    else
        respond(200, "changed\n");
}
