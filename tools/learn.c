/* `pinion learn`: runs a command with every policy in mode learn and keeps a record of what was observed. The
 * policies themselves are not touched: `pinion merge` folds the record in.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/record_reader.h"
#include "runtime/util.h"
#include "tools/json.h"
#include "tools/launch.h"
#include "tools/options.h"
#include "tools/policy_file.h"
#include "tools/subject.h"

static struct {
    const char *directory;
    const char *record;
    const char *size;
    const char *log;
    const char *shim;
    bool force;
    bool leave;
    bool json;
} settings = {.record = "pinion.record"};

static const struct option_row options[] = {
    OPTION_TEXT("policy-dir", 'd', "DIR", &settings.directory,
                "where the policies are (default PINION_POLICY_DIR, else " POLICY_DIRECTORY ")"),
    OPTION_TEXT("record", 'o', "FILE", &settings.record, "the record to write (default pinion.record)"),
    OPTION_TEXT("size", 's', "SIZE", &settings.size,
                "room for facts, as 256M or 1G (default 64M); what does not fit is counted and reported"),
    OPTION_TEXT("log", 'l', "FILE", &settings.log, "append the shim's messages to FILE (default: standard error)"),
    OPTION_TEXT("shim", 0, "FILE", &settings.shim, "the shim (default: the libpinion.so that belongs to this command)"),
    OPTION_FLAG("force", 'f', &settings.force, "replace a record that exists"),
    OPTION_FLAG("leave-daemons", 0, &settings.leave,
                "do not wait for processes that COMMAND leaves behind; the record then grows after the report"),
    OPTION_FLAG("json", 'j', &settings.json, "print one JSON object on standard output when COMMAND has ended"),
};

static const char details[] =
    "Nothing is denied while learning, so learn only from runs you trust: ordinary work, away from attackers. "
    "Programs\n"
    "that have no policy are recorded as well. Each fact (a place in the program, a function, an argument's value) is\n"
    "kept once, however often it happens. `learn` ends when COMMAND and all processes it started have ended; an\n"
    "interrupt is passed on to them.\n"
    "\n"
    "Exit status: 0 recorded, 1 facts were lost or COMMAND failed, 2 error.\n";

/* ---- The policies of the run ---- */

static void free_directory(char **directory) {
    if (!*directory)
        return;
    struct path_list files = list_directory(*directory, POLICY_COMPILED_SUFFIX);
    for (size_t i = 0; i < files.count; i++)
        unlink(files.items[i]);
    path_list_free(&files);
    rmdir(*directory);
    free(*directory);
    *directory = NULL;
}

/* A copy whose mode is learn everywhere. A site that a person switched off stays off. */
static void write_learning_copy(const struct policy_file *policy, const char *directory) {
    cleanup_free unsigned char *copy = xmalloc(policy->size);
    memcpy(copy, policy->image, policy->size);
    struct policy_header *header = (struct policy_header *)(void *)copy;
    header->mode = MODE_LEARN;
    struct policy_site *sites = (struct policy_site *)(void *)(copy + header->sites.offset);
    for (uint32_t i = 0; i < header->sites.count; i++)
        if (sites[i].mode != MODE_OFF)
            sites[i].mode = MODE_INHERIT;
    cleanup_free char *path = policy_path(directory, policy->document.program, POLICY_COMPILED_SUFFIX);
    if (!atomic_file_write(path, 0644, copy, policy->size))
        die_with_error("cannot write \"%s\"", path);
}

static void copy_policies(const char *from, const char *suffix, const char *to) {
    struct path_list files = list_directory(from, suffix);
    for (size_t i = 0; i < files.count; i++) {
        struct policy_file policy;
        struct mistake mistake = {0};
        if (!policy_load(files.items[i], &policy, &mistake)) {
            warn("policy \"%s\" line %u is left out of the learning run: %s", files.items[i], mistake.line,
                 mistake.text);
            continue;
        }
        write_learning_copy(&policy, to);
        policy_unload(&policy);
    }
    path_list_free(&files);
}

/* A private directory with a copy of every policy in mode learn; texts win over compiled forms that may be older. */
static char *make_directory(void) {
    const char *temporary = getenv("TMPDIR");
    char *directory = xasprintf("%s/pinion-learn.XXXXXX", temporary && *temporary ? temporary : "/tmp");
    /* Readable by all: programs that change their user must still find their policy. */
    if (!mkdtemp(directory) || chmod(directory, 0755) != 0)
        die_with_error("cannot make the directory \"%s\"", directory);
    const char *from = policy_directory(settings.directory);
    if (!is_directory(from)) {
        if (settings.directory)
            die("there is no directory \"%s\"", from);
        return directory;
    }
    copy_policies(from, POLICY_COMPILED_SUFFIX, directory);
    copy_policies(from, POLICY_TEXT_SUFFIX, directory);
    return directory;
}

/* ---- The record ---- */

/* Half the smallest entry: the table stays sparse enough for short probes when the file is full of them. */
enum {
    BYTES_PER_SLOT = 32
};

static struct record_header new_header(size_t size) {
    struct record_header header = {.version = RECORD_VERSION, .slot_count = 1024, .size = size & ~(size_t)7};
    memcpy(header.magic, RECORD_MAGIC, sizeof header.magic);
    while (header.slot_count < size / BYTES_PER_SLOT / 2 && header.slot_count < 1u << 28)
        header.slot_count *= 2;
    header.table_fingerprint = api_table_fingerprint();
    header.used = sizeof header + header.slot_count * sizeof(uint32_t);
    return header;
}

