/* Called after it was opened in several ways: what does its open lead to? */
#include <fcntl.h>
#include <unistd.h>

int deep_open(void);
int deep_open(void) {
    int memory = open("/proc/self/mem", O_RDWR);
    if (memory >= 0)
        close(memory);
    return memory >= 0;
}
