/* Starting programs and waiting for them. What is between fork and exec may allocate (this program has one thread
 * there), but never returns to the caller's code.
 */
#include "tools/patch/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/groups.h"
#include "tools/patch/proc.h"

#define HALF (COMMAND_OUTPUT_MOST / 2)
#define ENVIRONMENT_MOST (1u << 20)
#define KILL_SECONDS 10
#define ASKED_MILLISECONDS 100
#define SERVICE_OUTPUT_BYTES (1 << 20)

/* ---- output: its head, and a ring of its tail ---- */

struct kept_output {
    char head[HALF], tail[HALF];
    uint64_t size; /* of all that was written */
};

static void keep(struct kept_output *kept, const char *data, size_t size) {
    for (size_t done = 0; done < size;) {
        size_t room, step = size - done;
        char *to;
        if (kept->size < HALF) {
            to = kept->head + kept->size;
            room = HALF - (size_t)kept->size;
        } else {
            size_t at = (size_t)((kept->size - HALF) % HALF);
            to = kept->tail + at;
            room = HALF - at;
        }
        step = step < room ? step : room;
        memcpy(to, data + done, step);
        kept->size += step;
        done += step;
    }
}

/* Reads what is there now, no more than a pipe holds at once: who writes faster than we read must not keep us from
 * looking at the clock. False at its end. */
static bool keep_available(struct kept_output *kept, int from) {
    for (unsigned turn = 0; turn < 64; turn++) {
        char data[16384];
        ssize_t got = read(from, data, sizeof data);
        if (got > 0)
            keep(kept, data, (size_t)got);
        else if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return false;
        else if (errno == EAGAIN)
            return true;
    }
    return true;
}

static void output_finish(const struct kept_output *kept, struct command_result *result) {
    FILE *stream = xopen_memstream(&result->output, &result->output_size);
    fwrite(kept->head, 1, kept->size < HALF ? (size_t)kept->size : HALF, stream);
    uint64_t behind = kept->size < HALF ? 0 : kept->size - HALF;
    size_t at = (size_t)(behind % HALF);
    if (behind > HALF)
        fprintf(stream, "\n[%llu bytes are left out]\n", (unsigned long long)(behind - HALF));
    if (behind >= HALF)
        fwrite(kept->tail + at, 1, HALF - at, stream);
    fwrite(kept->tail, 1, at, stream);
    fclose(stream);
}

/* ---- the mark ---- */

static char owner[64] = "";

bool command_owner(const char *state, struct mistake *mistake) {
    struct stat status;
    if (stat(state, &status) != 0)
        return text_mistake(mistake, 0, "cannot look at the state directory \"%s\": %s", state, strerror(errno));
    snprintf(owner, sizeof owner, ":%jx:%jx", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    return true;
}

static uint64_t limit; /* nanoseconds of the monotonic clock; 0: none */

void command_limit(unsigned seconds) {
    limit = seconds != 0 ? clock_nanoseconds(CLOCK_MONOTONIC) + seconds * UINT64_C(1000000000) : 0;
}

unsigned command_seconds(unsigned most) {
    uint64_t time = clock_nanoseconds(CLOCK_MONOTONIC);
    uint64_t left = limit == 0 ? most : time < limit ? (limit - time + 999999999) / 1000000000 : 0;
    return left < most ? (unsigned)left : most;
}

static char *mark_of(int64_t incident) {
    return xasprintf("%s=%lld%s", COMMAND_MARK, (long long)incident, owner);
}

/* ---- the child ---- */

struct start {
    const struct command *command;
    pid_t parent;
    int input, output, report;
};

_Noreturn static void child_fail(int report, const struct mistake *mistake) {
    ssize_t ignored = write(report, mistake->text, strlen(mistake->text));
    (void)ignored;
    _exit(127);
}

/* Nothing of ours is handed on: handlers, masks, limits of ours, descriptors. */
static void child_reset(void) {
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL); /* whoever started us has keys in his */
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    umask(022);
}

static char **child_environment(const struct command *command) {
    static const char *const plain[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                        "HOME=/root", "LC_ALL=C.UTF-8", NULL};
    const char *const *given = command->environment != NULL ? command->environment : plain;
    char **environment = NULL;
    size_t count = 0;
    for (size_t i = 0; given[i] != NULL; i++)
        *array_append(environment, count) = xstrdup(given[i]);
    if (command->incident != 0)
        *array_append(environment, count) = mark_of(command->incident);
    *array_append(environment, count) = NULL;
    return environment;
}

static int report_of_child = -1;

