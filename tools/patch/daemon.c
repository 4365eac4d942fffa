/* The loop. Whatever takes time is done by processes of their own (`pinion patch run`, `pinion patch report`), so that
 * events are looked at while their senders still live.
 */
#include "tools/patch/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/event_socket.h"
#include "tools/patch/claim.h"
#include "tools/patch/decide.h"
#include "tools/patch/proc.h"
#include "tools/patch/report.h"
#include "tools/patch/senders.h"
#include "tools/policy_file.h"

#define DATAGRAMS_AT_ONCE 64 /* then signals and workers get their turn */
#define RECENT_MOST 256      /* kinds of events that are known to be repeats */
#define REPEAT_SECONDS 60    /* an event of the same kind within this time after the first is a repeat */
#define IGNORED_MOST 10000   /* incidents without consequence that the journal keeps */
#define WORKER_NANOSECONDS UINT64_C(500000000) /* from one to the next: one that ends at once must not become a storm */
#define REPORTERS_MOST 4                       /* hooks that run at once */
#define REPORTS_MOST 256                       /* that wait for one of these */

/* What makes two events one incident: same program, same root, same calls, and both hold or not: what is forged must
 * not make a repeat of what is true. */
struct kind {
    uint32_t flags;
    enum claim claim;
    struct identity program, module;
    uint8_t signature[SHA256_BYTES];
    char never_seen[EVENT_NAME_BYTES];
    char api[EVENT_NAME_BYTES];
    uint64_t root; /* a digest of it */
};

struct recent {
    struct kind kind;
    int64_t incident; /* 0: free */
    uint64_t first;   /* nanoseconds since boot */
};

struct patch_daemon {
    const char *path; /* of the configuration */
    struct config config;
    struct journal *journal;
    struct decider decider;
    struct senders senders;
    struct recent recent[RECENT_MOST];
    int poll, listener, signals, timer;
    pid_t worker;
    uint64_t worker_started; /* nanoseconds since boot */
    pid_t reporters[REPORTERS_MOST];
    int64_t reports[REPORTS_MOST];
    size_t report_count;
    uint64_t malformed, limited, full; /* datagrams refused since the last tick, for these reasons */
    bool old;                          /* a patch has replaced what this process runs */
    bool ended;
};

/* ---- processes of its own ---- */

static pid_t start(const struct patch_daemon *daemon, const char *action, const char *argument) {
    const char *arguments[] = {"pinion", "patch", action, "--config", daemon->path, argument, NULL};
    extern char **environ;
    posix_spawnattr_t attributes;
    sigset_t none;
    pid_t process = 0;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    int problem =
        posix_spawn(&process, "/proc/self/exe", NULL, &attributes, (char *const *)(uintptr_t)arguments, environ);
    posix_spawnattr_destroy(&attributes);
    if (problem != 0)
        warn("cannot start a worker: %s", strerror(problem));
    return problem == 0 ? process : 0;
}

static bool has_work(const struct patch_daemon *daemon) {
    struct incident incident;
    if (!journal_first(daemon->journal, INCIDENT_APPROVED, &incident) &&
        !journal_first(daemon->journal, INCIDENT_APPLYING, &incident))
        return false;
    incident_free(&incident);
    return true;
}

static void start_worker(struct patch_daemon *daemon) {
    uint64_t now = clock_nanoseconds(CLOCK_BOOTTIME);
    if (daemon->ended || daemon->old || daemon->worker != 0 || now - daemon->worker_started < WORKER_NANOSECONDS ||
        !has_work(daemon))
        return;
    daemon->worker = start(daemon, "run", NULL);
    daemon->worker_started = now;
}

static void start_reporters(struct patch_daemon *daemon) {
    for (size_t i = 0; i < REPORTERS_MOST && daemon->report_count > 0; i++) {
        if (daemon->reporters[i] != 0)
            continue;
        cleanup_free char *id = xasprintf("%lld", (long long)daemon->reports[0]);
        daemon->reporters[i] = start(daemon, "report", id);
        memmove(daemon->reports, daemon->reports + 1, --daemon->report_count * sizeof daemon->reports[0]);
    }
}

/* What is ignored anybody can cause, as often as he may send: it takes no more than half of the room. */
static void report(struct patch_daemon *daemon, const struct incident *incident) {
    size_t room = incident->state == INCIDENT_IGNORED ? REPORTS_MOST / 2 : REPORTS_MOST;
    if (daemon->report_count >= room)
        warn("incident %lld is not told to the hook: too many wait for it", (long long)incident->id);
    else
        daemon->reports[daemon->report_count++] = incident->id;
    start_reporters(daemon);
}

