/* Opens the file whose name stands on standard input, to the end: any bytes. */
#include <fcntl.h>

#include "tests/hazards/hazard.h"

int main(void) {
    static char name[65536];
    ssize_t length = read(0, name, sizeof name - 1);
    EXPECT(length >= 0);
    int file = open(name, O_RDWR);
    puts(file >= 0 ? "opened" : strerror(errno));
    return 0;
}
