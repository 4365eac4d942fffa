/* A harmless plugin of the sample server, or with -DMARKER='"/some/file"' the attacker's: its constructor, which
 * runs as soon as the object is loaded, creates that file.
 */
#ifdef MARKER
#include <fcntl.h>
#include <unistd.h>

__attribute__((constructor)) static void take_over(void) {
    close(open(MARKER, O_WRONLY | O_CREAT, 0644));
}
#endif

const char *describe(void) {
    return "a plugin that does no harm";
}
