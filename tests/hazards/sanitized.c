/* Built with AddressSanitizer: the shim stands aside, and the sanitizer still finds what it is for.
 *
 *   sanitized [overflow]
 */
#include <fcntl.h>

#include "tests/hazards/hazard.h"

int main(int count, char **arguments) {
    char *memory = malloc(10);
    memset(memory, 'x', 10);
    if (count > 1)
        memory[10 + arguments[1][0] % 2] = 'y';
    int file = open("/proc/self/mem", O_RDWR);
    EXPECT(file >= 0 && memory[3] == 'x');
    free(memory);
    puts("fine");
    return 0;
}
