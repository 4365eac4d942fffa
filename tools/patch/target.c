/* The root that is patched. Its files belong to whoever owns the container, who may be hostile: no path is resolved
 * outside of it, nothing in it is opened but files and directories, and what runs in it has no more power than its own
 * processes have.
 */
#include "tools/patch/target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/confine.h"
#include "tools/patch/groups.h"
#include "tools/patch/proc.h"

/* ---- paths ---- */

static int open_how(int root, const char *path, int flags, mode_t mode, uint64_t resolve) {
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = resolve};
    if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE)
        how.mode = mode;
    /* EAGAIN: something on the way was renamed meanwhile. */
    for (int attempt = 0;; attempt++) {
        int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
        if (fd >= 0 || errno != EAGAIN || attempt == 100)
            return fd;
    }
}

static int reopen(int handle, int flags) {
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", handle);
    return open(path, (flags & ~(O_NOFOLLOW | O_EXCL)) | O_CLOEXEC);
}

int root_openat(int root, const char *path, int flags, mode_t mode) {
    uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    if (path[0] == '\0')
        path = "/";
    if ((flags & (O_PATH | O_DIRECTORY)) != 0)
        return open_how(root, path, flags, mode, resolve);
    cleanup_fd int handle = open_how(root, path, O_PATH | (flags & O_NOFOLLOW), 0, resolve);
    if (handle < 0 && errno == ENOENT && (flags & O_CREAT) != 0)
        return open_how(root, path, flags | O_EXCL, mode, resolve);
    struct stat status;
    if (handle < 0 || fstat(handle, &status) != 0)
        return -1;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0) {
        errno = EEXIST;
        return -1;
    }
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
        errno = S_ISLNK(status.st_mode) ? ELOOP : EINVAL;
        return -1;
    }
    return reopen(handle, flags & ~O_CREAT);
}

bool path_is_plain(const char *path) {
    if (path[0] != '/' || path[1] == '\0')
        return false;
    for (const char *at = path; *at != '\0';) {
        size_t length = strcspn(++at, "/");
        if (length == 0 || (at[0] == '.' && (length == 1 || (length == 2 && at[1] == '.'))))
            return false;
        at += length;
    }
    return true;
}

int root_parent(int root, const char *path, const char **name) {
    if (!path_is_plain(path)) {
        errno = EINVAL;
        return -1;
    }
    const char *slash = strrchr(path, '/');
    *name = slash + 1;
    cleanup_free char *parent = xstrndup(path + 1, slash == path ? 0 : (size_t)(slash - path) - 1);
    return open_how(root, parent[0] != '\0' ? parent : ".", O_PATH | O_DIRECTORY, 0,
                    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int target_openat(const struct target *target, const char *path, int flags, mode_t mode) {
    return root_openat(target->descriptor, path, flags, mode);
}

/* ---- what its own processes have ---- */

/* A command gets no more, or a program of the target that is started by us could do what it could not before. */
struct powers {
    uint64_t capabilities;
    bool no_new_privileges, filtered;
    char oom_score[16];
};

static bool read_powers(pid_t process, struct powers *powers) {
    cleanup_free char *status = process_text(process, "status");
    cleanup_free char *score = process_text(process, "oom_score_adj");
    *powers = (struct powers){.capabilities = 0};
    if (status == NULL || score == NULL)
        return false;
    powers->capabilities = strtoull(process_status(status, "\nCapBnd:"), NULL, 16);
    powers->no_new_privileges = strtoul(process_status(status, "\nNoNewPrivs:"), NULL, 10) != 0;
    powers->filtered = strtoul(process_status(status, "\nSeccomp:"), NULL, 10) != 0;
    snprintf(powers->oom_score, sizeof powers->oom_score, "%s", score);
    return true;
}

/* All of them together. False: none runs. */
static bool collect_powers(const struct target *target, struct powers *powers) {
    bool found = false, every = true;
    DIR *directory = opendir("/proc");
    for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        struct powers its;
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10);
        if (process <= 0 || !target_has(target, process) || !read_powers(process, &its))
            continue;
        found = true;
        every = every && its.no_new_privileges;
        powers->capabilities |= its.capabilities;
    }
    if (directory != NULL)
        closedir(directory);
    powers->no_new_privileges = found && every;
    return found;
}

/* ---- which root ---- */

static bool identify(struct target *target) {
    struct stat status;
    if (target->descriptor < 0 || fstat(target->descriptor, &status) != 0)
        return false;
    target->device = status.st_dev;
    target->inode = status.st_ino;
    return true;
}

/* As /proc names them, with the flags by which they are entered. */
static const struct {
    const char *name;
    int flag;
} namespaces[] = {{"ns/user", CLONE_NEWUSER},    {"ns/mnt", CLONE_NEWNS},  {"ns/pid", CLONE_NEWPID},
                  {"ns/net", CLONE_NEWNET},      {"ns/ipc", CLONE_NEWIPC}, {"ns/uts", CLONE_NEWUTS},
                  {"ns/cgroup", CLONE_NEWCGROUP}};

