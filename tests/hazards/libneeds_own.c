/* Linked against libown.so. */
int needs_own(void);
int needs_own(void) {
    return 1;
}
