/* What a refused call answers, for each way in which functions fail. The policy of the test allows none of these
 * arguments.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <iconv.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <wordexp.h>

#include "tests/hazards/hazard.h"

extern char **environ;

static void tell(const char *name, long result) {
    printf("%s %ld %s\n", name, result, errno == EPERM ? "EPERM" : errno == 77 ? "-" : strerror(errno));
    errno = 77;
}

#define TELL(name, expression)             \
    do {                                   \
        long result_ = (long)(expression); \
        tell(name, result_);               \
    } while (0)

int main(void) {
    char *arguments[] = {"true", NULL}, template[] = "/tmp/hazardXXXXXX";
    pid_t child = 0;
    wordexp_t words;
    errno = 77;
    TELL("open", open(writable("/dev/null"), O_RDONLY));
    TELL("fopen", fopen(writable("/dev/null"), "r"));
    TELL("mkstemp", mkstemp(template));
    TELL("mkdtemp", mkdtemp(template));
    TELL("mmap", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    TELL("socket", socket(AF_UNIX, SOCK_STREAM, 0));
    TELL("execv", execv(writable("/bin/true"), arguments));
    TELL("posix_spawn", posix_spawn(&child, writable("/bin/true"), NULL, NULL, arguments, environ));
    TELL("system", system(writable("true")));
    TELL("popen", popen(writable("true"), "r"));
    TELL("wordexp", wordexp(writable("a"), &words, 0) != 0 ? -1 : 0);
    TELL("iconv_open", iconv_open(writable("UTF-8"), "UTF-16"));
    dlerror();
    void *loaded = dlopen(writable("libm.so.6"), RTLD_NOW);
    printf("dlopen %d, %s\n", loaded != NULL, dlerror() != NULL ? "dlerror tells why" : "dlerror is silent");
    void *found = dlsym(RTLD_DEFAULT, writable("getpid"));
    printf("dlsym %d, %s\n", found != NULL, dlerror() != NULL ? "dlerror tells why" : "dlerror is silent");
    return 0;
}
