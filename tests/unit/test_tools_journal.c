/* The journal keeps what it returned: through kills, a full disk and concurrent writers; and refuses what it cannot trust. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/patch/journal.h"

/* ---- what is written and not yet flushed: SQLite's own calls come through here ---- */

static unsigned unflushed_writes[1024];
static unsigned calls_left; /* then it is killed in the next one; 0: never */

static void count_call(void) {
    if (calls_left > 0 && --calls_left == 0)
        kill(getpid(), SIGKILL);
}

/* The index of the log is shared memory: it is made anew after a crash. */
static bool is_index(int fd) {
    char link[32], target[256] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    return length > 4 && strcmp(target + length - 4, "-shm") == 0;
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    count_call();
    if (!is_index(fd))
        unflushed_writes[fd % 1024]++;
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int fdatasync(int fd) {
    count_call();
    unflushed_writes[fd % 1024] = 0;
    return (int)syscall(SYS_fdatasync, fd);
}

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name)
int fsync(int fd) {
    count_call();
    unflushed_writes[fd % 1024] = 0;
    return (int)syscall(SYS_fsync, fd);
}

static unsigned unflushed(void) {
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof unflushed_writes / sizeof unflushed_writes[0]; i++)
        sum += unflushed_writes[i];
    return sum;
}

/* ---- helpers ---- */

static char directory[64], path[128];

static int set_up(void **state) {
    (void)state;
    strcpy(directory, "/tmp/journal.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/" JOURNAL_NAME, directory);
    memset(unflushed_writes, 0, sizeof unflushed_writes);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static struct journal *opened(bool writable) {
    struct mistake mistake = {0};
    struct journal *journal = journal_open(path, writable, &mistake);
    if (journal == NULL)
        fail_msg("%s", mistake.text);
    return journal;
}

static void assert_refused(bool writable, const char *words) {
    struct mistake mistake = {0};
    struct journal *journal = journal_open(path, writable, &mistake);
    if (journal != NULL)
        fail_msg("it is opened, and should not be: %s", words);
    if (strstr(mistake.text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, mistake.text);
}

static void run_sql(const char *text) {
    sqlite3 *database;
    char *problem = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    if (sqlite3_exec(database, text, NULL, NULL, &problem) != SQLITE_OK)
        fail_msg("%s: %s", text, problem);
    sqlite3_close(database);
}

static int is_ok(void *context, int columns, char **values, char **names) {
    (void)columns, (void)names;
    *(bool *)context = strcmp(values[0], "ok") == 0;
    return 0;
}

/* That the answer is "ok". */
static void assert_sql(const char *text) {
    sqlite3 *database;
    bool ok = false;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, text, is_ok, &ok, NULL), SQLITE_OK);
    sqlite3_close(database);
    if (!ok)
        fail_msg("%s", text);
}

static void assert_whole(void) {
    assert_sql("PRAGMA integrity_check");
}

static struct incident full_incident(void) {
    struct incident incident = {
        .state = INCIDENT_APPLYING,
        .detail = (char *)"caf\xc3\xa9 \x1b[31m \xff",
        .event = {.version = EVENT_VERSION, .size = sizeof(struct event), .flags = EVENT_ANOMALY, .time = 12},
        .sender = 4711,
        .sender_user = UINT32_MAX,
        .sender_start = 77,
        .claim = CLAIM_GONE,
        .claim_detail = (char *)"it ended",
        .repeats = 3,
        .answer = (char *)"named",
        .name = (char *)"shellshock",
        .confidence = 0.75,
        .cve = (char *)"CVE-2014-6271",
        .package = (char *)"bash",
        .recipe = (char *)"bash-shellshock",
        .serial = -5,
        .root = (char *)"",
        .target = 1,
        .target_start = 9,
        .from = (char *)"5.1",
        .to = (char *)"5.2",
        .downloaded = 1u << 20,
        .memory = 1ull << 40,
        .disk_growth = -4096,
        .outage = 5,
        .digest = (char *)"0123456789abcdef",
    };
    memcpy(incident.event.magic, EVENT_MAGIC, sizeof incident.event.magic);
    strcpy(incident.event.path, "/usr/bin/bash");
    return incident;
}

static void assert_same(const struct incident *a, const struct incident *b) {
    assert_int_equal(a->state, b->state);
    assert_string_equal(a->detail, b->detail);
    assert_memory_equal(&a->event, &b->event, sizeof a->event);
    assert_int_equal(a->sender, b->sender);
    assert_int_equal(a->sender_user, b->sender_user);
    assert_int_equal(a->sender_start, b->sender_start);
    assert_int_equal(a->claim, b->claim);
    assert_string_equal(a->claim_detail, b->claim_detail);
    assert_int_equal(a->repeats, b->repeats);
    assert_string_equal(a->answer, b->answer);
    assert_string_equal(a->name, b->name);
    assert_true(a->confidence == b->confidence);
    assert_string_equal(a->cve, b->cve);
    assert_string_equal(a->package, b->package);
    assert_string_equal(a->recipe, b->recipe);
    assert_int_equal(a->serial, b->serial);
    assert_string_equal(a->root, b->root);
    assert_int_equal(a->target, b->target);
    assert_int_equal(a->target_start, b->target_start);
    assert_string_equal(a->from, b->from);
    assert_string_equal(a->to, b->to);
    assert_int_equal(a->downloaded, b->downloaded);
    assert_int_equal(a->memory, b->memory);
    assert_int_equal(a->disk_growth, b->disk_growth);
    assert_int_equal(a->outage, b->outage);
    assert_string_equal(a->digest, b->digest);
}

