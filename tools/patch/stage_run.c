/* The inside of a stage, as a command in it sees it. Maintainer scripts come with a package that somebody signed, but
 * what runs them (shell, dpkg, libraries) is the target's own and may be hostile: nothing outside of the stage can be
 * reached from it, no device, no kernel setting, no process, no mount.
 */
#include "tools/patch/stage_run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/confine.h"

#define RESOLVER "/etc/resolv.conf"
#define RESOLVER_MOST 65536
#define CAPABILITY(number) (UINT64_C(1) << (number))

/* What installing needs. Not CAP_DAC_READ_SEARCH, by which files are opened past every directory; not
 * CAP_SYS_ADMIN; not CAP_MKNOD: what is made here is committed. */
static const uint64_t stage_capabilities =
    CAPABILITY(CAP_CHOWN) | CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_FOWNER) | CAPABILITY(CAP_FSETID) |
    CAPABILITY(CAP_KILL) | CAPABILITY(CAP_SETGID) | CAPABILITY(CAP_SETUID) | CAPABILITY(CAP_SETPCAP) |
    CAPABILITY(CAP_NET_BIND_SERVICE) | CAPABILITY(CAP_SYS_CHROOT) | CAPABILITY(CAP_AUDIT_WRITE) |
    CAPABILITY(CAP_SETFCAP) | CAPABILITY(CAP_IPC_OWNER);

/* Files that a command sees in place of the target's own. */
struct cover {
    const char *path; /* in the stage */
    const char *tool; /* in the scratch directory's tools */
    bool online;      /* only with network, and where the target has nothing there */
    bool make;        /* also where the target has no such file */
};
static const struct cover covers[] = {
    {"/usr/sbin/policy-rc.d", "policy-rc.d", false, true}, /* services are neither started nor stopped */
    {"/etc/ld.so.preload", "nothing", false, false},
    {RESOLVER, "resolv.conf", true, true},
};
#define COVERS (sizeof covers / sizeof *covers)

struct inside {
    const struct stage *stage;
    enum stage_network network;
    bool made[COVERS]; /* an empty file, that something can be mounted over: goes away afterwards */
};

/* ---- covers ---- */

static bool write_tool(const struct stage *stage, const char *name, mode_t mode, const char *text, size_t size) {
    cleanup_free char *path = xasprintf("%s/tools/%s", stage->scratch, name);
    return atomic_file_write(path, mode, text, size);
}

bool stage_prepare_tools(const struct stage *stage, struct mistake *mistake) {
    static const char refuse[] = "#!/bin/sh\nexit 101\n";
    size_t size = 0;
    cleanup_free char *resolver = file_read(RESOLVER, RESOLVER_MOST, &size);
    if (!write_tool(stage, "policy-rc.d", 0755, refuse, strlen(refuse)) || !write_tool(stage, "nothing", 0644, "", 0) ||
        !write_tool(stage, "resolv.conf", 0644, resolver != NULL ? resolver : "", size))
        return text_mistake(mistake, 0, "cannot write to \"%s/tools\": %s", stage->scratch, strerror(errno));
    return true;
}

static bool has_content(int root, const char *path) {
    struct stat status;
    cleanup_fd int fd = root_openat(root, path, O_RDONLY, 0);
    return fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
}

static bool is_wanted(const struct cover *cover, const struct inside *inside, int root) {
    return !cover->online || (inside->network == STAGE_ONLINE && !has_content(root, cover->path));
}

/* Makes the files that are to be mounted over. */
static void make_points(struct inside *inside) {
    for (size_t i = 0; i < COVERS; i++) {
        const char *name;
        cleanup_fd int parent = root_parent(inside->stage->root, covers[i].path, &name);
        if (parent < 0 || !covers[i].make || !is_wanted(&covers[i], inside, inside->stage->root))
            continue;
        cleanup_fd int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        inside->made[i] = fd >= 0;
    }
}

static void remove_points(const struct inside *inside) {
    for (size_t i = 0; i < COVERS; i++) {
        const char *name;
        struct stat status;
        cleanup_fd int parent = inside->made[i] ? root_parent(inside->stage->root, covers[i].path, &name) : -1;
        if (parent >= 0 && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
            status.st_size == 0)
            unlinkat(parent, name, 0);
    }
}

