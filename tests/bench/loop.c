/* The nanoseconds that one call of listen costs, system call included: what a filter or a tracer adds is seen by
 * running this under it. The descriptor is bad, and so the kernel does no more than answer.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "tests/bench/bench.h"

#define ROUNDS 51

static volatile int bad_descriptor = -1;

int main(int count, char **arguments) {
    static double times[ROUNDS];
    unsigned calls = count > 1 ? (unsigned)strtoul(arguments[1], NULL, 10) : 2000;
    for (unsigned round = 0; round < ROUNDS; round++) {
        int64_t start = bench_now();
        for (unsigned i = 0; i < calls; i++)
            listen(bad_descriptor, 511);
        times[round] = (double)(bench_now() - start) / calls;
    }
    printf("%.1f\n", bench_median(times, ROUNDS));
    return 0;
}