/* Runs in a process of its own, whose messages nobody sees: its exit status, or 1000 and the signal. */
static int status_of(void (*work)(void *context), void *context) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        dup2(nowhere, STDERR_FILENO);
        work(context);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* ---- what is kept ---- */

static void test_an_incident_comes_back_as_it_was(void **state) {
    (void)state;
    struct incident incident = full_incident(), read;
    struct journal *journal = opened(true);
    int64_t id = journal_add(journal, &incident);
    assert_int_equal(unflushed(), 0);
    journal_close(journal);
    journal = opened(false);
    assert_true(journal_read(journal, id, &read));
    assert_int_equal(read.id, id);
    assert_true(read.created > 1600000000000000000 && read.created == read.changed);
    assert_same(&read, &incident);
    incident_free(&read);
    assert_false(journal_read(journal, id + 1, &read));
    journal_close(journal);
}

static void test_unknown_texts_and_no_event_stay_unknown(void **state) {
    (void)state;
    struct incident incident = {.claim = CLAIM_NONE}, read;
    struct journal *journal = opened(true);
    assert_true(journal_read(journal, journal_add(journal, &incident), &read));
    assert_int_equal(read.event.size, 0);
    assert_null(read.detail);
    assert_null(read.root);
    incident_free(&read);
    journal_close(journal);
}

static void test_an_update_leaves_repeats_event_and_birth(void **state) {
    (void)state;
    struct incident incident = full_incident(), read, again;
    struct journal *journal = opened(true);
    incident.id = journal_add(journal, &incident);
    assert_true(journal_read(journal, incident.id, &read));
    journal_repeat(journal, incident.id);
    assert_int_equal(unflushed(), 0);
    incident.repeats = 0;
    incident.created = 1;
    incident.event.time = 99;
    incident.state = INCIDENT_DONE;
    incident.detail = NULL;
    incident.confidence = 1;
    journal_update(journal, &incident);
    assert_int_equal(unflushed(), 0);
    assert_true(journal_read(journal, incident.id, &again));
    assert_int_equal(again.repeats, 4);
    assert_int_equal(again.created, read.created);
    assert_true(again.changed >= read.changed);
    assert_int_equal(again.event.time, 12);
    assert_int_equal(again.state, INCIDENT_DONE);
    assert_null(again.detail);
    assert_true(again.confidence == 1);
    incident_free(&read);
    incident_free(&again);
    journal_close(journal);
}

static void test_steps_are_kept_in_their_order(void **state) {
    (void)state;
    struct incident incident = {0};
    struct step *steps;
    struct journal *journal = opened(true);
    int64_t id = journal_add(journal, &incident), other = journal_add(journal, &incident);
    int64_t plan = journal_step_begin(journal, id, "plan", "bash 5.1 -> 5.2");
    assert_int_equal(unflushed(), 0);
    journal_step_begin(journal, other, "plan", NULL);
    journal_step_end(journal, plan, true, NULL, 10, 20);
    assert_int_equal(unflushed(), 0);
    journal_step_begin(journal, id, "fetch", NULL);
    assert_int_equal(journal_steps(journal, id, &steps), 2);
    assert_string_equal(steps[0].name, "plan");
    assert_string_equal(steps[0].detail, "bash 5.1 -> 5.2");
    assert_true(steps[0].good && steps[0].ended >= steps[0].begun);
    assert_int_equal(steps[0].bytes, 10);
    assert_int_equal(steps[0].memory, 20);
    assert_string_equal(steps[1].name, "fetch");
    assert_true(!steps[1].good && steps[1].ended == 0);
    steps_free(steps, 2);
    journal_close(journal);
}

struct seen {
    int64_t ids[8];
    size_t count, most;
};

static bool see(const struct incident *incident, void *context) {
    struct seen *seen = context;
    seen->ids[seen->count++] = incident->id;
    return seen->count < seen->most;
}

static void test_all_are_visited_in_either_order_until_told_to_stop(void **state) {
    (void)state;
    struct incident incident = {0};
    struct journal *journal = opened(true);
    for (int i = 0; i < 3; i++)
        journal_add(journal, &incident);
    struct seen up = {.most = 8}, down = {.most = 2};
    journal_each(journal, false, see, &up);
    journal_each(journal, true, see, &down);
    assert_int_equal(up.count, 3);
    assert_true(up.ids[0] == 1 && up.ids[2] == 3);
    assert_int_equal(down.count, 2);
    assert_true(down.ids[0] == 3 && down.ids[1] == 2);
    journal_close(journal);
}

static void test_of_two_who_move_one_incident_one_succeeds(void **state) {
    (void)state;
    struct incident incident = {.state = INCIDENT_WAITING}, read;
    struct journal *helper = opened(true), *person = opened(true);
    int64_t id = journal_add(helper, &incident);
    journal_add(helper, &incident);
    assert_true(journal_move(person, id, INCIDENT_WAITING, INCIDENT_REJECTED, "not on a Sunday"));
    assert_false(journal_move(helper, id, INCIDENT_WAITING, INCIDENT_APPROVED, NULL));
    assert_true(journal_read(helper, id, &read));
    assert_int_equal(read.state, INCIDENT_REJECTED);
    assert_string_equal(read.detail, "not on a Sunday");
    incident_free(&read);
    assert_true(journal_first(helper, INCIDENT_WAITING, &read));
    assert_int_equal(read.id, id + 1);
    incident_free(&read);
    assert_false(journal_first(helper, INCIDENT_APPROVED, &read));
    journal_close(helper);
    journal_close(person);
}

