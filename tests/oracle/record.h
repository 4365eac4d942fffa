/* What the recorder writes and the comparison reads. */
#ifndef PINION_TESTS_ORACLE_RECORD_H
#define PINION_TESTS_ORACLE_RECORD_H

#define RECORD_DESCRIPTOR 9
#define RECORD_PROGRAM "-" /* the module that is the program itself */
#define RUNS_PER_CASE 256u /* srand(case * RUNS_PER_CASE + run) begins one run of one case */

/* How the call that returns there was made. */
#define RECORD_DIRECT 'd'
#define RECORD_INDIRECT 'i'

/* The first letter of an argument. */
#define RECORD_NOTHING '.' /* opaque, or without meaning in this call */
#define RECORD_INTEGER 'i' /* hexadecimal, of the width that counts */
#define RECORD_NULL '0'
#define RECORD_TEXT 't' /* escaped: \xx */
#define RECORD_ADDRESS 'a'
#define RECORD_VECTOR 'v' /* escaped, separated by commas */

/* Every other byte of a text is written \xx: fields stay apart, and so do the elements of vectors. */
static inline int record_is_plain(char byte) {
    return byte > ' ' && byte <= '~' && byte != '\\' && byte != ',';
}

#endif