/* What is waited for ends here; its child is on its own, and gives up what the other process had not. */
static bool run_on(const struct command_identity *identity, struct mistake *mistake) {
    pid_t child = fork();
    if (child != 0)
        _exit(child < 0 ? 127 : 0);
    setsid();
    prctl(PR_SET_PDEATHSIG, 0);
    int nowhere = open("/dev/null", O_RDWR);
    for (int i = 0; i < 2; i++)
        if (dup2(identity->outputs[i] >= 0 ? identity->outputs[i] : nowhere, STDOUT_FILENO + i) < 0)
            close(STDOUT_FILENO + i);
    if (identity->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return text_mistake(mistake, 0, "cannot give up gaining privileges: %s", strerror(errno));
    if (setgroups(identity->group_count, identity->groups) != 0 ||
        setresgid(identity->group, identity->group, identity->group) != 0 ||
        setresuid(identity->user, identity->user, identity->user) != 0)
        return text_mistake(mistake, 0, "cannot become user %u: %s", (unsigned)identity->user, strerror(errno));
    return chdir(identity->directory) == 0 || chdir("/") == 0;
}

_Noreturn static void child_run(const struct start *start) {
    const struct command *command = start->command;
    struct mistake mistake = {.line = 0};
    report_of_child = start->report;
    prctl(PR_SET_DUMPABLE, 0); /* until it executes the command, nobody whom it comes near may look into it */
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != start->parent)
        _exit(127);
    if (command->groups != NULL && !groups_join(command->groups)) {
        text_mistake(&mistake, 0, "cannot join the control groups of its place: %s", strerror(errno));
        child_fail(start->report, &mistake);
    }
    child_reset();
    dup2(start->input, STDIN_FILENO);
    dup2(start->output, STDOUT_FILENO);
    dup2(start->output, STDERR_FILENO);
    if (command->enter != NULL) {
        if (!command->enter(command->context, &mistake))
            child_fail(start->report, &mistake);
    } else if (chdir("/") != 0) {
        _exit(127);
    }
    if (command->runs_on != NULL && !run_on(command->runs_on, &mistake))
        child_fail(start->report, &mistake);
    close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    environ = child_environment(command);
    execvp(command->arguments[0], (char *const *)command->arguments);
    text_mistake(&mistake, 0, "cannot start \"%s\": %s", command->arguments[0], strerror(errno));
    child_fail(start->report, &mistake);
}

