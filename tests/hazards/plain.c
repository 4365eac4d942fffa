/* A program without any hazard: opens one file for reading, or says why not. Also linked statically, and run as
 * "ld.so plain".
 *
 *   plain [FILE]...
 */
#include <fcntl.h>

#include "tests/hazards/hazard.h"

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        int file = open(arguments[i], O_RDONLY);
        puts(file >= 0 ? "opened" : strerror(errno));
    }
    puts("fine");
    return 0;
}