static int foreign_namespaces(pid_t process) {
    int flags = 0;
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++)
        if (!process_shares(process, PROCESS_OURS, namespaces[i].name))
            flags |= namespaces[i].flag;
    return flags;
}

static int open_mounts(pid_t process) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", process);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* What was read of /proc/PID before this is of that very process. */
static bool is_alive(const struct target *target) {
    return target->handle >= 0 && pidfd_send_signal(target->handle, 0, NULL, 0) == 0;
}

bool target_of_process(struct target *target, pid_t process, struct mistake *mistake) {
    *target = (struct target){
        .process = process, .root = xasprintf("/proc/%d/root", process), .handle = pidfd_open(process, 0)};
    target->mounts = open_mounts(process);
    target->descriptor = open(target->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!identify(target) || !is_alive(target)) {
        text_mistake(mistake, 0, "cannot see the root directory of process %d: %s%s", process, strerror(errno),
                     errno == EACCES || errno == EPERM ? "; run this as root with CAP_SYS_PTRACE" : "");
        target_close(target);
        return false;
    }
    struct stat ours;
    if (stat("/", &ours) == 0 && ours.st_dev == target->device && ours.st_ino == target->inode &&
        foreign_namespaces(process) == 0) {
        target->root[0] = '\0';
        target->process = 0;
    }
    return true;
}

bool target_of_directory(struct target *target, const char *directory, struct mistake *mistake) {
    *target =
        (struct target){.root = realpath(directory[0] != '\0' ? directory : "/", NULL), .descriptor = -1, .handle = -1};
    target->mounts = open_mounts(getpid());
    if (target->root != NULL)
        target->descriptor = open(target->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!identify(target)) {
        text_mistake(mistake, 0, "cannot use \"%s\" as a root directory: %s", directory, strerror(errno));
        target_close(target);
        return false;
    }
    if (strcmp(target->root, "/") == 0)
        target->root[0] = '\0';
    struct powers powers = {.capabilities = 0};
    target->was_inhabited = target->root[0] != '\0' && collect_powers(target, &powers);
    target->no_new_privileges = powers.no_new_privileges;
    target->capabilities = powers.capabilities;
    return true;
}

void target_close(struct target *target) {
    if (target->root != NULL && target->descriptor >= 0)
        close(target->descriptor);
    if (target->root != NULL && target->mounts >= 0)
        close(target->mounts);
    if (target->root != NULL && target->handle >= 0)
        close(target->handle);
    free(target->root);
    *target = (struct target){.descriptor = -1, .mounts = -1, .handle = -1};
}

bool target_has(const struct target *target, pid_t process) {
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/root", process);
    return stat(path, &status) == 0 && status.st_dev == target->device && status.st_ino == target->inode;
}

/* ---- running in it ---- */

bool capabilities_limit(uint64_t allowed) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];
    if (syscall(SYS_capget, &header, sets) != 0)
        return false;
    for (int number = 0; prctl(PR_CAPBSET_READ, number) >= 0; number++)
        if ((number >= 64 || (allowed >> number & 1) == 0) && prctl(PR_CAPBSET_READ, number) == 1 &&
            prctl(PR_CAPBSET_DROP, number) != 0)
            return false;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int i = 0; i < 2; i++) {
        uint32_t part = (uint32_t)(allowed >> (32 * i));
        sets[i].permitted &= part;
        sets[i].effective &= part;
        sets[i].inheritable = 0;
    }
    return syscall(SYS_capset, &header, sets) == 0;
}

struct entered {
    const struct target *target;
    struct powers powers;
    struct groups groups; /* devices are withheld from a container by these, not by its namespaces: without them,
                           * whatever device nodes its root has made would open */
};

/* A root directory without namespaces holds nobody who may do everything: its commands may do what its processes may, or
 * could when it was opened, as the only one may have been stopped since to be started again. Where none ran, what a service
 * needs, without what leads out of a root directory. */
static void read_powers_of_directory(const struct target *target, struct powers *powers) {
    static const int plain[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,           CAP_FSETID,      CAP_KILL,
                                CAP_SETGID, CAP_SETUID,       CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE, CAP_SETFCAP};
    *powers = (struct powers){.no_new_privileges = target->no_new_privileges, .capabilities = target->capabilities};
    if (target->was_inhabited || collect_powers(target, powers))
        return;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        powers->capabilities |= UINT64_C(1) << plain[i];
}

/* ---- going in ---- */

static bool enter_namespaces(const struct target *target, struct mistake *mistake) {
    int flags = foreign_namespaces(target->process);
    if (!is_alive(target) || (flags != 0 && setns(target->handle, flags) != 0))
        return text_mistake(mistake, 0, "cannot enter the namespaces of process %d: %s", target->process,
                            strerror(errno));
    if ((flags & CLONE_NEWUSER) != 0 && (setgroups(0, NULL) != 0 || setgid(0) != 0 || setuid(0) != 0))
        return text_mistake(mistake, 0, "cannot become root in the user namespace of process %d: %s", target->process,
                            strerror(errno));
    return true;
}

