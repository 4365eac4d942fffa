/* `pinion record`: writes what a command, or a running container, calls into a table: one row for each interval of time,
 * one column for each call. A model is trained from such tables.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/counts_view.h"
#include "tools/launch.h"
#include "tools/options.h"
#include "tools/subject.h"

static struct {
    const char *output;
    const char *interval;
    const char *seconds;
    const char *page;
    const char *directory;
    const char *policy;
    const char *log;
    const char *shim;
    bool quiet;
} settings = {.output = "pinion.csv"};

static const struct option_row options[] = {
    OPTION_TEXT("output", 'o', "FILE", &settings.output, "the table to write (default pinion.csv)"),
    OPTION_TEXT("interval", 'i', "MS", &settings.interval, "length of an interval (default 1000)"),
    OPTION_TEXT("for", 0, "SECONDS", &settings.seconds, "end after that time; COMMAND is then asked to end"),
    OPTION_TEXT("page", 0, "FILE", &settings.page,
                "record the container with this page, which goes on running, in place of a COMMAND; \"default\" for "
                "that of this build"),
    OPTION_TEXT("policy-dir", 'd', "DIR", &settings.directory, "where the policies are (as `pinion run`)"),
    OPTION_TEXT("policy", 'p', "FILE", &settings.policy, "one compiled policy (as `pinion run`)"),
    OPTION_TEXT("log", 'l', "FILE", &settings.log, "append denials to FILE (default: standard error)"),
    OPTION_TEXT("shim", 0, "FILE", &settings.shim, "the shim (default: the libpinion.so that belongs to this command)"),
    OPTION_FLAG("quiet", 'q', &settings.quiet, "no progress on the terminal"),
};

static const char details[] =
    "COMMAND and all that it starts run protected; a program without a policy is counted as well. Record ordinary "
    "work\n"
    "only, as much and as varied as there is. Ends when COMMAND and all processes it left behind have ended; an\n"
    "interrupt is passed on to them, and what was recorded until then is kept.\n"
    "\n"
    "The table is CSV: `start` (seconds since 1970) and `interval_ms`, then one column for each call and `switch`, "
    "the\n"
    "context switches. An interval without any call is a row of zeros. The file appears when it is complete.\n"
    "\n"
    "Exit status: 0 recorded, 1 intervals were missed or COMMAND failed, 2 error.\n";

/* ---- The table ---- */

struct table {
    struct atomic_file file;
    struct counts_ring ring;
    uint64_t rows, calls, missed;
};

static void write_header(FILE *out) {
    fputs("start,interval_ms", out);
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++)
        fprintf(out, ",%s", counts_name(i));
    fputc('\n', out);
}

static void write_row(struct table *table, uint64_t first, uint64_t number, const uint64_t *counts) {
    FILE *out = table->file.stream;
    fprintf(out, "%.3f,%" PRIu64, counts_ring_start(&table->ring, first),
            (number - first + 1) * (table->ring.interval / 1000000));
    for (unsigned i = 0; i < COUNTS_ENTRIES; i++) {
        fprintf(out, ",%" PRIu64, counts ? counts[i] : 0);
        table->calls += counts && i < COUNTS_SWITCH ? counts[i] : 0;
    }
    fputc('\n', out);
    table->rows++;
}

static void write_interval(struct table *table, const struct closed_interval *closed) {
    table->missed += closed->number - closed->first;
    write_row(table, closed->first, closed->number, closed->counts);
    for (uint64_t i = 1; i <= closed->idle; i++)
        write_row(table, closed->number + i, closed->number + i, NULL);
}

/* ---- The time ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal) {
    interrupted = signal;
}

static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGCHLD, SIG_DFL);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Several looks an interval: the ring holds many more. */
static void pause_between_looks(const struct counts_ring *ring) {
    uint64_t pause = ring->interval / 4 < 100000000 ? ring->interval / 4 : 100000000;
    struct timespec time = {0, (long)pause};
    nanosleep(&time, NULL);
}

/* ---- The command ---- */

struct command {
    pid_t pid;   /* 0: none */
    int status;  /* of wait */
    bool ended;  /* the command itself */
    bool alone;  /* and all that it left behind */
    double kill; /* when patience ends, or 0 */
};

static _Noreturn void become(char **words, const struct launch *launch) {
    launch_prepare(launch);
    execvp(words[0], words);
    die_with_error("cannot start \"%s\"", words[0]);
}

static struct command start(char **words, const struct launch *launch) {
    struct command command = {0};
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        die_with_error("cannot adopt the processes of the run");
    fflush(NULL);
    command.pid = fork();
    if (command.pid < 0)
        die_with_error("cannot fork");
    if (command.pid == 0)
        become(words, launch);
    return command;
}

static void signal_children(int signal) {
    cleanup_free char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
    cleanup_file FILE *children = fopen(path, "re");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1)
        kill((pid_t)pid, signal);
}

/* Servers end by SIGTERM; what does not is killed. */
static void ask_to_end(struct command *command, int signal) {
    if (!command->pid)
        return;
    signal_children(command->kill > 0 ? SIGKILL : signal);
    command->kill = now() + 10;
}

static void reap(struct command *command) {
    int status;
    pid_t ended;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
        if (ended == command->pid) {
            command->ended = true;
            command->status = status;
        }
    command->alone = ended < 0 && errno == ECHILD;
    if (!command->alone && command->kill > 0 && now() > command->kill)
        ask_to_end(command, SIGKILL);
}

/* One that ended by the signal we sent it was asked to. */
static bool has_failed(const struct command *command, int asked) {
    if (!command->pid || !command->ended)
        return false;
    if (WIFSIGNALED(command->status))
        return WTERMSIG(command->status) != asked;
    return WEXITSTATUS(command->status) != 0;
}