/* Code of a file that has another's name now, or none. */
static bool runs_old_code(void) {
    cleanup_free char *maps = process_text(PROCESS_OURS, "maps");
    char *rest = maps;
    for (const char *line = rest != NULL ? strsep(&rest, "\n") : NULL; line != NULL; line = strsep(&rest, "\n"))
        if (strstr(line, " r-xp ") != NULL && has_suffix(line, " (deleted)"))
            return true;
    return false;
}

static void collect_children(struct patch_daemon *daemon) {
    pid_t ended;
    while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {
        if (ended == daemon->worker) {
            daemon->worker = 0;
            daemon->old = runs_old_code();
        }
        for (size_t i = 0; i < REPORTERS_MOST; i++)
            if (ended == daemon->reporters[i])
                daemon->reporters[i] = 0;
    }
    start_reporters(daemon);
    start_worker(daemon);
}

/* ---- events ---- */

static uint64_t text_digest(const char *text) {
    uint64_t digest = 0xcbf29ce484222325; /* FNV-1a */
    for (; *text != '\0'; text++)
        digest = (digest ^ (unsigned char)*text) * 0x100000001b3;
    return digest;
}

static struct kind kind_of(const struct incident *incident) {
    const struct event *event = &incident->event;
    struct kind kind;
    memset(&kind, 0, sizeof kind); /* compared as bytes, gaps included */
    kind.flags = event->flags;
    kind.claim = incident->claim;
    kind.program = event->program;
    kind.module = event->module;
    kind.root = text_digest(incident->root != NULL ? incident->root : "");
    memcpy(kind.signature, event->signature, sizeof kind.signature);
    memcpy(kind.never_seen, event->never_seen[0], sizeof kind.never_seen);
    memcpy(kind.api, event->api, sizeof kind.api);
    return kind;
}

/* The place of this kind of event, or the one that was taken longest ago, with incident 0. */
static struct recent *recent_of(struct patch_daemon *daemon, const struct kind *kind, uint64_t now) {
    struct recent *oldest = daemon->recent;
    for (struct recent *each = daemon->recent; each < daemon->recent + RECENT_MOST; each++) {
        bool fresh = each->incident != 0 && now - each->first < REPEAT_SECONDS * UINT64_C(1000000000);
        if (fresh && memcmp(&each->kind, kind, sizeof *kind) == 0)
            return each;
        if (each->first < oldest->first)
            oldest = each;
    }
    *oldest = (struct recent){.first = now};
    memcpy(&oldest->kind, kind, sizeof *kind);
    return oldest;
}

/* What waits for a person is bounded by itself: one for each recipe and root. */
static uint64_t open_incidents(struct patch_daemon *daemon) {
    static const enum incident_state open_states[] = {INCIDENT_RECEIVED, INCIDENT_APPROVED, INCIDENT_APPLYING};
    struct journal_totals totals;
    uint64_t count = 0;
    journal_totals(daemon->journal, &totals);
    for (size_t i = 0; i < sizeof open_states / sizeof open_states[0]; i++)
        count += totals.incidents[open_states[i]];
    return count;
}

static void say(const struct incident *incident) {
    warn("incident %lld: %s: %s", (long long)incident->id, incident_state_word(incident->state),
         incident->detail != NULL ? incident->detail : "");
}

static bool is_open(enum incident_state state) {
    return state == INCIDENT_WAITING || state == INCIDENT_APPROVED || state == INCIDENT_APPLYING;
}

struct search {
    const struct incident *incident;
    int64_t found;
};

/* A person's no holds for this recipe and root until there is a newer one. */
static bool was_rejected(const struct incident *other, const struct incident *incident) {
    return other->state == INCIDENT_REJECTED && other->serial == incident->serial;
}

static bool compare_incident(const struct incident *other, void *context) {
    struct search *search = context;
    const struct incident *incident = search->incident;
    if (other->id != incident->id && (is_open(other->state) || was_rejected(other, incident)) &&
        other->recipe != NULL && other->root != NULL && strcmp(other->recipe, incident->recipe) == 0 &&
        strcmp(other->root, incident->root) == 0 && other->target_start == incident->target_start)
        search->found = other->id;
    return search->found == 0;
}

/* One recipe is asked for, or applied, once at a time in a root, however many events want it. */
static void join_open(struct patch_daemon *daemon, struct incident *incident) {
    struct search search = {.incident = incident};
    if (!is_open(incident->state) || incident->root == NULL)
        return;
    journal_each(daemon->journal, true, compare_incident, &search);
    if (search.found == 0)
        return;
    free(incident->detail);
    incident->detail = xasprintf("incident %lld is about the same recipe and root", (long long)search.found);
    incident->state = INCIDENT_IGNORED;
}