static void test_an_approval_is_of_one_text(void **state) {
    (void)state;
    struct incident incident = full_incident(), read;
    struct journal *journal = opened(true);
    incident.state = INCIDENT_WAITING;
    incident.id = journal_add(journal, &incident);
    incident.serial = 8;
    incident.digest = (char *)"fedc";
    assert_true(journal_approve(journal, &incident, "approved by a person"));
    assert_false(journal_approve(journal, &incident, "once more"));
    assert_true(journal_read(journal, incident.id, &read));
    assert_int_equal(read.state, INCIDENT_APPROVED);
    assert_int_equal(read.serial, 8);
    assert_string_equal(read.digest, "fedc");
    assert_string_equal(read.detail, "approved by a person");
    incident_free(&read);
    journal_close(journal);
}

static void add_for(struct journal *journal, enum incident_state state, const char *root, uint64_t start) {
    struct incident incident = {.state = state, .root = (char *)(uintptr_t)root, .target_start = start};
    int64_t id = journal_add(journal, &incident);
    journal_step_end(journal, journal_step_begin(journal, id, "plan", NULL), true, NULL, 0, 0);
}

static void assert_next(int64_t expected) {
    struct incident read;
    struct journal *journal = opened(true);
    assert_true(journal_next(journal, 1800, &read));
    assert_int_equal(read.id, expected);
    incident_free(&read);
    journal_close(journal);
}

static void test_who_has_had_the_least_time_is_next(void **state) {
    (void)state;
    struct incident none;
    struct journal *journal = opened(true);
    assert_false(journal_next(journal, 1800, &none));
    add_for(journal, INCIDENT_ROLLED_BACK, "/proc/7/root", 5);
    add_for(journal, INCIDENT_DONE, "/proc/8/root", 6);
    add_for(journal, INCIDENT_DONE, "/proc/8/root", 6);
    add_for(journal, INCIDENT_WAITING, "/srv", 0);
    add_for(journal, INCIDENT_APPROVED, "/proc/7/root", 5);
    add_for(journal, INCIDENT_APPROVED, "/proc/8/root", 6);
    journal_close(journal);
    run_sql("UPDATE step SET ended = begun");
    assert_next(5); /* nobody has had any: the oldest */
    run_sql("UPDATE step SET ended = begun + 100000000000 WHERE incident = 1");
    assert_next(6);
    run_sql("UPDATE step SET ended = begun + 60000000000 WHERE incident IN (2, 3)");
    assert_next(5);
    /* A clock that was set meanwhile counts as no more than a patch may take, and as no less than nothing. */
    run_sql("UPDATE step SET ended = begun + 4000000000000000000 WHERE incident = 1");
    assert_next(6);
    run_sql("UPDATE step SET ended = begun + 1000000000000 WHERE incident IN (2, 3)");
    assert_next(5);
    run_sql("UPDATE step SET ended = 1 WHERE incident IN (2, 3)");
    assert_next(6);
    /* What did not end when the helper was killed lasted until it was found. */
    run_sql("UPDATE step SET ended = begun WHERE incident = 1; UPDATE step SET ended = 0 WHERE incident = 2;"
            "UPDATE incident SET changed = created + 9000000000 WHERE id = 2");
    assert_next(5);
    /* Another process of that number is another container. */
    run_sql("UPDATE step SET ended = begun + 100000000000 WHERE incident = 1;"
            "UPDATE incident SET target_start = 4 WHERE id = 1");
    assert_next(5);
}

static unsigned attempts(struct journal *journal, const char *recipe, const char *version, const char *root) {
    const struct incident incident = {
        .recipe = (char *)(uintptr_t)recipe, .to = (char *)(uintptr_t)version, .root = (char *)(uintptr_t)root};
    return journal_attempts(journal, &incident);
}

static void test_attempts_are_of_one_recipe_version_and_root(void **state) {
    (void)state;
    struct incident incident = full_incident();
    incident.target_start = 0;
    struct journal *journal = opened(true);
    static const enum incident_state tried[] = {INCIDENT_APPLYING, INCIDENT_DONE, INCIDENT_ROLLED_BACK,
                                                INCIDENT_FAILED};
    static const enum incident_state untried[] = {INCIDENT_WAITING, INCIDENT_REFUSED, INCIDENT_IGNORED};
    for (size_t i = 0; i < 3; i++) {
        incident.state = untried[i];
        journal_add(journal, &incident);
    }
    assert_int_equal(attempts(journal, "bash-shellshock", "5.2", ""), 0);
    for (size_t i = 0; i < 4; i++) {
        incident.state = tried[i];
        journal_add(journal, &incident);
    }
    assert_int_equal(attempts(journal, "bash-shellshock", "5.2", ""), 4);
    assert_int_equal(attempts(journal, "bash-shellshock", "5.2", NULL), 4);
    assert_int_equal(attempts(journal, "bash-shellshock", "5.3", ""), 0);
    assert_int_equal(attempts(journal, "bash-shellshock", NULL, ""), 0);
    assert_int_equal(attempts(journal, "bash", "5.2", ""), 0);
    assert_int_equal(attempts(journal, "bash-shellshock", "5.2", "/srv/root"), 0);
    /* Another container whose first process has the same number. */
    struct incident other = {.recipe = incident.recipe, .to = incident.to, .root = incident.root, .target_start = 77};
    assert_int_equal(journal_attempts(journal, &other), 0);
    journal_close(journal);
}

