/* Under a limit on address space: says how much it needs, or lives within what there is, with new threads.
 *
 *   address_space [tight]
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

#include "tests/hazards/hazard.h"

static unsigned long virtual_pages(void) {
    char text[128] = "";
    int file = open("/proc/self/statm", O_RDONLY);
    EXPECT(file >= 0 && read(file, text, sizeof text - 1) > 0);
    close(file);
    return strtoul(text, NULL, 10);
}

static void *work(void *result) {
    int file = open(writable("/dev/null"), O_RDWR);
    *(int *)result = file >= 0;
    return NULL;
}

int main(int count, char **arguments) {
    (void)arguments;
    unsigned long pages = virtual_pages();
    if (count == 1) {
        printf("%lu\n", pages * 4);
        return 0;
    }
    struct rlimit limit = {(pages + 80) * 4096, (pages + 80) * 4096};
    pthread_attr_t attributes;
    EXPECT(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, 16384) == 0);
    EXPECT(setrlimit(RLIMIT_AS, &limit) == 0);
    for (int i = 0; i < 12; i++) {
        pthread_t thread;
        int opened = 0;
        if (pthread_create(&thread, &attributes, work, &opened) == 0)
            pthread_join(thread, NULL);
    }
    puts("fine");
    return 0;
}
