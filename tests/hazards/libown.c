/* A library with a function of its own that has a libc function's name. */
int unlink(const char *path);
int unlink(const char *path) {
    (void)path;
    return 4711;
}
