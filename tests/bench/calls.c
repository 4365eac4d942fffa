/* What a call through the shim costs more than a bare one: batches of both alternate in one process, so that whatever
 * else the machine does meets both; the median of the differences is printed, one "key value" a line.
 *
 * `calls --once` prints nothing and makes every call once: that shows whether the policy allows them all.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/target.h"

#define ROUNDS 401
#define CALLS 2000

static char *copied_path;
static posix_spawn_file_actions_t *actions;

static inline void use(long result) {
    __asm__ volatile("" ::"r"(result));
}

/* Each pair has the same loop, and the constants of a real program. */
#define BATCH(name, call)                                        \
    static __attribute__((noinline)) void name(unsigned calls) { \
        for (unsigned i = 0; i < calls; i++)                     \
            use(call);                                           \
    }

#define READ_ONLY (O_RDONLY | O_CLOEXEC)
#define STREAM (SOCK_STREAM | SOCK_CLOEXEC)

BATCH(counted, lseek(3, 0, SEEK_SET))
BATCH(counted_bare, bare_lseek(3, 0, SEEK_SET))
BATCH(waiting, fsync(3))
BATCH(waiting_bare, bare_fsync(3))
BATCH(integers, socket(AF_INET, STREAM, 0))
BATCH(integers_bare, bare_socket(AF_INET, STREAM, 0))
BATCH(constant, open("/etc/bench/settings.conf", READ_ONLY))
BATCH(constant_bare, bare_open("/etc/bench/settings.conf", READ_ONLY))
BATCH(copied, open(copied_path, READ_ONLY))
BATCH(copied_bare, bare_open(copied_path, READ_ONLY))
/* Of the exec class, but with nothing to look at besides the stack. */
BATCH(spawn, posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0))
BATCH(spawn_bare, bare_addopen(actions, 0, "/dev/null", O_RDONLY, 0))

typedef void batch(unsigned calls);

/* ---- depth: every level is a function of its own, as in a program ---- */

#define DEEPEST 26
/* The frames that are there without any level: the batch, level 0, measure, main and three of libc's start. */
#define OTHER_FRAMES 7

static __attribute__((noinline)) void level_0(batch *work, unsigned calls) {
    work(calls);
    __asm__ volatile(""); /* not a tail call */
}

#define LEVEL(n, below)                                                            \
    static __attribute__((noinline)) void level_##n(batch *work, unsigned calls) { \
        level_##below(work, calls);                                                \
        __asm__ volatile("");                                                      \
    }
/* clang-format off */
LEVEL(1, 0) LEVEL(2, 1) LEVEL(3, 2) LEVEL(4, 3) LEVEL(5, 4) LEVEL(6, 5) LEVEL(7, 6) LEVEL(8, 7)
LEVEL(9, 8) LEVEL(10, 9) LEVEL(11, 10) LEVEL(12, 11) LEVEL(13, 12) LEVEL(14, 13) LEVEL(15, 14)
LEVEL(16, 15) LEVEL(17, 16) LEVEL(18, 17) LEVEL(19, 18) LEVEL(20, 19) LEVEL(21, 20) LEVEL(22, 21) LEVEL(23, 22)
/* clang-format on */

#define LEVELS_FOR_10 level_3
#define LEVELS_FOR_30 level_23
            _Static_assert(10 - OTHER_FRAMES == 3 && 30 - OTHER_FRAMES == 23, "the levels above");

/* ---- measuring ---- */

struct measure {
    const char *key;
    batch *checked, *bare;
    void (*depth)(batch *work, unsigned calls);
    unsigned calls;
    double unit; /* nanoseconds */
};

static const struct measure measures[] = {
    {"counted_ns", counted, counted_bare, level_0, CALLS, 1},
    {"waiting_ns", waiting, waiting_bare, level_0, CALLS, 1},
    {"checked_int_ns", integers, integers_bare, level_0, CALLS, 1},
    {"checked_const_path_ns", constant, constant_bare, level_0, CALLS, 1},
    {"checked_copied_path_ns", copied, copied_bare, level_0, CALLS / 10, 1},
    {"stack10_us", spawn, spawn_bare, LEVELS_FOR_10, CALLS / 20, 1000},
    {"stack30_us", spawn, spawn_bare, LEVELS_FOR_30, CALLS / 20, 1000},
};

static double timed(const struct measure *measure, batch *work) {
    int64_t start = bench_now();
    measure->depth(work, measure->calls);
    return (double)(bench_now() - start) / measure->calls;
}

static __attribute__((noinline)) double run(const struct measure *measure, double *bare_cost) {
    static double differences[ROUNDS], bares[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        double checked = i % 2 ? timed(measure, measure->checked) : 0;
        double bare = timed(measure, measure->bare);
        if (i % 2 == 0)
            checked = timed(measure, measure->checked);
        differences[i] = checked - bare;
        bares[i] = bare;
    }
    *bare_cost = bench_median(bares, ROUNDS);
    return bench_median(differences, ROUNDS);
}

int main(int count, char **arguments) {
    /* Neither begins a page nor is known before the program runs. */
    copied_path = strdup("/srv/bench/pages/2024/a-page-of-ordinary-length.html");
    actions = malloc(sizeof *actions);
    if (copied_path == NULL || actions == NULL)
        return 2;
    const size_t measure_count = sizeof measures / sizeof *measures;
    if (count > 1 && strcmp(arguments[1], "--once") == 0) {
        for (size_t i = 0; i < measure_count; i++)
            measures[i].depth(measures[i].checked, 1);
        return 0;
    }
    double bare_call = 0;
    for (size_t i = 0; i < measure_count; i++) {
        double bare;
        double difference = run(&measures[i], &bare);
        printf("%s %.4f\n", measures[i].key, difference / measures[i].unit);
        if (i == 0)
            bare_call = bare;
    }
    printf("bare_call_ns %.2f\n", bare_call);
    return 0;
}