static void test_serials_never_sink(void **state) {
    (void)state;
    struct journal *journal = opened(true);
    assert_int_equal(journal_highest_serial(journal, "r"), -1);
    journal_saw_serial(journal, "r", 7);
    journal_saw_serial(journal, "r", 3);
    journal_saw_serial(journal, "s", 1);
    assert_int_equal(journal_highest_serial(journal, "r"), 7);
    journal_close(journal);
}

static void assert_restarts(unsigned seconds, unsigned expected) {
    struct journal *journal = opened(true);
    assert_int_equal(journal_restarts(journal, "", "/usr/sbin/nginx", seconds), expected);
    journal_close(journal);
}

static void test_restarts_are_counted_for_some_time(void **state) {
    (void)state;
    struct journal *journal = opened(true);
    journal_restarted(journal, 1, "", "/usr/sbin/nginx");
    journal_restarted(journal, 2, NULL, "/usr/sbin/nginx");
    journal_restarted(journal, 2, "/srv", "/usr/sbin/nginx");
    assert_int_equal(journal_restarts(journal, "", "/usr/sbin/apache2", 3600), 0);
    journal_close(journal);
    assert_restarts(3600, 2);
    run_sql("UPDATE restart SET uptime = uptime - 3600000000000");
    assert_restarts(3600, 0);
    assert_restarts(7200, 2);
}

/* Years to either side. */
static void test_no_clock_resets_the_count_of_restarts_nor_makes_it_last(void **state) {
    (void)state;
    struct journal *journal = opened(true);
    journal_restarted(journal, 1, "", "/usr/sbin/nginx");
    journal_close(journal);
    run_sql("UPDATE restart SET time = 1000");
    assert_restarts(3600, 1);
    run_sql("UPDATE restart SET time = 4000000000000000000");
    assert_restarts(3600, 1);
    run_sql("UPDATE restart SET uptime = uptime - 3600000000000");
    assert_restarts(3600, 0);
}

/* Then this machine's uptime says nothing of it but that it was longer ago. */
static void test_restarts_before_the_machine_was_started_count_by_the_clock(void **state) {
    (void)state;
    unsigned up = (unsigned)(clock_nanoseconds(CLOCK_BOOTTIME) / 1000000000);
    struct journal *journal = opened(true);
    journal_restarted(journal, 1, "", "/usr/sbin/nginx");
    journal_close(journal);
    assert_sql("SELECT CASE length(boot) WHEN 36 THEN 'ok' END FROM restart");
    run_sql("UPDATE restart SET boot = 'another'");
    assert_restarts(up + 60, 1);
    assert_restarts(up - 1, 0);
    run_sql("UPDATE restart SET time = 1000");
    assert_restarts(up + 60, 0);
}

static void test_the_latest_time_survives_a_clock_set_back(void **state) {
    (void)state;
    struct incident incident = {0};
    struct journal *journal = opened(true);
    assert_int_equal(journal_latest(journal), 0);
    journal_add(journal, &incident);
    assert_true(journal_latest(journal) >= time(NULL) - 60);
    journal_close(journal);
    run_sql("UPDATE incident SET changed = 4000000000000000000");
    journal = opened(true);
    journal_repeat(journal, 1); /* as with a clock that was set back */
    journal_step_begin(journal, 1, "plan", NULL);
    journal_close(journal);
    run_sql("UPDATE step SET begun = 4100000000000000000");
    journal = opened(true);
    journal_add(journal, &incident);
    assert_int_equal(journal_latest(journal), 4100000000);
    journal_close(journal);
}

static void test_no_time_is_earlier_than_one_that_was_written(void **state) {
    (void)state;
    const int64_t ahead = 4000000000000000000;
    struct incident incident = {.state = INCIDENT_WAITING}, read;
    struct step *steps;
    struct journal *journal = opened(true);
    journal_add(journal, &incident);
    journal_close(journal);
    run_sql("UPDATE incident SET changed = 4000000000000000000"); /* by a clock that was set back since */
    journal = opened(true);
    int64_t id = journal_add(journal, &incident), step = journal_step_begin(journal, id, "plan", NULL);
    journal_step_end(journal, step, true, NULL, 0, 0);
    assert_true(journal_move(journal, id, INCIDENT_WAITING, INCIDENT_APPROVED, NULL));
    assert_true(journal_read(journal, id, &read));
    assert_true(read.created == ahead && read.changed == ahead);
    assert_int_equal(journal_steps(journal, id, &steps), 1);
    assert_true(steps[0].begun == ahead && steps[0].ended == ahead);
    steps_free(steps, 1);
    incident_free(&read);
    journal_close(journal);
}

