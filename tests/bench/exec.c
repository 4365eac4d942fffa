/* The time from vfork to the end of a program that does nothing, bare and with each given preload in turn:
 *
 *   exec ROUNDS PROGRAM LABEL VARIABLE=VALUE... [-- LABEL ...]
 *
 * Prints "bare MICROSECONDS" and for each label the median of the differences from the bare run of the same round.
 */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define VARIANTS_MAX 8
#define VARIABLES_MAX 8

struct variant {
    const char *label;
    char *environment[VARIABLES_MAX + 2];
    double *times;
};

static double run(char *program, char **environment) {
    char *arguments[] = {program, NULL};
    int status;
    int64_t start = bench_now();
    pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): what is measured
    if (child == 0) {
        execve(program, arguments, environment);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
        fprintf(stderr, "exec: %s ended with status %d\n", program, child < 0 ? -1 : status);
        exit(2);
    }
    return (double)(bench_now() - start) / 1000;
}

static unsigned parse(int count, char **arguments, struct variant *variants) {
    static char path[] = "PATH=/usr/bin:/bin";
    unsigned used = 1;
    variants[0] = (struct variant){.label = "bare", .environment = {path}};
    for (int i = 3; i < count && used < VARIANTS_MAX; i++) {
        struct variant *variant = &variants[used++];
        *variant = (struct variant){.label = arguments[i], .environment = {path}};
        for (unsigned k = 1; ++i < count && strcmp(arguments[i], "--") != 0 && k <= VARIABLES_MAX; k++)
            variant->environment[k] = arguments[i];
    }
    return used;
}

int main(int count, char **arguments) {
    struct variant variants[VARIANTS_MAX];
    unsigned long rounds = count > 3 ? strtoul(arguments[1], NULL, 10) : 0;
    if (rounds == 0) {
        fputs("usage: exec ROUNDS PROGRAM LABEL VARIABLE=VALUE... [-- LABEL ...]\n", stderr);
        return 2;
    }
    unsigned used = parse(count, arguments, variants);
    for (unsigned i = 0; i < used; i++)
        variants[i].times = calloc(rounds, sizeof(double));
    for (unsigned long round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < used; i++) {
            unsigned turn = (unsigned)((round + i) % used);
            variants[turn].times[round] = run(arguments[2], variants[turn].environment);
        }
        for (unsigned i = 1; i < used; i++)
            variants[i].times[round] -= variants[0].times[round];
    }
    for (unsigned i = 0; i < used; i++)
        printf("%s %.1f\n", variants[i].label, bench_median(variants[i].times, rounds));
    return 0;
}
