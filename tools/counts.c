/* `pinion counts`: shows what a process, or all processes of a container, call; live on a terminal. Looks on, and
 * stops nothing.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/counts_view.h"
#include "tools/json.h"
#include "tools/options.h"

static struct {
    const char *page;
    const char *interval;
    bool once;
    bool json;
} settings;

static const struct option_row options[] = {
    OPTION_TEXT("page", 'p', "FILE", &settings.page,
                "the container's page (default PINION_COUNTS, else that of this build)"),
    OPTION_TEXT("interval", 'i', "MS", &settings.interval, "time between two looks (default 1000)"),
    OPTION_FLAG("once", '1', &settings.once, "one look, as when standard output is no terminal"),
    OPTION_FLAG("json", 'j', &settings.json, "one look, as one JSON object"),
};

static const char details[] =
    "With PID: the calls of that process, from its own memory. Without: those of all processes of the container, from\n"
    "the page on which they add them up. Calls are sorted by their rate, or in a single look by their number.\n"
    "\n"
    "Exit status: 0 shown, 2 error.\n";

/* What is looked at, and what was seen at the last look. */
struct look {
    pid_t pid; /* 0: a page */
    const struct counts_page *page;
    struct process_counts process;
    size_t entries;
    uint64_t *now, *before;
    double seconds; /* between the two */
};

static const char *name_of(const struct look *look, size_t entry) {
    return look->pid ? look->process.names[entry] : counts_name((unsigned)entry);
}

static double monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void begin(struct look *look, const char *path) {
    const char *problem = NULL;
    if (look->pid) {
        problem = process_counts_read(&look->process, look->pid);
        if (problem)
            die("cannot read the counts of process %d: %s", (int)look->pid, problem);
        look->entries = look->process.entries;
    } else {
        look->page = counts_view_open(path, &problem);
        if (problem)
            die("cannot read the page of counts \"%s\": %s", path, problem);
        look->entries = COUNTS_ENTRIES;
    }
    look->now = xcalloc(look->entries, sizeof *look->now);
    look->before = xcalloc(look->entries, sizeof *look->before);
}

/* False when the process is gone. */
static bool take(struct look *look) {
    static double last;
    double time = monotonic();
    if (look->pid && process_counts_read(&look->process, look->pid) != NULL)
        return false;
    memcpy(look->before, look->now, look->entries * sizeof *look->now);
    if (look->pid)
        memcpy(look->now, look->process.counts, look->entries * sizeof *look->now);
    else
        counts_view_totals(look->page, look->now);
    look->seconds = last > 0 ? time - last : 0;
    last = time;
    return true;
}

static uint64_t growth(const struct look *look, size_t entry) {
    return look->seconds > 0 ? look->now[entry] - look->before[entry] : 0;
}

static const struct look *sorted_look;

static int by_growth(const void *left, const void *right) {
    size_t a = *(const size_t *)left;
    size_t b = *(const size_t *)right;
    uint64_t first[] = {growth(sorted_look, a), sorted_look->now[a]};
    uint64_t second[] = {growth(sorted_look, b), sorted_look->now[b]};
    for (unsigned i = 0; i < 2; i++)
        if (first[i] != second[i])
            return first[i] > second[i] ? -1 : 1;
    return a < b ? -1 : 1;
}

static size_t *order(const struct look *look, size_t *count) {
    size_t *entries = xcalloc(look->entries, sizeof *entries);
    *count = 0;
    for (size_t i = 0; i < look->entries; i++)
        if (look->now[i] > 0)
            entries[(*count)++] = i;
    sorted_look = look;
    qsort(entries, *count, sizeof *entries, by_growth);
    return entries;
}

