/* Changes the root and starts a program there.
 *
 *   change_root ROOT PROGRAM
 */
#include "tests/hazards/hazard.h"

int main(int count, char **arguments) {
    EXPECT(count == 3 && chroot(arguments[1]) == 0 && chdir("/") == 0);
    execl(arguments[2], arguments[2], (char *)NULL);
    printf("refused: %s\n", strerror(errno));
    return 0;
}