static void test_refusals_and_totals_add_up(void **state) {
    (void)state;
    struct incident incident = {.state = INCIDENT_DONE, .repeats = 2};
    struct journal_totals totals;
    struct journal *journal = opened(true);
    journal_totals(journal, &totals);
    assert_true(totals.repeats == 0 && totals.patched == 0);
    journal_refused(journal, "too short", 5);
    journal_refused(journal, "too short", 5);
    journal_refused(journal, "too many", 1);
    assert_int_equal(journal_refusals(journal), 11);
    journal_add(journal, &incident);
    journal_repeat(journal, journal_add(journal, &incident));
    incident.state = INCIDENT_ROLLED_BACK;
    journal_add(journal, &incident);
    journal_totals(journal, &totals);
    assert_int_equal(totals.incidents[INCIDENT_DONE], 2);
    assert_int_equal(totals.incidents[INCIDENT_ROLLED_BACK], 1);
    assert_int_equal(totals.incidents[INCIDENT_FAILED], 0);
    assert_int_equal(totals.repeats, 7);
    assert_true(totals.patched > 1600000000000000000);
    journal_close(journal);
}

static void test_only_what_changed_nothing_is_trimmed(void **state) {
    (void)state;
    struct incident ignored = {.state = INCIDENT_IGNORED}, done = {.state = INCIDENT_DONE};
    struct journal *journal = opened(true);
    journal_add(journal, &done);
    for (int i = 0; i < 6; i++)
        journal_step_begin(journal, journal_add(journal, &ignored), "plan", NULL);
    journal_trim(journal, 6);
    struct seen all = {.most = 8}, left = {.most = 8}, last = {.most = 8};
    struct step *steps;
    journal_each(journal, false, see, &all);
    assert_int_equal(all.count, 7);
    journal_trim(journal, 2);
    assert_int_equal(unflushed(), 0);
    journal_each(journal, false, see, &left);
    assert_int_equal(left.count, 3);
    assert_true(left.ids[0] == 1 && left.ids[1] == 6 && left.ids[2] == 7);
    assert_int_equal(journal_steps(journal, 2, &steps), 0);
    assert_null(steps);
    journal_close(journal);
    run_sql("UPDATE incident SET changed = 4000000000000000000 WHERE id = 6");
    journal = opened(true);
    journal_trim(journal, 0);
    assert_int_equal(journal_latest(journal), 4000000000);
    journal_each(journal, false, see, &last);
    assert_int_equal(last.count, 2);
    assert_int_equal(journal_add(journal, &done), 8); /* a number is never given twice */
    journal_close(journal);
}

static void test_each_state_is_trimmed_for_itself(void **state) {
    (void)state;
    struct journal_totals totals;
    struct journal *journal = opened(true);
    for (int i = 0; i < INCIDENT_STATES; i++)
        for (int j = 0; j < 3; j++)
            journal_add(journal, &(struct incident){.state = (enum incident_state)i});
    journal_trim(journal, 1);
    journal_totals(journal, &totals);
    for (int i = 0; i < INCIDENT_STATES; i++) {
        bool idle = i == INCIDENT_IGNORED || i == INCIDENT_REFUSED || i == INCIDENT_NOTIFIED || i == INCIDENT_REJECTED;
        assert_int_equal(totals.incidents[i], idle ? 1 : 3);
    }
    journal_close(journal);
}

/* ---- several at once ---- */

static bool change_it(const struct incident *incident, void *context) {
    struct journal *other = context;
    journal_repeat(other, incident->id);
    return true;
}

static void test_a_slow_reader_holds_nobody_up(void **state) {
    (void)state;
    struct incident incident = {0}, read;
    struct journal *writer = opened(true), *reader = opened(false);
    journal_add(writer, &incident);
    journal_add(writer, &incident);
    journal_each(reader, false, change_it, writer);
    assert_true(journal_read(reader, 2, &read));
    assert_int_equal(read.repeats, 1);
    incident_free(&read);
    journal_close(reader);
    journal_close(writer);
}

static void add_fifty(void *context) {
    (void)context;
    struct incident incident = {0};
    struct journal *journal = opened(true);
    for (int i = 0; i < 50; i++)
        journal_repeat(journal, journal_add(journal, &incident));
    journal_close(journal);
}

