/* pthread_cancel ends a thread that is blocked in a call, and its clean-up handlers run. */
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/hazards/hazard.h"

static int pipe_end, listener, locked;
static const char *fifo;
static volatile int cleaned, thread_number;

static void clean(void *unused) {
    (void)unused;
    cleaned++;
}

static void block_in(const char *call) {
    char byte;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (strcmp(call, "read") == 0)
        read(pipe_end, &byte, 1);
    else if (strcmp(call, "accept") == 0)
        accept(listener, NULL, NULL);
    else if (strcmp(call, "nanosleep") == 0)
        nanosleep(&(struct timespec){.tv_sec = 1000}, NULL);
    else if (strcmp(call, "open") == 0)
        open(fifo, O_RDONLY);
    else if (strcmp(call, "fcntl") == 0)
        fcntl(locked, F_OFD_SETLKW, &lock);
}

static void *thread(void *call) {
    pthread_cleanup_push(clean, NULL);
    thread_number = (int)syscall(SYS_gettid);
    block_in(call);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Waits until the kernel says that the thread sleeps. */
static void await_sleep(void) {
    while (thread_number == 0)
        sched_yield();
    for (;;) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_number);
        int file = open(path, O_RDONLY);
        EXPECT(file >= 0 && read(file, text, sizeof text - 1) > 0);
        close(file);
        char *end = strrchr(text, ')');
        if (end != NULL && end[2] == 'S')
            return;
        sched_yield();
    }
}

int main(int count, char **arguments) {
    const char *calls[] = {"read", "accept", "nanosleep", "open", "fcntl"};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int ends[2];
    EXPECT(count == 2 && chdir(arguments[1]) == 0);
    fifo = writable("fifo");
    EXPECT(mkfifo(fifo, 0600) == 0 && pipe(ends) == 0);
    pipe_end = ends[0];
    listener = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
    int holder = open("locked", O_RDWR | O_CREAT, 0600);
    locked = open("locked", O_RDWR);
    EXPECT(fcntl(holder, F_OFD_SETLK, &lock) == 0);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        pthread_t started;
        void *result = NULL;
        thread_number = 0;
        EXPECT(pthread_create(&started, NULL, thread, (void *)calls[i]) == 0);
        await_sleep();
        EXPECT(pthread_cancel(started) == 0 && pthread_join(started, &result) == 0);
        EXPECT(result == PTHREAD_CANCELED && cleaned == (int)i + 1);
        printf("%s\n", calls[i]);
    }
    unlink("fifo");
    unlink("locked");
    puts("fine");
    return 0;
}
