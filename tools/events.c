/* `pinion events`: listens for events of protected programs and prints them. It does nothing else with them. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "runtime/event.h"
#include "runtime/util.h"
#include "tools/answer.h"
#include "tools/event_print.h"
#include "tools/event_socket.h"
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

/* ---- events ---- */

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

static void refuse(const char *problem, pid_t sender) {
    static unsigned refused;
    if (refused++ < REFUSALS_TOLD)
        warn("a datagram of process %d is refused: %s", (int)sender, problem);
    if (refused == REFUSALS_TOLD)
        warn("further datagrams are refused without a word");
}

/* False: there is none. */
static bool receive(int listener, bool *good) {
    struct received received;
    if (!event_receive(listener, &received))
        return false;
    *good = received.problem == NULL;
    if (*good)
        print_event(&received.event, received.sender.pid != 0 ? &received.sender : NULL);
    else
        refuse(received.problem, received.sender.pid);
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
    const char *path = settings.socket ? settings.socket : event_default_socket();
    struct signatures signatures;
    signatures_init(&signatures);
    if (settings.database) {
        signatures_read_or_die(settings.database, &signatures);
        known = identifier_new(&signatures);
    }
    cleanup_fd int listener = event_listen(path);
    warn("listening on %s", path);
    listen_until_ended(listener, count);
    unlink(path);
    identifier_free(known);
    signatures_free(&signatures);
    return EXIT_FINE;
}