/* A link into /run, which is empty here: the file is made where it leads. */
static void make_linked_resolver(const struct stage *stage, int root) {
    char link[4097];
    cleanup_fd int etc = root_openat(root, "/etc", O_PATH | O_DIRECTORY, 0);
    ssize_t length = etc >= 0 ? readlinkat(etc, "resolv.conf", link, sizeof link - 1) : -1;
    if (length < 0)
        return;
    link[length] = '\0';
    char *path = strncmp(link, "../run/", 7) == 0 ? link + 2 : link;
    if (strncmp(path, "/run/", 5) != 0 || !path_is_plain(path))
        return;
    for (char *slash = path + 4; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        const char *name;
        cleanup_fd int run = root_openat(root, "/run", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
        cleanup_free char *below = xstrdup(path + 4);
        cleanup_fd int parent = root_parent(run, below, &name);
        if (parent >= 0)
            mkdirat(parent, name, 0755);
    }
    size_t size = 0;
    cleanup_free char *tool = xasprintf("%s/tools/resolv.conf", stage->scratch);
    cleanup_free char *text = file_read(tool, RESOLVER_MOST, &size);
    cleanup_fd int fd = root_openat(root, path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd >= 0 && text != NULL && write(fd, text, size) < 0)
        return;
}

static bool cover_all(const struct inside *inside, int root, struct mistake *mistake) {
    if (inside->network == STAGE_ONLINE && !has_content(root, RESOLVER))
        make_linked_resolver(inside->stage, root);
    for (size_t i = 0; i < COVERS; i++) {
        struct stat status;
        cleanup_fd int point = root_openat(root, covers[i].path, O_PATH, 0);
        if (point < 0 || !is_wanted(&covers[i], inside, root) || fstat(point, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        cleanup_free char *tool = xasprintf("%s/tools/%s", inside->stage->scratch, covers[i].tool);
        cleanup_fd int tree = open_tree(AT_FDCWD, tool, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (tree < 0 || move_mount(tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
            return text_mistake(mistake, 0, "cannot cover \"%s\" in the stage: %s", covers[i].path, strerror(errno));
    }
    return true;
}

/* ---- file systems of its own ---- */

struct fresh {
    const char *name, *type;
    unsigned long flags;
    const char *options;
};

/* A directory of the stage's root, made if need be, with a file system mounted on it; returns a descriptor of that. */
static int mount_at(int parent, const struct fresh *fresh) {
    char path[32];
    if (mkdirat(parent, fresh->name, 0755) != 0 && errno != EEXIST)
        return -1;
    cleanup_fd int point = openat(parent, fresh->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (point < 0)
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", point);
    if (mount(fresh->type, path, fresh->type, fresh->flags, fresh->options) != 0)
        return -1;
    return openat(parent, fresh->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool bind_device(int devices, const char *name) {
    cleanup_free char *ours = xasprintf("/dev/%s", name);
    cleanup_fd int file = openat(devices, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    cleanup_fd int point = openat(devices, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    cleanup_fd int tree = open_tree(AT_FDCWD, ours, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return file >= 0 && point >= 0 && tree >= 0 &&
           move_mount(tree, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

static bool make_devices(int root) {
    static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const links[][2] = {{"/proc/self/fd", "fd"},
                                           {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"},
                                           {"/proc/self/fd/2", "stderr"},
                                           {"pts/ptmx", "ptmx"}};
    cleanup_fd int dev = mount_at(root, &(struct fresh){"dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=1m"});
    if (dev < 0)
        return false;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (!bind_device(dev, devices[i]))
            return false;
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlinkat(links[i][0], dev, links[i][1]) != 0)
            return false;
    cleanup_fd int pts =
        mount_at(dev, &(struct fresh){"pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"});
    cleanup_fd int shm = mount_at(dev, &(struct fresh){"shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=64m"});
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", dev);
    return pts >= 0 && shm >= 0 &&
           mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) == 0;
}

/* Nothing in /proc can be written: by core_pattern and sysrq-trigger, root gets out. */
static bool mount_all(int root) {
    cleanup_fd int proc =
        mount_at(root, &(struct fresh){"proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL});
    cleanup_fd int run = mount_at(root, &(struct fresh){"run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m"});
    cleanup_fd int tmp = mount_at(root, &(struct fresh){"tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1g"});
    return proc >= 0 && run >= 0 && tmp >= 0 && mkdirat(run, "lock", 0755) == 0 &&
           fchmodat(run, "lock", 01777, 0) == 0 && make_devices(root);
}

static bool start_loopback(void) {
    cleanup_fd int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

/* ---- the first process ---- */

/* Takes care of orphans, and ends with the command; everything in the stage ends with it. */
static _Noreturn void first_process(pid_t command) {
    for (;;) {
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        if (ended == command)
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        if (ended < 0 && errno != EINTR)
            _exit(127);
    }
}

static bool change_root(const struct inside *inside, struct mistake *mistake) {
    cleanup_fd int root = open(inside->stage->merged, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || !mount_all(root))
        return text_mistake(mistake, 0, "cannot mount /proc, /dev, /run and /tmp in the stage: %s", strerror(errno));
    if (!cover_all(inside, root, mistake))
        return false;
    if (fchdir(root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return text_mistake(mistake, 0, "cannot make the stage the root directory: %s", strerror(errno));
    return true;
}

/* Where memory runs out, it is not to be the system's, nor the target's. */
static void first_to_be_killed(void) {
    cleanup_fd int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    ssize_t ignored = fd >= 0 ? write(fd, "1000", 4) : 0;
    (void)ignored;
}

/* Online is the target's own network: its root may use that anyway. Where that is ours, local sockets are kept from it:
 * behind their names are services that take root's word. */
static bool enter(void *context, struct mistake *mistake) {
    const struct inside *inside = context;
    bool offline = inside->network == STAGE_OFFLINE;
    first_to_be_killed();
    if (!offline && !target_enter_network(inside->stage->target, mistake))
        return false;
    if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | (offline ? CLONE_NEWNET : 0)) != 0)
        return text_mistake(mistake, 0, "cannot make the namespaces of the stage: %s", strerror(errno));
    if (!command_continue_in_child(mistake) || !change_root(inside, mistake))
        return false;
    if (offline && !start_loopback())
        return text_mistake(mistake, 0, "cannot start the loopback device of the stage: %s", strerror(errno));
    pid_t command = fork();
    if (command < 0)
        return text_mistake(mistake, 0, "cannot start a process in the stage: %s", strerror(errno));
    if (command > 0)
        first_process(command);
    if (!confine_calls(offline ? CONFINE_STAGE : CONFINE_SOCKETS))
        return text_mistake(mistake, 0, "cannot filter the system calls of the stage: %s", strerror(errno));
    if (!capabilities_limit(stage_capabilities))
        return text_mistake(mistake, 0, "cannot give up capabilities: %s", strerror(errno));
    return true;
}

#define DISK_LARGE (UINT64_C(4) << 30)
#define DISK_MARGIN (UINT64_C(256) << 20)

/* The journal is on the same file system, and with no room for it the helper ends: what runs in a stage may not fill
 * it. A small one, which may be the stage's alone, is left to fill. */
static bool leaves_room(void *context, struct mistake *mistake) {
    const struct inside *inside = context;
    struct statvfs system;
    if (statvfs(inside->stage->scratch, &system) != 0 || (uint64_t)system.f_blocks * system.f_frsize < DISK_LARGE ||
        (uint64_t)system.f_bavail * system.f_frsize >= DISK_MARGIN)
        return true;
    return text_mistake(mistake, 0, "the file system of \"%s\" has less than %u MiB free: make room",
                        inside->stage->scratch, (unsigned)(DISK_MARGIN >> 20));
}

bool stage_run(const struct stage *stage, const struct command *command, enum stage_network network,
               struct command_result *result, struct mistake *mistake) {
    struct inside inside = {.stage = stage, .network = network};
    struct command entering = *command;
    entering.enter = enter;
    entering.context = &inside;
    entering.may_go_on = leaves_room;
    make_points(&inside);
    bool good = command_run(&entering, result, mistake);
    remove_points(&inside);
    return good;
}