static void decide_and_tell(struct patch_daemon *daemon, struct incident *incident) {
    decide(&daemon->decider, incident);
    join_open(daemon, incident);
    journal_update(daemon->journal, incident);
    say(incident);
    report(daemon, incident);
    start_worker(daemon);
}

static void choose_target(const struct patch_daemon *daemon, struct incident *incident) {
    if (daemon->config.root != NULL)
        incident->root = xstrdup(daemon->config.root);
    else if (incident->claim == CLAIM_GOOD && !claim_target(incident)) {
        incident->claim = CLAIM_GONE;
        incident->claim_detail = xstrdup("its root cannot be looked at: it ended, or has a user namespace of its own");
    }
}

/* An incident without a target can only be told of. */
static void take_event(struct patch_daemon *daemon, const struct received *received) {
    struct incident incident = {.event = received->event};
    claim_check(&incident, &received->sender);
    choose_target(daemon, &incident);
    struct kind kind = kind_of(&incident);
    struct recent *recent = recent_of(daemon, &kind, clock_nanoseconds(CLOCK_BOOTTIME));
    if (recent->incident != 0) {
        journal_repeat(daemon->journal, recent->incident);
    } else if (open_incidents(daemon) >= daemon->config.queue) {
        daemon->full++;
    } else {
        incident.id = recent->incident = journal_add(daemon->journal, &incident);
        decide_and_tell(daemon, &incident);
    }
    incident_free(&incident);
}

static void receive(struct patch_daemon *daemon) {
    struct received received;
    for (unsigned i = 0; i < DATAGRAMS_AT_ONCE && event_receive(daemon->listener, &received); i++) {
        if (received.problem != NULL)
            daemon->malformed++;
        else if (!senders_may(&daemon->senders, &received.sender, clock_nanoseconds(CLOCK_BOOTTIME)))
            daemon->limited++;
        else
            take_event(daemon, &received);
    }
}

/* ---- time and signals ---- */

static bool count_refused(struct patch_daemon *daemon, const char *reason, uint64_t *count) {
    bool any = *count > 0;
    if (any)
        journal_refused(daemon->journal, reason, *count);
    *count = 0;
    return any;
}