/* All begin with no journal at all. */
static void test_writers_at_once_lose_nothing(void **state) {
    (void)state;
    pid_t writers[4];
    struct journal_totals totals;
    for (int i = 0; i < 4; i++) {
        writers[i] = fork();
        if (writers[i] == 0) {
            add_fifty(NULL);
            _exit(0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        waitpid(writers[i], &status, 0);
        assert_int_equal(status, 0);
    }
    struct journal *journal = opened(false);
    journal_totals(journal, &totals);
    assert_int_equal(totals.incidents[INCIDENT_RECEIVED], 200);
    assert_int_equal(totals.repeats, 200);
    journal_close(journal);
}

static void test_many_may_make_it_at_once(void **state) {
    (void)state;
    for (int round = 0; round < 50; round++) {
        pid_t openers[4];
        tear_down(NULL);
        set_up(NULL);
        for (int i = 0; i < 4; i++) {
            openers[i] = fork();
            if (openers[i] == 0) {
                struct mistake ignored;
                struct journal *journal = journal_open(path, true, &ignored);
                journal_close(journal);
                _exit(journal != NULL ? 0 : 1);
            }
        }
        for (int i = 0; i < 4; i++) {
            int status;
            waitpid(openers[i], &status, 0);
            assert_int_equal(status, 0);
        }
    }
}

static void add_one(void *journal) {
    struct incident incident = {0};
    journal_add(journal, &incident);
}

static void test_a_child_may_not_use_its_parents(void **state) {
    (void)state;
    struct journal *journal = opened(true);
    assert_int_equal(status_of(add_one, journal), EXIT_ERROR);
    add_one(journal);
    journal_close(journal);
}

/* ---- killed, and out of room ---- */

struct report {
    int64_t incident, step;
    enum incident_state state;
};

/* Writes for ever; tells of each write after it has returned. */
static void write_and_tell(int pipe) {
    struct incident incident = full_incident();
    struct journal *journal = opened(true);
    for (;;) {
        struct report report = {0};
        incident.state = INCIDENT_RECEIVED;
        incident.id = report.incident = journal_add(journal, &incident);
        if (write(pipe, &report, sizeof report) < 0)
            break;
        report.step = journal_step_begin(journal, incident.id, "commit", NULL);
        if (write(pipe, &report, sizeof report) < 0)
            break;
        incident.state = report.state = INCIDENT_DONE;
        journal_update(journal, &incident);
        if (write(pipe, &report, sizeof report) < 0)
            break;
    }
    _exit(0);
}

static void check_report(struct journal *journal, const struct report *report) {
    struct incident read;
    struct step *steps;
    if (!journal_read(journal, report->incident, &read))
        fail_msg("incident %lld was returned and is gone", (long long)report->incident);
    if (report->state == INCIDENT_DONE)
        assert_int_equal(read.state, INCIDENT_DONE);
    incident_free(&read);
    size_t count = journal_steps(journal, report->incident, &steps);
    if (report->step != 0)
        assert_true(count == 1 && steps[0].id == report->step);
    steps_free(steps, count);
}

/* The moment of the kill varies with what the reports and the scheduler make of it. */
static void kill_a_writer(unsigned round) {
    struct report reports[64];
    size_t count = 0, most = 1 + round * 7 % 23;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t writer = fork();
    if (writer == 0)
        write_and_tell(pipes[1]);
    close(pipes[1]);
    while (count < most && read(pipes[0], &reports[count], sizeof reports[0]) == sizeof reports[0])
        count++;
    for (volatile unsigned spin = round * 977 % 50000; spin > 0; spin--)
        ;
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    while (count < 64 && read(pipes[0], &reports[count], sizeof reports[0]) == sizeof reports[0])
        count++;
    close(pipes[0]);
    assert_true(count >= most);
    struct journal *journal = opened(round % 2 == 0);
    for (size_t i = 0; i < count; i++)
        check_report(journal, &reports[i]);
    journal_close(journal);
}

static void test_what_was_returned_survives_a_kill(void **state) {
    (void)state;
    for (unsigned round = 0; round < 100; round++)
        kill_a_writer(round);
    assert_whole();
}

/* A short life: made, written to, closed, and each of it told. */
static void live(void *context) {
    volatile struct report *report = context;
    struct incident incident = full_incident();
    struct journal *journal = opened(true);
    incident.id = journal_add(journal, &incident);
    report->incident = incident.id;
    report->step = journal_step_begin(journal, incident.id, "commit", NULL);
    incident.state = INCIDENT_DONE;
    journal_update(journal, &incident);
    report->state = INCIDENT_DONE;
    journal_trim(journal, 0);
    journal_close(journal);
}

static void test_it_can_be_killed_in_each_of_its_writes(void **state) {
    (void)state;
    struct report *report = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(report != MAP_FAILED);
    int status = 1000 + SIGKILL;
    unsigned round = 0;
    while (status == 1000 + SIGKILL) {
        tear_down(NULL);
        set_up(NULL);
        *report = (struct report){0};
        calls_left = ++round;
        status = status_of(live, report);
        calls_left = 0;
        struct journal *journal = opened(true);
        if (report->incident != 0)
            check_report(journal, report);
        journal_close(journal);
        assert_whole();
    }
    assert_int_equal(status, 0);
    assert_true(round > 40);
    munmap(report, 4096);
}

static void fill_up(void *context) {
    volatile int64_t *returned = context;
    struct rlimit room = {.rlim_cur = 256 << 10, .rlim_max = RLIM_INFINITY};
    struct incident incident = full_incident();
    signal(SIGXFSZ, SIG_IGN);
    struct journal *journal = opened(true);
    setrlimit(RLIMIT_FSIZE, &room);
    for (;;)
        *returned = journal_add(journal, &incident);
}

static void test_without_room_it_ends_and_keeps_what_it_has(void **state) {
    (void)state;
    int64_t *returned = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(returned != MAP_FAILED);
    assert_int_equal(status_of(fill_up, returned), EXIT_ERROR);
    assert_true(*returned > 5);
    struct journal *journal = opened(true);
    struct incident read;
    assert_true(journal_read(journal, *returned, &read));
    incident_free(&read);
    assert_int_equal(journal_add(journal, &(struct incident){0}), *returned + 1);
    journal_close(journal);
    assert_whole();
    munmap(returned, 4096);
}

#define CANNOT_MOUNT 77

static void add_for_ever(void *context) {
    volatile int64_t *returned = context;
    struct incident incident = full_incident();
    struct journal *journal = opened(true);
    for (;;)
        *returned = journal_add(journal, &incident);
}

/* On a file system of its own that is too small, which goes with this process. */
static void fill_a_file_system(void *context) {
    int64_t *returned = context;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", directory, "tmpfs", 0, "size=1m,mode=0700") != 0)
        _exit(CANNOT_MOUNT);
    cleanup_free char *filler = xasprintf("%s/filler", directory);
    int file = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (posix_fallocate(file, 0, 256 << 10) != 0)
        _exit(3);
    close(file);
    if (status_of(add_for_ever, returned) != EXIT_ERROR || *returned < 20)
        _exit(4);
    unlink(filler);
    struct journal *journal = opened(true);
    struct seen seen = {.most = 1};
    journal_each(journal, true, see, &seen);
    if (seen.ids[0] != *returned || journal_add(journal, &(struct incident){0}) != *returned + 1)
        _exit(5);
    journal_close(journal);
    assert_whole();
}

static void test_a_full_disk_ends_it_and_loses_nothing(void **state) {
    (void)state;
    int64_t *returned = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(returned != MAP_FAILED);
    int status = status_of(fill_a_file_system, returned);
    munmap(returned, 4096);
    if (status == CANNOT_MOUNT) {
        print_message("no file system can be mounted here\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* ---- what cannot be trusted ---- */

static void test_others_may_not_write_beside_it(void **state) {
    (void)state;
    journal_close(opened(true));
    assert_int_equal(chmod(directory, 0770), 0);
    assert_refused(true, "can be written by others");
    assert_refused(false, "can be written by others");
    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(chmod(path, 0602), 0);
    assert_refused(false, "chmod go-w");
    assert_int_equal(chmod(path, 0600), 0);
    journal_close(opened(false));
    if (geteuid() != 0)
        return;
    assert_int_equal(chown(path, 4321, 0), 0);
    assert_refused(true, "belongs to user 4321");
}

static void test_nobody_else_reads_a_new_one(void **state) {
    (void)state;
    struct stat status;
    journal_close(opened(true));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_a_link_or_nothing_is_no_journal(void **state) {
    (void)state;
    assert_refused(false, "pinion patchd");
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_refused(true, "no regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(false, "no regular file");
}

static void test_another_version_is_left_alone(void **state) {
    (void)state;
    journal_close(opened(true));
    run_sql("PRAGMA user_version = 3");
    assert_refused(true, "version 3, this program knows version 2");
    assert_refused(false, "version 3");
    run_sql("PRAGMA user_version = -1; CREATE TABLE more (x)");
    assert_refused(true, "version -1");
}

/* As the first helpers made them. */
static void make_old(void) {
    size_t size;
    cleanup_free char *text = file_read("tests/integration/common/journal_1.sql", 1 << 16, &size);
    assert_non_null(text);
    run_sql(text);
    assert_int_equal(chmod(path, 0600), 0);
}

static void test_an_old_journal_is_brought_up_to_date(void **state) {
    (void)state;
    struct incident incident = full_incident(), read;
    make_old();
    run_sql("INSERT INTO incident SELECT 1, 5, 6, 'waiting', 'older', 0, 0, 0, 'none', NULL, 0, NULL, NULL, 0, NULL, "
            "NULL, 'fix', 3, '', 0, 0, NULL, NULL, 0, 0, 0, 0, NULL;"
            "INSERT INTO restart VALUES (7, 1, '', '/usr/sbin/nginx')");
    assert_refused(false, "of version 1: `pinion patchd` makes version 2 of it");
    struct journal *journal = opened(true);
    assert_true(journal_read(journal, 1, &read));
    assert_string_equal(read.detail, "older");
    assert_null(read.digest);
    incident_free(&read);
    assert_int_equal(journal_restarts(journal, "", "/usr/sbin/nginx", 3600), 0);
    assert_true(journal_read(journal, journal_add(journal, &incident), &read));
    assert_same(&read, &incident);
    incident_free(&read);
    journal_close(journal);
    journal_close(opened(false));
    assert_whole();
}

static void test_what_is_no_old_journal_is_left_alone(void **state) {
    (void)state;
    make_old();
    run_sql("CREATE TRIGGER t AFTER INSERT ON incident BEGIN DELETE FROM incident; END");
    assert_refused(true, "of version 1");
    assert_refused(false, "of version 1");
}

static void test_another_schema_is_refused(void **state) {
    (void)state;
    static const char *const changes[] = {
        "CREATE TRIGGER t AFTER INSERT ON incident BEGIN DELETE FROM incident; END",
        "CREATE VIEW v AS SELECT * FROM incident",
        "ALTER TABLE step ADD COLUMN more TEXT",
        "DROP INDEX step_ended",
        "DROP TABLE incident; CREATE VIEW incident AS SELECT 1 AS id",
        "PRAGMA user_version = 0",
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        unlink(path);
        journal_close(opened(true));
        run_sql(changes[i]);
        if (i < 5)
            assert_refused(true, "is no journal of this program");
        assert_refused(false, "is no journal of this program");
    }
}

static void test_damage_is_named_with_a_remedy(void **state) {
    (void)state;
    struct incident incident = full_incident();
    struct journal *journal = opened(true);
    for (int i = 0; i < 20; i++)
        journal_add(journal, &incident);
    journal_close(journal);
    int file = open(path, O_WRONLY);
    for (off_t page = 20; page < 40; page++)
        assert_int_equal(pwrite(file, "damage damage damage", 20, page * 4096), 20);
    assert_refused(true, "Move it aside");
    assert_int_equal(pwrite(file, "no database at all", 18, 0), 18);
    assert_refused(false, "Move it aside");
    assert_int_equal(ftruncate(file, 0), 0);
    assert_refused(false, "is no journal");
    close(file);
}

static bool visit_nothing(const struct incident *incident, void *context) {
    (void)incident, (void)context;
    return true;
}

static void read_all(void *context) {
    (void)context;
    struct mistake mistake;
    struct journal_totals totals;
    struct step *steps;
    struct journal *journal = journal_open(path, false, &mistake);
    if (journal == NULL)
        _exit(EXIT_ERROR);
    journal_each(journal, true, visit_nothing, NULL);
    journal_each(journal, false, visit_nothing, NULL);
    journal_totals(journal, &totals);
    size_t count = journal_steps(journal, 1, &steps);
    steps_free(steps, count);
    journal_close(journal);
}

static void test_values_that_were_not_written_here_are_damage(void **state) {
    (void)state;
    static const char *const changes[] = {
        "state = 'patched'",  "claim = ''",    "sender = 4294967296",    "repeats = -1", "memory = -1",
        "confidence = 9e999", "event = x'00'", "event = zeroblob(3040)", "created = -1", "event = zeroblob(500000000)",
    };
    struct incident incident = full_incident();
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        cleanup_free char *text = xasprintf("UPDATE incident SET %s WHERE id = 2", changes[i]);
        unlink(path);
        struct journal *journal = opened(true);
        for (int j = 0; j < 3; j++)
            journal_add(journal, &incident);
        journal_close(journal);
        assert_int_equal(status_of(read_all, NULL), 0);
        run_sql(text);
        if (status_of(read_all, NULL) != EXIT_ERROR)
            fail_msg("%s is believed", changes[i]);
    }
}

/* Whatever the bytes are: a message, never a signal, never for ever. */
static void read_in_time(void *context) {
    alarm(20);
    read_all(context);
}

static void test_no_bytes_crash_a_reader(void **state) {
    (void)state;
    struct incident incident = full_incident();
    struct journal *journal = opened(true);
    for (int i = 0; i < 30; i++)
        journal_step_begin(journal, journal_add(journal, &incident), "plan", "text");
    journal_close(journal);
    size_t size;
    cleanup_free char *good = file_read(path, 10 << 20, &size);
    unsigned damaged = 0;
    srand(5);
    for (unsigned round = 0; round < 300; round++) {
        cleanup_free char *bad = xmalloc(size);
        memcpy(bad, good, size);
        for (unsigned i = 0; i < 1 + round % 40; i++) /* page headers and the schema more than the rest */
            bad[(size_t)rand() % (size / 4096) * 4096 + (size_t)rand() % (i % 2 ? 4096 : 48)] = (char)rand();
        int file = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(file, bad, size), size);
        close(file);
        int status = status_of(read_in_time, NULL);
        if (status != 0 && status != EXIT_ERROR)
            fail_msg("round %u ends with %d", round, status);
        damaged += status != 0;
    }
    assert_true(damaged > 100);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_an_incident_comes_back_as_it_was),
        TEST(test_unknown_texts_and_no_event_stay_unknown),
        TEST(test_an_update_leaves_repeats_event_and_birth),
        TEST(test_steps_are_kept_in_their_order),
        TEST(test_all_are_visited_in_either_order_until_told_to_stop),
        TEST(test_of_two_who_move_one_incident_one_succeeds),
        TEST(test_an_approval_is_of_one_text),
        TEST(test_who_has_had_the_least_time_is_next),
        TEST(test_attempts_are_of_one_recipe_version_and_root),
        TEST(test_serials_never_sink),
        TEST(test_restarts_are_counted_for_some_time),
        TEST(test_no_clock_resets_the_count_of_restarts_nor_makes_it_last),
        TEST(test_restarts_before_the_machine_was_started_count_by_the_clock),
        TEST(test_the_latest_time_survives_a_clock_set_back),
        TEST(test_no_time_is_earlier_than_one_that_was_written),
        TEST(test_refusals_and_totals_add_up),
        TEST(test_only_what_changed_nothing_is_trimmed),
        TEST(test_each_state_is_trimmed_for_itself),
        TEST(test_a_slow_reader_holds_nobody_up),
        TEST(test_writers_at_once_lose_nothing),
        TEST(test_many_may_make_it_at_once),
        TEST(test_a_child_may_not_use_its_parents),
        TEST(test_what_was_returned_survives_a_kill),
        TEST(test_it_can_be_killed_in_each_of_its_writes),
        TEST(test_without_room_it_ends_and_keeps_what_it_has),
        TEST(test_a_full_disk_ends_it_and_loses_nothing),
        TEST(test_others_may_not_write_beside_it),
        TEST(test_nobody_else_reads_a_new_one),
        TEST(test_a_link_or_nothing_is_no_journal),
        TEST(test_another_version_is_left_alone),
        TEST(test_an_old_journal_is_brought_up_to_date),
        TEST(test_what_is_no_old_journal_is_left_alone),
        TEST(test_another_schema_is_refused),
        TEST(test_damage_is_named_with_a_remedy),
        TEST(test_values_that_were_not_written_here_are_damage),
        TEST(test_no_bytes_crash_a_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
