/* Found by the RUNPATH of libcaller.so alone. */
int private_answer(void);
int private_answer(void) {
    return 4711;
}