/* Once a second: what was approved beside us, and what a flood came to. */
static void tick(struct patch_daemon *daemon) {
    uint64_t expirations;
    if (read(daemon->timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
        warn("the timer failed: %s", strerror(errno));
    bool counted = count_refused(daemon, "malformed", &daemon->malformed);
    counted |= count_refused(daemon, "rate limit of the sender", &daemon->limited);
    counted |= count_refused(daemon, "too many open incidents", &daemon->full);
    if (counted) /* a flood makes no incident that would be reported */
        report_metrics(&daemon->config, daemon->journal);
    journal_trim(daemon->journal, IGNORED_MOST);
    start_worker(daemon);
}

static void warn_of(const char *what, const char *path, const struct mistake *mistake) {
    if (mistake->line != 0)
        warn("%s: \"%s\" line %u: %s", what, path, mistake->line, mistake->text);
    else
        warn("%s: \"%s\": %s", what, path, mistake->text);
}

/* A configuration or database that is no good leaves the old one in force. */
static void reload(struct patch_daemon *daemon) {
    struct config config;
    struct decider decider;
    struct mistake mistake = {0};
    if (!configuration_read(daemon->path, &config, &mistake)) {
        warn_of("the configuration stays as it was", daemon->path, &mistake);
        return;
    }
    if (strcmp(config.state, daemon->config.state) != 0 || strcmp(config.socket, daemon->config.socket) != 0) {
        warn("the configuration stays as it was: another socket or state directory needs a restart");
        configuration_free(&config);
        return;
    }
    if (!decider_open(&decider, &config, daemon->journal, &mistake)) {
        warn("the configuration stays as it was: %s", mistake.text);
        configuration_free(&config);
        return;
    }
    decider_close(&daemon->decider);
    configuration_free(&daemon->config);
    daemon->config = config;
    daemon->decider = decider;
    daemon->decider.config = &daemon->config;
    senders_begin(&daemon->senders, daemon->config.events_per_minute);
    memset(daemon->recent, 0, sizeof daemon->recent); /* what was ignored may be answered now */
    configuration_check(&daemon->config);
    warn("the configuration was read anew");
}

static void take_signals(struct patch_daemon *daemon) {
    struct signalfd_siginfo information;
    while (read(daemon->signals, &information, sizeof information) == sizeof information) {
        if (information.ssi_signo == SIGCHLD)
            collect_children(daemon);
        else if (information.ssi_signo == SIGHUP)
            reload(daemon);
        else
            daemon->ended = true;
    }
}

/* ---- set-up ---- */

static bool watch(const struct patch_daemon *daemon, int descriptor) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = descriptor};
    return descriptor >= 0 && epoll_ctl(daemon->poll, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

static bool open_descriptors(struct patch_daemon *daemon, struct mistake *mistake) {
    const struct itimerspec second = {.it_interval.tv_sec = 1, .it_value.tv_sec = 1};
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    daemon->poll = epoll_create1(EPOLL_CLOEXEC);
    daemon->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    daemon->timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    daemon->listener = event_listen(daemon->config.socket);
    if (daemon->poll < 0 || !watch(daemon, daemon->signals) || !watch(daemon, daemon->timer) ||
        !watch(daemon, daemon->listener) || timerfd_settime(daemon->timer, 0, &second, NULL) != 0)
        return text_mistake(mistake, 0, "cannot wait for events: %s", strerror(errno));
    return true;
}

/* Two helpers on one journal would patch twice. The lock is held as long as this process lives. */
static bool lock_helper(const struct config *config, struct mistake *mistake) {
    cleanup_free char *path = xasprintf("%s/patchd.lock", config->state);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return text_mistake(mistake, 0, "cannot open \"%s\": %s", path, strerror(errno));
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return text_mistake(mistake, 0, "another patchd works with \"%s\"", config->state);
    return true;
}

/* What was received and not decided on when the helper was killed. */
static void decide_left(struct patch_daemon *daemon) {
    struct incident incident;
    while (journal_first(daemon->journal, INCIDENT_RECEIVED, &incident)) {
        decide_and_tell(daemon, &incident);
        incident_free(&incident);
    }
}

static bool is_idle(const struct patch_daemon *daemon) {
    for (size_t i = 0; i < REPORTERS_MOST; i++)
        if (daemon->reporters[i] != 0)
            return false;
    return daemon->worker == 0 && daemon->report_count == 0;
}

/* As itself, with the same number: whoever has started it sees no difference. Where that fails it goes on. */
static void start_anew(struct patch_daemon *daemon) {
    char program[PATH_MAX];
    static const char deleted[] = " (deleted)";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
    if (has_suffix(program, deleted))
        program[length - (ssize_t)strlen(deleted)] = '\0';
    warn("a patch has replaced what runs here: the helper starts anew");
    execl(program, "pinion", "patchd", "--config", daemon->path, (char *)NULL);
    warn("cannot start \"%s\" anew: %s", program, strerror(errno));
    daemon->old = false;
}

static void loop(struct patch_daemon *daemon) {
    struct epoll_event events[4];
    while (!daemon->ended || daemon->worker != 0) {
        if (daemon->old && !daemon->ended && is_idle(daemon))
            start_anew(daemon);
        int count = epoll_wait(daemon->poll, events, 4, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == daemon->signals)
                take_signals(daemon);
            else if (events[i].data.fd == daemon->timer)
                tick(daemon);
            else
                receive(daemon);
        }
    }
}

static bool open_all(struct patch_daemon *daemon, struct mistake *mistake) {
    cleanup_free char *journal = configuration_journal(&daemon->config);
    if (!configuration_state(&daemon->config, mistake) || !lock_helper(&daemon->config, mistake))
        return false;
    daemon->journal = journal_open(journal, true, mistake);
    return daemon->journal != NULL && decider_open(&daemon->decider, &daemon->config, daemon->journal, mistake) &&
           open_descriptors(daemon, mistake);
}

int daemon_run(const char *path) {
    static struct patch_daemon daemon; /* large */
    struct mistake mistake = {0};
    daemon.path = path;
    if (!configuration_read(path, &daemon.config, &mistake)) {
        warn_of("cannot read the configuration", path, &mistake);
        return EXIT_ERROR;
    }
    configuration_check(&daemon.config);
    if (!open_all(&daemon, &mistake)) {
        warn("%s", mistake.text);
        return EXIT_ERROR;
    }
    senders_begin(&daemon.senders, daemon.config.events_per_minute);
    warn("listening on %s, mode %s, %zu keys", daemon.config.socket, patch_mode_word(daemon.config.mode),
         daemon.config.key_count);
    decide_left(&daemon);
    start_worker(&daemon);
    loop(&daemon);
    unlink(daemon.config.socket);
    journal_close(daemon.journal);
    return EXIT_FINE;
}