bool target_enter_network(const struct target *target, struct mistake *mistake) {
    if (target->process == 0 || process_shares(target->process, PROCESS_OURS, "ns/net"))
        return true;
    return setns(target->handle, CLONE_NEWNET) == 0 ||
           text_mistake(mistake, 0, "cannot enter the network of process %d: %s", target->process, strerror(errno));
}

/* Back to where this helper was before it made a stage: what is started now must not live in there. */
static bool leave_stage(const struct target *target, struct mistake *mistake) {
    struct stat now, before;
    if (stat("/proc/self/ns/mnt", &now) == 0 && fstat(target->mounts, &before) == 0 && now.st_ino == before.st_ino)
        return true;
    return setns(target->mounts, CLONE_NEWNS) == 0 ||
           text_mistake(mistake, 0, "cannot return to the mount namespace of \"%s/\": %s", target->root,
                        strerror(errno));
}

static void set_oom_score(const char *score) {
    cleanup_fd int fd = *score != '\0' ? open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC) : -1;
    ssize_t ignored = fd >= 0 ? write(fd, score, strlen(score)) : 0;
    (void)ignored;
}

/* All is given up before the first process is in the target's process namespace: who is there may look at it. */
static bool give_up(const struct powers *powers, struct mistake *mistake) {
    if ((!powers->filtered || confine_calls(CONFINE_TARGET)) && capabilities_limit(powers->capabilities) &&
        (!powers->no_new_privileges || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0))
        return true;
    return text_mistake(mistake, 0, "cannot give up capabilities: %s", strerror(errno));
}

static bool enter(void *context, struct mistake *mistake) {
    const struct entered *entered = context;
    const struct target *target = entered->target;
    set_oom_score(entered->powers.oom_score);
    if (!(target->process != 0 ? enter_namespaces(target, mistake) : leave_stage(target, mistake)))
        return false;
    if (fchdir(target->descriptor) != 0 || chroot(".") != 0)
        return text_mistake(mistake, 0, "cannot make \"%s\" the root directory: %s", target->root, strerror(errno));
    if (target->process == 0 && target->root[0] == '\0')
        return true;
    return give_up(&entered->powers, mistake) && (target->process == 0 || command_continue_in_child(mistake));
}

static bool look_at_target(struct entered *entered, struct mistake *mistake) {
    const struct target *target = entered->target;
    if (target->process == 0) {
        if (target->root[0] != '\0')
            read_powers_of_directory(target, &entered->powers);
        return true;
    }
    if (!groups_open(&entered->groups, target->process, mistake))
        return false;
    return (read_powers(target->process, &entered->powers) && is_alive(target)) ||
           text_mistake(mistake, 0, "process %d, by which the container is entered, has ended", target->process);
}

bool target_run(const struct target *target, const struct command *command, struct command_result *result,
                struct mistake *mistake) {
    struct command inside = *command;
    struct entered entered = {.target = target, .groups = {.count = 0}};
    *result = (struct command_result){.output = xstrdup("")};
    bool good = look_at_target(&entered, mistake);
    if (good) {
        inside.enter = enter;
        inside.context = &entered;
        if (target->process != 0)
            inside.groups = &entered.groups;
        command_result_free(result);
        good = command_run(&inside, result, mistake);
    }
    groups_close(&entered.groups);
    return good;
}

/* ---- other installers ---- */

static const char *const lock_files[TARGET_LOCKS] = {"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock",
                                                     "/var/lib/apt/lists/lock", "/lib/apk/db/lock"};

bool target_lock_packages(const struct target *target, struct target_lock *lock, struct mistake *mistake) {
    for (size_t i = 0; i < TARGET_LOCKS; i++)
        lock->descriptors[i] = -1;
    for (size_t i = 0; i < TARGET_LOCKS; i++) {
        int fd = target_openat(target, lock_files[i], O_RDWR | O_NOFOLLOW, 0);
        if (fd < 0 && errno == ENOENT)
            continue;
        lock->descriptors[i] = fd;
        /* Both kinds, as apk takes flock; these locks go with the descriptor, not with the process as fcntl's own do. */
        struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        if (fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            continue;
        text_mistake(mistake, 0, "cannot lock \"%s%s\": %s%s", target->root, lock_files[i], strerror(errno),
                     errno == EAGAIN || errno == EACCES ? "; another package manager is at work there: wait for it"
                                                        : "");
        target_unlock_packages(lock);
        return false;
    }
    return true;
}

void target_unlock_packages(struct target_lock *lock) {
    for (size_t i = 0; i < TARGET_LOCKS; i++)
        if (lock->descriptors[i] >= 0)
            close(steal_fd(&lock->descriptors[i]));
}