/* ---- Recording ---- */

static void show_progress(const struct table *table) {
    if (!settings.quiet && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%" PRIu64 " intervals, %" PRIu64 " calls ", table->rows, table->calls);
}

static void drain(struct table *table) {
    struct closed_interval closed;
    while (counts_ring_next(&table->ring, &closed))
        write_interval(table, &closed);
    show_progress(table);
}

/* Returns the signal that COMMAND was sent, or 0. */
static int follow(struct table *table, struct command *command, double seconds) {
    double end = seconds > 0 ? now() + seconds : 0;
    int asked = 0;
    while (!command->alone) {
        drain(table);
        bool is_over = end > 0 && now() >= end;
        if (interrupted || is_over) {
            asked = interrupted ? interrupted : SIGTERM;
            interrupted = 0;
            end = 0;
            ask_to_end(command, asked);
            if (!command->pid)
                break;
        }
        pause_between_looks(&table->ring);
        if (command->pid)
            reap(command);
    }
    drain(table);
    return asked;
}

static void write_rest(struct table *table) {
    struct closed_interval rest;
    counts_ring_rest(&table->ring, &rest);
    write_interval(table, &rest);
}

static int report(const struct table *table, const struct command *command, const char *name, int asked) {
    fprintf(stderr, "%spinion: %" PRIu64 " interval%s of %" PRIu64 " ms with %" PRIu64 " calls are in \"%s\"\n",
            !settings.quiet && isatty(STDERR_FILENO) ? "\r" : "", table->rows, table->rows == 1 ? "" : "s",
            table->ring.interval / 1000000, table->calls, settings.output);
    if (table->missed)
        warn("%" PRIu64 " intervals could not be told apart: their rows were not read in time", table->missed);
    bool failed = has_failed(command, asked);
    if (failed && WIFSIGNALED(command->status))
        warn("%s was ended by signal %d", name, WTERMSIG(command->status));
    else if (failed)
        warn("%s ended with status %d", name, WEXITSTATUS(command->status));
    return table->missed || failed ? EXIT_FINDINGS : EXIT_FINE;
}

static int cannot_write(void) {
    warn("cannot write \"%s\": %s", settings.output, strerror(errno));
    return EXIT_ERROR;
}

/* Until the command, if there is one, has ended. It returns whatever happens: the caller has a page to remove. */
static int record(const struct counts_page *page, char **words, const struct launch *launch, double seconds) {
    struct table table = {0};
    struct command command = {0};
    if (!atomic_file_open(&table.file, settings.output, 0644))
        return cannot_write();
    write_header(table.file.stream);
    counts_ring_begin(&table.ring, page);
    if (words)
        command = start(words, launch);
    int asked = follow(&table, &command, seconds);
    write_rest(&table);
    show_progress(&table);
    if (!atomic_file_commit(&table.file))
        return cannot_write();
    return report(&table, &command, words ? words[0] : "", asked);
}

/* A page of the recording's own, of which nobody outside it knows. */
static char *make_directory(void) {
    char *directory = xstrdup(COUNTS_DIRECTORY "pinion-record.XXXXXX");
    if (!mkdtemp(directory) || chmod(directory, 0755) != 0)
        die_with_error("cannot make the directory \"%s\"", directory);
    return directory;
}

static int record_command(char **words, unsigned milliseconds, double seconds) {
    cleanup_free char *shim = find_shim(settings.shim);
    struct findings findings = {0};
    examine_shim(&findings, shim);
    if (findings.count)
        die("%s", findings.items[0].text);
    cleanup_free char *program = find_program(words[0]);
    if (!program)
        die_with_error("cannot find the program \"%s\"", words[0]);
    cleanup_free char *directory = make_directory();
    cleanup_free char *path = xasprintf("%s/counts", directory);
    const struct counts_page *page = counts_view_make(path, milliseconds);
    struct launch launch = {.shim = shim,
                            .policy = settings.policy,
                            .directory = settings.policy ? NULL : policy_directory(settings.directory),
                            .log = settings.log,
                            .counts = path};
    int status = record(page, words, &launch, seconds);
    counts_view_close(page);
    unlink(path);
    rmdir(directory);
    return status;
}

static int record_page(double seconds) {
    char path[COUNTS_PATH_BYTES];
    const char *problem;
    counts_default_path(path);
    const char *name = strcmp(settings.page, "default") == 0 ? path : settings.page;
    const struct counts_page *page = counts_view_open(name, &problem);
    if (problem)
        die("cannot read the page of counts \"%s\": %s", name, problem);
    int status = record(page, NULL, NULL, seconds);
    counts_view_close(page);
    return status;
}

static double number_or_die(const struct usage *usage, const char *text, const char *what, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (*end || end == text || !(value >= least && value <= most))
        options_mistake(usage, "\"%s\" is no number of %s from %.10g to %.10g", text, what, least, most);
    return value;
}

int verb_record(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[--] COMMAND [ARGUMENT...] | --page FILE",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0],
                          .stops_at_command = true};
    size_t words = options_read(&usage, argc, argv);
    if ((words == 0) != (settings.page != NULL))
        options_mistake(&usage, "either a command or --page");
    if (settings.page && settings.interval)
        options_mistake(&usage, "the page has its own interval: leave --interval out");
    double milliseconds = COUNTS_DEFAULT_MS;
    double seconds = 0;
    if (settings.interval)
        milliseconds = number_or_die(&usage, settings.interval, "milliseconds", COUNTS_LEAST_MS, COUNTS_MOST_MS);
    if (settings.seconds)
        seconds = number_or_die(&usage, settings.seconds, "seconds", 0.001, 1e9);
    catch_signals();
    return settings.page ? record_page(seconds) : record_command(argv + 1, (unsigned)milliseconds, seconds);
}