static void make_record(const struct usage *usage) {
    size_t size = RECORD_DEFAULT_BYTES;
    if (settings.size && (!options_size(settings.size, &size) || size < 65536))
        options_mistake(usage, "\"%s\" is no size of at least 64K: write 256M or 1G", settings.size);
    if (settings.force && unlink(settings.record) != 0 && errno != ENOENT)
        die_with_error("cannot replace \"%s\"", settings.record);
    cleanup_fd int record = open(settings.record, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (record < 0 && errno == EEXIST)
        die("\"%s\" exists: merge it and remove it, choose another name with --record, or replace it with --force",
            settings.record);
    if (record < 0)
        die_with_error("cannot create the record \"%s\"", settings.record);
    struct record_header header = new_header(size);
    if (ftruncate(record, (off_t)header.size) != 0 || pwrite(record, &header, sizeof header, 0) != sizeof header)
        die_with_error("cannot write the record \"%s\"", settings.record);
}

/* ---- The run ---- */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    interrupted = signal;
}

/* Only we may end the wait; the command has the signals' ordinary meaning. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

static _Noreturn void become_command(char **command, const struct launch *launch) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    launch_prepare(launch);
    execvp(command[0], command);
    die_with_error("cannot start \"%s\"", command[0]);
}

/* Passes the signal on to our children: the command, and processes it left behind, which the kernel made ours. */
static void pass_on(int signal) {
    cleanup_free char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
    cleanup_file FILE *children = fopen(path, "re");
    int pid;
    while (children && fscanf(children, "%d", &pid) == 1)
        kill((pid_t)pid, signal);
}

/* Waits for the command, then for what it left behind. Returns the command's wait status. */
static int wait_for_all(pid_t command, const char *name) {
    int result = 0;
    for (;;) {
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended < 0 && errno == EINTR) {
            pass_on(interrupted);
            continue;
        }
        if (ended < 0)
            return result;
        if (ended != command)
            continue;
        result = status;
        if (settings.leave)
            return result;
        siginfo_t information = {0};
        if (waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_pid == 0)
            warn("%s has ended, waiting for the processes it left behind (interrupt to end them)", name);
    }
}

static int run(char **command, const struct launch *launch) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        die_with_error("cannot adopt the processes of the run");
    catch_signals();
    fflush(stdout);
    pid_t child = fork();
    if (child < 0)
        die_with_error("cannot fork");
    if (child == 0)
        become_command(command, launch);
    return wait_for_all(child, command[0]);
}

/* The copies of the policies are gone again when this returns. */
static int run_learning(char **command, const char *shim) {
    char *directory __attribute__((cleanup(free_directory))) = make_directory();
    struct launch launch = {.shim = shim, .directory = directory, .log = settings.log, .record = settings.record};
    return run(command, &launch);
}

/* ---- The report ---- */

/* A command that ended by the signal we passed on to it was asked to: that is how servers end. */
static bool command_failed(int status) {
    if (WIFSIGNALED(status))
        return WTERMSIG(status) != interrupted;
    return WEXITSTATUS(status) != 0;
}

static void print_report(const struct record *record, size_t facts, int status, const char *name) {
    fprintf(stderr, "pinion: %zu facts in \"%s\", %zu KiB of %zu used; fold them in: pinion merge POLICY %s\n", facts,
            settings.record, (size_t)(record->header->used / 1024), (size_t)(record->header->size / 1024),
            settings.record);
    if (record->header->lost)
        warn("%llu facts found no room and are lost: learn again with a larger --size",
             (unsigned long long)record->header->lost);
    if (record->header->unread)
        warn("%llu arguments were too long to be recorded", (unsigned long long)record->header->unread);
    if (WIFSIGNALED(status) && command_failed(status))
        warn("%s was ended by signal %d: the record holds what was seen until then", name, WTERMSIG(status));
    else if (command_failed(status))
        warn("%s ended with status %d: the record may be incomplete", name, WEXITSTATUS(status));
}

static void print_json(const struct record *record, size_t facts, int status) {
    json_print(json_pack("{s:o, s:I, s:I, s:I, s:I, s:i}", "record", json_text(settings.record), "facts",
                         (json_int_t)facts, "lost", (json_int_t)record->header->lost, "used",
                         (json_int_t)record->header->used, "size", (json_int_t)record->header->size, "status",
                         WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
}

static int report(int status, const char *name) {
    struct record record;
    struct mistake mistake = {0};
    if (!record_open(&record, settings.record, &mistake)) {
        if (settings.leave) {
            warn("the record \"%s\" is in use, it can be read when the last process has ended", settings.record);
            return command_failed(status) ? EXIT_FINDINGS : EXIT_FINE;
        }
        die("cannot read the record \"%s\": %s", settings.record, mistake.text);
    }
    size_t facts = 0;
    while (record_next(&record))
        facts++;
    if (settings.json)
        print_json(&record, facts, status);
    print_report(&record, facts, status, name);
    int result = record.header->lost || command_failed(status) ? EXIT_FINDINGS : EXIT_FINE;
    record_close(&record);
    return result;
}

int verb_learn(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "[--] COMMAND [ARGUMENT...]",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0],
                          .stops_at_command = true};
    if (options_read(&usage, argc, argv) == 0)
        options_mistake(&usage, "which command?");
    char **command = argv + 1;
    cleanup_free char *program = find_program(command[0]);
    if (!program)
        die_with_error("cannot find the program \"%s\"", command[0]);
    cleanup_free char *shim = find_shim(settings.shim);
    struct findings findings = {0};
    examine_shim(&findings, shim);
    if (findings.count)
        die("%s", findings.items[0].text);
    make_record(&usage);
    int status = run_learning(command, shim);
    return report(status, command[0]);
}
