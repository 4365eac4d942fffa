/* What a packaged server does when its libraries were updated: it begins anew and keeps its socket. */
#include "reload.h"

#ifdef PROGRAM
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LISTENER "SAMPLE_SERVER_LISTENER"

static volatile sig_atomic_t asked;

static void ask(int number) {
    (void)number;
    asked = 1;
}

int inherited_listener(void) {
    sigset_t signals;
    struct sigaction action = {.sa_handler = ask};
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    sigaction(SIGHUP, &action, NULL);
    const char *number = getenv(LISTENER);
    return number ? atoi(number) : -1;
}

static void begin_anew(int listener) {
    char number[16];
    snprintf(number, sizeof number, "%d", listener);
    setenv(LISTENER, number, 1);
    fcntl(listener, F_SETFD, 0);
    execl(PROGRAM, PROGRAM, (char *)NULL);
    perror("server: cannot begin anew");
}

/* The scripts and commands that the server starts have no use for the socket. */
void wait_for_visitor(int listener) {
    struct pollfd request = {.fd = listener, .events = POLLIN};
    sigset_t none;
    sigemptyset(&none);
    fcntl(listener, F_SETFD, FD_CLOEXEC);
    do {
        if (asked) {
            asked = 0;
            begin_anew(listener);
        }
    } while (ppoll(&request, 1, NULL, &none) < 1);
}

#else

int inherited_listener(void) {
    return -1;
}

void wait_for_visitor(int listener) {
    (void)listener;
}

#endif
