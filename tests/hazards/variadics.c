/* Functions with a variable number of arguments: each gets what it was given, no matter how many. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/hazards/hazard.h"

static unsigned mode_of(int file) {
    struct stat status;
    EXPECT(file >= 0 && fstat(file, &status) == 0);
    close(file);
    return status.st_mode & 07777;
}

static void open_files(const char *directory) {
    umask(0);
    EXPECT(chdir(directory) == 0);
    EXPECT(mode_of(open(writable("created"), O_CREAT | O_EXCL | O_RDWR, 0641)) == 0641);
    EXPECT(mode_of(openat(AT_FDCWD, writable("created-at"), O_CREAT | O_EXCL | O_WRONLY, 0604)) == 0604);
    EXPECT(mode_of(syscall(SYS_openat, AT_FDCWD, writable("created-by-call"), O_CREAT | O_RDWR, 0622)) == 0622);
    int unnamed = open(writable("."), O_TMPFILE | O_RDWR, 0640);
    if (unnamed >= 0 || errno != EOPNOTSUPP)
        EXPECT(mode_of(unnamed) == 0640);
    EXPECT(open(writable("created"), O_CREAT | O_EXCL | O_RDWR, 0641) == -1 && errno == EEXIST);
    EXPECT(unlink("created") == 0 && unlink("created-at") == 0 && unlink("created-by-call") == 0);
}

static void control_files(void) {
    int ends[2], pending = -1;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char name[17] = "";
    EXPECT(pipe(ends) == 0);
    EXPECT(fcntl(ends[0], F_DUPFD, 100) == 100);
    EXPECT(fcntl(ends[0], F_DUPFD_CLOEXEC, 101) == 101);
    EXPECT(fcntl(101, F_GETFD) == FD_CLOEXEC);
    EXPECT(fcntl(101, F_SETFD, 0) == 0 && fcntl(101, F_GETFD) == 0);
    EXPECT(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 && (fcntl(ends[1], F_GETFL) & O_NONBLOCK));
    EXPECT(write(ends[1], "12345", 5) == 5);
    EXPECT(ioctl(ends[0], FIONREAD, &pending) == 0 && pending == 5);
    FILE *file = tmpfile();
    EXPECT(file != NULL);
    EXPECT(fcntl(fileno(file), F_GETLK, &lock) == 0 && lock.l_type == F_UNLCK);
    EXPECT(prctl(PR_SET_NAME, "variadic", 0, 0, 0) == 0);
    EXPECT(prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && strcmp(name, "variadic") == 0);
    EXPECT(prctl(PR_SET_NAME, "two") == 0);
    EXPECT((void *)syscall(SYS_mmap, NULL, 8192UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L) != MAP_FAILED);
    EXPECT(mremap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096, 8192, MREMAP_MAYMOVE) !=
           MAP_FAILED);
}

/* Through a pointer: a list without any argument is more than the compiler lets pass. */
static int (*volatile execute_list)(const char *, const char *, ...) = execl;

static void execute(const char *self, int how) {
    char *environment[] = {"ONLY=this", NULL};
    fflush(stdout);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        switch (how) {
        case 0: execute_list(self, (char *)NULL); break;
        case 3: execl(self, self, "show", "c", (char *)NULL); break;
        case 10: execl(self, self, "show", "c", "d", "e", "f", "g", "h", "i", "j", (char *)NULL); break;
        case 11: execlp(self, self, "show", "c", "d", "e", "f", "g", "h", "i", "j", "k", (char *)NULL); break;
        case 12: execle(self, self, "show", "environment", (char *)NULL, environment); break;
        case 13: execle(self, self, "show", "d", "e", "f", "g", "environment", (char *)NULL, environment); break;
        default: break;
        }
        _exit(9);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child);
    EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int count, char **arguments) {
    if (count < 2 || strcmp(arguments[1], "show") == 0) {
        printf("%d:", count);
        for (int i = 1; i < count; i++)
            printf(" %s", arguments[i]);
        printf("%s\n", getenv("ONLY") != NULL && strcmp(arguments[count - 1], "environment") == 0 ? " ONLY" : "");
        return 0;
    }
    open_files(arguments[1]);
    control_files();
    const int ways[] = {0, 3, 10, 11, 12, 13};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        execute(arguments[2], ways[i]);
    puts("fine");
    return 0;
}
