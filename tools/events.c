/* `pinion events`: listens for events of protected programs and prints them. It does nothing else with them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "runtime/event.h"
#include "runtime/util.h"
#include "tools/answer.h"
#include "tools/event_print.h"
#include "tools/options.h"

static struct {
    const char *socket;
    const char *count;
    const char *database;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("socket", 's', "PATH", &settings.socket,
                "where to listen (default PINION_EVENTS, else " EVENT_SOCKET ")"),
    OPTION_TEXT("count", 'n', "N", &settings.count, "end after so many events"),
    OPTION_TEXT("db", 'd', "DB", &settings.database, "say which attack of this signature database an anomaly is"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object a line"),
};

static const char details[] =
    "Protected programs look for the socket when they start: begin to listen first, or at least make its directory,\n"
    "in which nobody else should be able to write. An event is a claim of its sender; who that is, the kernel tells.\n"
    "\n"
    "Exit status: 0 ended by a signal or after N events, 2 error.\n";

static volatile sig_atomic_t ended;

static void end(int number) {
    (void)number;
    ended = 1;
}

/* ---- the socket ---- */

static struct sockaddr_un address_of(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (*path != '/' || strlen(path) >= sizeof address.sun_path)
        die("cannot listen on \"%s\": it must be an absolute path of at most %zu bytes", path,
            sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

/* Only the default's directory is made: a name with a slip in it should not become one. */
static void make_directory(const char *path) {
    cleanup_free char *directory = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    struct stat status;
    if (*directory == '\0')
        return;
    if (strcmp(path, EVENT_SOCKET) == 0 && mkdir(directory, 0755) != 0 && errno != EEXIST)
        die_with_error("cannot make the directory \"%s\"", directory);
    if (stat(directory, &status) != 0 && errno == ENOENT)
        die("cannot listen on \"%s\": the directory \"%s\" is not there: make it, writable by the listener alone", path,
            directory);
}

/* A socket that was left behind by a listener that is gone is in the way. */
static void remove_stale(const struct sockaddr_un *address) {
    struct stat status;
    if (lstat(address->sun_path, &status) != 0)
        return;
    if (!S_ISSOCK(status.st_mode))
        die("cannot listen on \"%s\": that is a file, not a socket", address->sun_path);
    cleanup_fd int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0)
        die("cannot listen on \"%s\": another process does", address->sun_path);
    if (errno == ECONNREFUSED && unlink(address->sun_path) != 0)
        die_with_error("cannot remove \"%s\"", address->sun_path);
}

static int listen_on(const char *path) {
    struct sockaddr_un address = address_of(path);
    int on = 1;
    make_directory(path);
    remove_stale(&address);
    cleanup_fd int listener = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || chmod(path, 0666) != 0)
        die_with_error("cannot listen on \"%s\"", path);
    return steal_fd(&listener);
}

/* ---- events ---- */

struct datagram {
    struct event event;
    char beyond; /* what is longer than an event shows here */
};

/* The kernel's word on the sender, or NULL. */
static const struct ucred *sender_of(struct msghdr *message) {
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part))
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
            part->cmsg_len >= CMSG_LEN(sizeof(struct ucred)))
            return (const struct ucred *)CMSG_DATA(part);
    return NULL;
}

static struct identifier *known; /* NULL: without a database */

static void look_up(const struct event *event, struct answer *answer) {
    struct evidence evidence;
    evidence_of_event(event, &evidence);
    identify(known, &evidence, answer);
    evidence_free(&evidence);
}

static void print_event(const struct event *event, const struct ucred *sender) {
    struct answer answer;
    bool answered = known != NULL && event->flags & EVENT_ANOMALY;
    if (answered)
        look_up(event, &answer);
    if (settings.json) {
        json_t *object = event_json(event, sender);
        if (answered)
            answer_add_json(&answer, object);
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    } else {
        cleanup_free char *text = event_text(event, sender);
        fputs(text, stdout);
        if (answered)
            answer_print(&answer);
    }
    if (answered)
        answer_free(&answer);
    if (fflush(stdout) != 0)
        die_with_error("cannot write the output");
}

#define REFUSALS_TOLD 8

static void refuse(const char *problem, const struct ucred *sender) {
    static unsigned refused;
    if (refused++ < REFUSALS_TOLD)
        warn("a datagram of process %d is refused: %s", sender != NULL ? (int)sender->pid : 0, problem);
    if (refused == REFUSALS_TOLD)
        warn("further datagrams are refused without a word");
}

/* False: there is none. Descriptors that a sender passes along are not taken: they stay with the kernel, which closes
 * them, for no room is given but for the credentials. */
static bool receive(int listener, bool *good) {
    struct datagram datagram = {0};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec piece = {&datagram, sizeof datagram};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t size = recvmsg(listener, &message, MSG_CMSG_CLOEXEC);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (size < 0)
        die_with_error("cannot receive events");
    const char *problem = event_problem(&datagram, (size_t)size);
    if (problem != NULL)
        refuse(problem, sender_of(&message));
    else
        print_event(&datagram.event, sender_of(&message));
    *good = problem == NULL;
    return true;
}

/* Signals are let through while it waits, and only then. */
static void wait_for_event(int listener, const sigset_t *while_waiting) {
    struct pollfd request = {.fd = listener, .events = POLLIN};
    if (ppoll(&request, 1, NULL, while_waiting) < 0 && errno != EINTR)
        die_with_error("cannot wait for events");
}

#define LAST_LOOK 1000

static void listen_until_ended(int listener, unsigned long count) {
    struct sigaction action = {.sa_handler = end};
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigdelset(&before, SIGINT);
    sigdelset(&before, SIGTERM);
    unsigned long seen = 0;
    unsigned left = LAST_LOOK; /* what lies in the queue at the end is shown; a sender that never stops ends nothing */
    while ((count == 0 || seen < count) && left > 0) {
        bool good = false, received = receive(listener, &good);
        seen += good;
        if (ended)
            left = received ? left - 1 : 0;
        else if (!received)
            wait_for_event(listener, &before);
    }
}

static unsigned long count_or_die(const struct usage *usage) {
    char *end_of_number = NULL;
    if (settings.count == NULL)
        return 0;
    errno = 0;
    unsigned long count = strtoul(settings.count, &end_of_number, 10);
    if (*settings.count < '1' || *settings.count > '9' || *end_of_number != '\0' || errno != 0)
        options_mistake(usage, "--count must be a number from 1 on, not \"%s\"", settings.count);
    return count;
}

int verb_events(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    if (options_read(&usage, argc, argv) > 0)
        options_mistake(&usage, "it takes options only");
    unsigned long count = count_or_die(&usage);
    const char *path = settings.socket ? settings.socket : getenv("PINION_EVENTS");
    path = path && *path ? path : EVENT_SOCKET;
    struct signatures signatures;
    signatures_init(&signatures);
    if (settings.database) {
        signatures_read_or_die(settings.database, &signatures);
        known = identifier_new(&signatures);
    }
    cleanup_fd int listener = listen_on(path);
    warn("listening on %s", path);
    listen_until_ended(listener, count);
    unlink(path);
    identifier_free(known);
    signatures_free(&signatures);
    return EXIT_FINE;
}