static void print_title(const struct look *look) {
    uint64_t sum = 0;
    for (size_t i = 0; i < look->entries && i < API_COUNT; i++)
        sum += look->now[i];
    if (look->pid)
        printf("process %d, %zu threads, %llu calls\n", (int)look->pid, look->process.threads, (unsigned long long)sum);
    else
        printf("container, interval %llu of %llu ms, %llu calls\n",
               (unsigned long long)__atomic_load_n(&look->page->current, __ATOMIC_RELAXED),
               (unsigned long long)(look->page->interval / 1000000), (unsigned long long)sum);
}

static void print_table(const struct look *look, size_t limit) {
    size_t count;
    cleanup_free size_t *entries = order(look, &count);
    print_title(look);
    printf("%14s %14s  %s\n", "per second", "calls", "name");
    for (size_t i = 0; i < count && i < limit; i++) {
        if (look->seconds > 0)
            printf("%14.0f", (double)growth(look, entries[i]) / look->seconds);
        else
            printf("%14s", "-");
        printf(" %14llu  %s\n", (unsigned long long)look->now[entries[i]], name_of(look, entries[i]));
    }
}

static void print_json(const struct look *look) {
    json_t *calls = json_object();
    for (size_t i = 0; i < look->entries; i++)
        if (look->now[i] > 0)
            json_object_set_new(calls, name_of(look, i), json_integer((json_int_t)look->now[i]));
    json_t *object = json_pack("{s:o}", "counts", calls);
    if (look->pid) {
        json_object_set_new(object, "pid", json_integer(look->pid));
        json_object_set_new(object, "threads", json_integer((json_int_t)look->process.threads));
    } else {
        json_object_set_new(object, "interval", json_integer((json_int_t)look->page->current));
        json_object_set_new(object, "interval_ms", json_integer((json_int_t)(look->page->interval / 1000000)));
    }
    json_print(object);
}

static size_t terminal_lines(void) {
    struct winsize size = {0};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4 ? size.ws_row - 3u : 20;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    interrupted = signal;
}

static void watch(struct look *look, unsigned milliseconds) {
    struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (!interrupted && take(look)) {
        fputs("\033[H\033[2J", stdout);
        print_table(look, terminal_lines());
        fflush(stdout);
        nanosleep(&pause, NULL);
    }
    if (!interrupted)
        printf("process %d has ended\n", (int)look->pid);
}

static unsigned milliseconds_or_die(const struct usage *usage) {
    char *end;
    if (!settings.interval)
        return COUNTS_DEFAULT_MS;
    unsigned long value = strtoul(settings.interval, &end, 10);
    if (*end || value < COUNTS_LEAST_MS || value > COUNTS_MOST_MS)
        options_mistake(usage, "\"%s\" is no number of milliseconds from 10 to 3600000", settings.interval);
    return (unsigned)value;
}

static pid_t pid_or_die(const struct usage *usage, const char *word) {
    char *end;
    long pid = strtol(word, &end, 10);
    if (*end || pid <= 0 || pid > 1 << 30)
        options_mistake(usage, "\"%s\" is no process: give its number", word);
    return (pid_t)pid;
}

int verb_counts(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[PID]",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    size_t words = options_read(&usage, argc, argv);
    char default_path[COUNTS_PATH_BYTES];
    counts_default_path(default_path);
    const char *path = settings.page ? settings.page : getenv("PINION_COUNTS");
    if (words > 1 || (words == 1 && settings.page))
        options_mistake(&usage, "one process or one page at a time");
    struct look look = {.pid = words == 1 ? pid_or_die(&usage, argv[1]) : 0};
    unsigned milliseconds = milliseconds_or_die(&usage);
    begin(&look, path && *path ? path : default_path);
    if (!settings.json && !settings.once && isatty(STDOUT_FILENO))
        watch(&look, milliseconds);
    else if (!take(&look))
        die("process %d has ended", (int)look.pid);
    else if (settings.json)
        print_json(&look);
    else
        print_table(&look, SIZE_MAX);
    free(look.now);
    free(look.before);
    process_counts_free(&look.process);
    return EXIT_FINE;
}
