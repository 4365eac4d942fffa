/* A signal handler that opens its own file, while the program opens another: neither may ever get the other's. The
 * names lie in writable memory, so that the shim copies them.
 *
 *   signal_storm FILE OTHER [alternate]
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "tests/hazards/hazard.h"

#define OPENS 100000
#define SIGNALS 500

static char *own, *other;
static ino_t own_inode, other_inode;
static volatile unsigned handled, misdirected;

static ino_t inode_of(int file) {
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0)
        return 0;
    close(file);
    return status.st_ino;
}

static void handle(int signal_number) {
    int saved = errno;
    (void)signal_number;
    for (int i = 0; i < 3; i++)
        misdirected += inode_of(open(other, O_RDWR)) != other_inode;
    handled++;
    errno = saved;
}

int main(int count, char **arguments) {
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    struct itimerval interval = {.it_interval.tv_usec = 100, .it_value.tv_usec = 100};
    EXPECT(count >= 3);
    own = writable(arguments[1]);
    other = writable(arguments[2]);
    own_inode = inode_of(open(own, O_RDWR));
    other_inode = inode_of(open(other, O_RDWR));
    EXPECT(own_inode != 0 && other_inode != 0 && own_inode != other_inode);
    if (count > 3) {
        action.sa_flags |= SA_ONSTACK;
        EXPECT(sigaltstack(&alternate, NULL) == 0);
    }
    EXPECT(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &interval, NULL) == 0);
    unsigned wrong = 0;
    for (unsigned i = 0; i < OPENS || handled < SIGNALS; i++)
        wrong += inode_of(open(own, O_RDWR)) != own_inode;
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("misdirected: %u, in the handler: %u\n", wrong, misdirected);
    return 0;
}
