/* For fuzzers of what libconfig reads: it forgets the text that it was reading when it meets a syntax error, which is no
 * leak of ours.
 */
#ifndef PINION_TESTS_FUZZ_LIBCONFIG_H
#define PINION_TESTS_FUZZ_LIBCONFIG_H

const char *__lsan_default_suppressions(void);
const char *__lsan_default_options(void);

const char *__lsan_default_suppressions(void) {
    return "leak:libconfig.so\n";
}

const char *__lsan_default_options(void) {
    return "print_suppressions=0";
}

#endif