/* Passes on how the command ended. */
static _Noreturn void relay(pid_t process) {
    int status;
    while (waitpid(process, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status))
        raise(WTERMSIG(status));
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

/* The processes of the namespace that is entered may see the child, and what it has open, before it executes. */
static void close_ours(void) {
    if (report_of_child > 3)
        close_range(3, (unsigned)report_of_child - 1, 0);
    if (report_of_child >= 3)
        close_range((unsigned)report_of_child + 1, ~0u, 0);
}

bool command_continue_in_child(struct mistake *mistake) {
    int tie[2];
    close_ours();
    if (pipe2(tie, O_CLOEXEC | O_NONBLOCK) != 0)
        return text_mistake(mistake, 0, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork();
    if (child < 0)
        return text_mistake(mistake, 0, "cannot start a process: %s", strerror(errno));
    if (child > 0) {
        close(tie[0]);
        relay(child);
    }
    close(tie[1]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char byte;
    if (read(tie[0], &byte, 1) == 0) /* the parent was killed before it could take us along */
        _exit(127);
    close(tie[0]);
    return true;
}

/* ---- the parent ---- */

/* What a service writes as long as it runs: a file in memory of fixed size, whose further bytes are refused. At a pipe that
 * nobody reads any more it would end. */
static int open_service_output(void) {
    cleanup_fd int fd = memfd_create("output", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, SERVICE_OUTPUT_BYTES) != 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return -1;
    return steal_fd(&fd);
}

/* Where it is read, -1: when the command has ended; and where it is written. */
static bool open_output(const struct command *command, int ends[2]) {
    ends[0] = -1;
    if (command->service)
        return (ends[1] = open_service_output()) >= 0;
    return pipe2(ends, O_CLOEXEC) == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

/* Up to where the command has come. */
static void keep_written(struct kept_output *kept, int fd) {
    char data[16384];
    off_t end = lseek(fd, 0, SEEK_CUR);
    for (off_t at = 0; at < end;) {
        size_t step = end - at < (off_t)sizeof data ? (size_t)(end - at) : sizeof data;
        ssize_t got = pread(fd, data, step, at);
        if (got <= 0)
            return;
        keep(kept, data, (size_t)got);
        at += got;
    }
}

/* What the command reads: a file in memory, so that nobody has to feed it. */
static int open_input(const char *text) {
    if (text == NULL)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    cleanup_fd int fd = memfd_create("input", MFD_CLOEXEC);
    size_t size = strlen(text);
    for (size_t done = 0; fd >= 0 && done < size;) {
        ssize_t wrote = write(fd, text + done, size - done);
        if (wrote < 0)
            return -1;
        done += (size_t)wrote;
    }
    if (fd >= 0 && lseek(fd, 0, SEEK_SET) != 0)
        return -1;
    return steal_fd(&fd);
}

/* Collects output until the process ends; false when its time is over first, or when it may not go on: then there is a
 * mistake. */
static bool watch(const struct command *command, int process, int output, uint64_t deadline, struct kept_output *kept,
                  struct mistake *mistake) {
    const uint64_t longest = command->may_go_on != NULL ? ASKED_MILLISECONDS : 60000;
    for (bool open = output >= 0;;) {
        uint64_t time = clock_nanoseconds(CLOCK_MONOTONIC);
        if (time >= deadline || (command->may_go_on != NULL && !command->may_go_on(command->context, mistake)))
            return false;
        uint64_t left = (deadline - time) / 1000000 + 1;
        struct pollfd polled[2] = {{.fd = process, .events = POLLIN}, {.fd = open ? output : -1, .events = POLLIN}};
        if (poll(polled, 2, left > longest ? (int)longest : (int)left) < 0 && errno != EINTR)
            return false;
        if (polled[1].revents != 0)
            open = keep_available(kept, output);
        if (polled[0].revents != 0)
            return true;
    }
}

/* The last line that is not empty. */
static void last_line(const struct command_result *result, char *line, size_t size) {
    size_t end = result->output_size;
    while (end > 0 && strchr("\n\r \t", result->output[end - 1]) != NULL)
        end--;
    size_t begin = end;
    while (begin > 0 && result->output[begin - 1] != '\n')
        begin--;
    snprintf(line, size, "%s%.*s", end > begin ? ": " : "", (int)(end - begin < 300 ? end - begin : 300),
             result->output + begin);
}

static bool judge(const struct command *command, const struct command_result *result, const char *report,
                  struct mistake *mistake) {
    const char *name = command->arguments[0];
    char line[320];
    last_line(result, line, sizeof line);
    if (report[0] != '\0')
        return text_mistake(mistake, 0, "%s", report);
    if (result->timed_out)
        return text_mistake(mistake, 0, "\"%s\" was killed: it still ran after %u s%s", name, command->timeout_seconds,
                            line);
    if (WIFSIGNALED(result->status))
        return text_mistake(mistake, 0, "\"%s\" was ended by signal %d (%s)%s", name, WTERMSIG(result->status),
                            strsignal(WTERMSIG(result->status)), line);
    if (WEXITSTATUS(result->status) != 0)
        return text_mistake(mistake, 0, "\"%s\" ended with status %d%s", name, WEXITSTATUS(result->status), line);
    return true;
}

static bool kill_marked(int64_t incident, uint64_t since, struct mistake *mistake);

/* The process has ended, or its time is over: ends it and its group. */
static void finish(const struct command *command, pid_t process, uint64_t started, struct command_result *result) {
    struct rusage usage = {.ru_maxrss = 0};
    if (result->timed_out && command->incident != 0) {
        struct mistake ignored;
        kill_marked(command->incident, started, &ignored);
    }
    if (!command->service || result->timed_out)
        kill(-process, SIGKILL);
    while (wait4(process, &result->status, 0, &usage) < 0 && errno == EINTR)
        continue;
    result->memory = (uint64_t)usage.ru_maxrss * 1024;
    if (command->incident != 0)
        groups_give_back();
}

static bool run(const struct command *command, struct command_result *result, struct mistake *mistake) {
    *result = (struct command_result){.output = xstrdup("")};
    int output[2], report[2];
    if (!open_output(command, output))
        return text_mistake(mistake, 0, "cannot make a place for the output of \"%s\": %s", command->arguments[0],
                            strerror(errno));
    cleanup_fd int output_read = output[0], output_write = output[1];
    if (pipe2(report, O_CLOEXEC | O_NONBLOCK) != 0)
        return text_mistake(mistake, 0, "cannot make a pipe: %s", strerror(errno));
    cleanup_fd int report_read = report[0], report_write = report[1];
    cleanup_fd int input = open_input(command->input);
    if (input < 0)
        return text_mistake(mistake, 0, "cannot make the input of \"%s\": %s", command->arguments[0], strerror(errno));

    uint64_t begun = clock_nanoseconds(CLOCK_MONOTONIC);
    struct start start = {command, getpid(), input, output_write, report_write};
    pid_t process = fork();
    if (process == 0)
        child_run(&start);
    if (process < 0)
        return text_mistake(mistake, 0, "cannot start \"%s\": %s", command->arguments[0], strerror(errno));
    cleanup_fd int handle = pidfd_open(process, 0);
    uint64_t started = 0;
    process_start(process, &started);
    if (!command->service)
        close(steal_fd(&output_write));
    close(steal_fd(&report_write));

    struct kept_output *kept = xcalloc(1, sizeof *kept);
    struct mistake stopped = {.line = 0};
    uint64_t deadline = begun + command->timeout_seconds * 1000000000ull;
    result->timed_out = !watch(command, handle, output_read, deadline, kept, &stopped);
    finish(command, process, started, result);
    result->nanoseconds = clock_nanoseconds(CLOCK_MONOTONIC) - begun;
    if (command->service)
        keep_written(kept, output_write);
    else
        keep_available(kept, output_read);
    free(result->output);
    output_finish(kept, result);
    free(kept);

    char text[sizeof mistake->text] = "";
    ssize_t got = read(report_read, text, sizeof text - 1);
    text[got > 0 ? got : 0] = '\0';
    return stopped.text[0] != '\0' ? text_mistake(mistake, 0, "%s", stopped.text)
                                   : judge(command, result, text, mistake);
}

/* What the last mistake was cut short by is said with it. */
static bool cut_short(struct mistake *mistake) {
    const struct mistake why = *mistake;
    return text_mistake(mistake, 0, "%s: the patch has taken all the time that one may (time_limit)", why.text);
}

bool command_run(const struct command *command, struct command_result *result, struct mistake *mistake) {
    struct command limited = *command;
    limited.timeout_seconds = command_seconds(command->timeout_seconds);
    if (limited.timeout_seconds == 0) {
        *result = (struct command_result){.output = xstrdup(""), .timed_out = true};
        text_mistake(mistake, 0, "\"%s\" was not started", command->arguments[0]);
        return cut_short(mistake);
    }
    if (run(&limited, result, mistake))
        return true;
    return result->timed_out && limited.timeout_seconds < command->timeout_seconds ? cut_short(mistake) : false;
}

void command_result_free(struct command_result *result) {
    free(result->output);
    *result = (struct command_result){.status = 0};
}

/* ---- what a helper that was killed has left behind ---- */

static bool is_marked(pid_t process, const char *mark) {
    size_t size = 0;
    cleanup_free char *environment = process_bytes(process, "environ", ENVIRONMENT_MOST, &size);
    if (environment == NULL)
        return false;
    for (size_t at = 0; at < size; at += strlen(environment + at) + 1)
        if (strcmp(environment + at, mark) == 0)
            return true;
    return false;
}

/* An environment is memory of the process, which may have laid a file there that never answers: those of other users of
 * this machine are not looked at. What we started is in a stage, or root's. */
static bool may_be_ours(pid_t process) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d", process);
    return process_shares(process, PROCESS_OURS, "ns/user") && stat(path, &status) == 0 &&
           (status.st_uid == geteuid() || !process_shares(process, PROCESS_OURS, "ns/mnt"));
}

/* Kills the marked processes that began at `since` or later; returns how many there were. */
static unsigned kill_once(const char *mark, uint64_t since) {
    unsigned found = 0;
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10);
        if (process <= 0 || process == getpid())
            continue;
        uint64_t start;
        cleanup_fd int handle = pidfd_open(process, 0);
        if (handle < 0 || !may_be_ours(process) || !is_marked(process, mark) || !process_start(process, &start) ||
            start < since)
            continue;
        pidfd_send_signal(handle, SIGKILL, NULL, 0);
        found++;
    }
    if (processes != NULL)
        closedir(processes);
    return found;
}

static bool kill_marked(int64_t incident, uint64_t since, struct mistake *mistake) {
    cleanup_free char *mark = mark_of(incident);
    for (uint64_t deadline = clock_nanoseconds(CLOCK_MONOTONIC) + KILL_SECONDS * 1000000000ull;
         clock_nanoseconds(CLOCK_MONOTONIC) < deadline;) {
        if (kill_once(mark, since) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return text_mistake(mistake, 0,
                        "processes with %s in their environment are still there %d s after they were killed", mark,
                        KILL_SECONDS);
}

bool command_kill_marked(int64_t incident, struct mistake *mistake) {
    return kill_marked(incident, 0, mistake);
}
