/* A small process that has had calls of every kind checked, and waits: what it then owns alone is read from its
 * smaps. Everything here fails or does nothing; it is the checks that leave traces.
 */
#include <fcntl.h>

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void *use(void *path) {
    for (unsigned i = 0; i < 100; i++) {
        close(open("/dev/null", O_RDONLY | O_CLOEXEC));
        close(open(path, O_RDONLY | O_CLOEXEC));
        close(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        unlink("/nonexistent/of/this/benchmark");
        void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(page, 4096, PROT_READ);
        munmap(page, 4096);
        kill(0, 0);
    }
    return NULL;
}

static void start_child(void) {
    posix_spawn_file_actions_t actions;
    pid_t child;
    char *arguments[] = {"true", NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (posix_spawn(&child, "/bin/true", &actions, NULL, arguments, environ) == 0)
        waitpid(child, NULL, 0);
    posix_spawn_file_actions_destroy(&actions);
}

int main(void) {
    char path[] = "/dev/zero";
    use(path);
    start_child();
    puts("ready");
    fflush(stdout);
    return getchar() == EOF ? 0 : 1;
}
