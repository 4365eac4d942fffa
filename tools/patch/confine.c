/* Filters of system calls. Keys, kernel programs, faults of others, and namespaces of one's own making are kept from
 * whoever runs in a target: a container's own filter does not come with its namespaces, and root is root for them all.
 */
#include "tools/patch/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/command.h"
#include "tools/patch/target.h"

/* Of the first argument. */
enum test {
    ALWAYS,
    ANY_BIT,
    EQUAL,
};

/* A call by its numbers for programs of 64 and of 32 bits; -1: there is none. */
struct rule {
    enum confinement from;
    int number, number_32;
    enum test test;
    uint32_t value;
};

#define SPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define STAGE(call) \
    { CONFINE_STAGE, SYS_##call, -1, ALWAYS, 0 }

/* clone3 keeps its flags in memory, where they could change after a look at them: it does not exist, and libraries go on
 * with clone. In a user namespace of its own root gets back what capabilities it lacks. */
static const struct rule rules[] = {
    {CONFINE_TARGET, SYS_add_key, 286, ALWAYS, 0}, /* key rings are a user's, in whatever container */
    {CONFINE_TARGET, SYS_request_key, 287, ALWAYS, 0},
    {CONFINE_TARGET, SYS_keyctl, 288, ALWAYS, 0},
    {CONFINE_TARGET, SYS_bpf, 357, ALWAYS, 0},
    {CONFINE_TARGET, SYS_perf_event_open, 336, ALWAYS, 0},
    {CONFINE_TARGET, SYS_userfaultfd, 374, ALWAYS, 0},
    {CONFINE_TARGET, SYS_io_uring_setup, 425, ALWAYS, 0}, /* makes calls that no filter sees */
    {CONFINE_TARGET, SYS_unshare, 310, ANY_BIT, CLONE_NEWUSER},
    {CONFINE_TARGET, SYS_clone, 120, ANY_BIT, CLONE_NEWUSER},
    {CONFINE_TARGET, SYS_socket, 359, EQUAL, AF_VSOCK}, /* reaches the machine below, from whatever network */
    STAGE(unshare),
    STAGE(setns),
    STAGE(mount),
    STAGE(umount2),
    STAGE(pivot_root),
    STAGE(open_tree),
    STAGE(move_mount),
    STAGE(fsopen),
    STAGE(fsmount),
    STAGE(mount_setattr),
    STAGE(open_by_handle_at),
    STAGE(init_module),
    STAGE(finit_module),
    STAGE(delete_module),
    STAGE(kexec_load),
    STAGE(kexec_file_load),
    STAGE(reboot),
    STAGE(swapon),
    STAGE(swapoff),
    STAGE(settimeofday),
    STAGE(clock_settime),
    {CONFINE_STAGE, SYS_clone, -1, ANY_BIT, SPACES},
    {CONFINE_SOCKETS, SYS_socket, -1, EQUAL, AF_UNIX},
};

#define STEPS_MOST 256
#define OTHER_ABI 0x40000000u /* x32 */

struct filter {
    struct sock_filter steps[STEPS_MOST];
    unsigned short count;
};

/* A jump that is not taken goes on with the next step; one that is, `skipped` further. */
static void add(struct filter *filter, uint16_t code, uint32_t value, uint8_t skipped_if, uint8_t skipped_if_not) {
    filter->steps[filter->count++] = (struct sock_filter){code, skipped_if, skipped_if_not, value};
}

static void add_load(struct filter *filter, size_t member) {
    add(filter, BPF_LD | BPF_W | BPF_ABS, (uint32_t)member, 0, 0);
}

static void add_answer(struct filter *filter, uint32_t answer) {
    add(filter, BPF_RET | BPF_K, answer, 0, 0);
}

static void add_rule(struct filter *filter, int number, enum test test, uint32_t value, uint32_t error) {
    add_load(filter, offsetof(struct seccomp_data, nr));
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, test == ALWAYS ? 1 : 3);
    if (test != ALWAYS) {
        add_load(filter, offsetof(struct seccomp_data, args));
        add(filter, BPF_JMP | (test == EQUAL ? BPF_JEQ : BPF_JSET) | BPF_K, value, 0, 1);
    }
    add_answer(filter, SECCOMP_RET_ERRNO | error);
}

/* Each width of programs has a filter of its own, which lets the other pass. */
static void begin(struct filter *filter, uint32_t machine) {
    *filter = (struct filter){.count = 0};
    add_load(filter, offsetof(struct seccomp_data, arch));
    add(filter, BPF_JMP | BPF_JEQ | BPF_K, machine, 1, 0);
    add_answer(filter, SECCOMP_RET_ALLOW);
}

static bool install(struct filter *filter) {
    add_answer(filter, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {filter->count, filter->steps};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool confine_wide(enum confinement confinement) {
    struct filter filter;
    begin(&filter, AUDIT_ARCH_X86_64);
    add_load(&filter, offsetof(struct seccomp_data, nr));
    add(&filter, BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI, 0, 1);
    add_answer(&filter, SECCOMP_RET_ERRNO | ENOSYS);
    add_rule(&filter, SYS_clone3, ALWAYS, 0, ENOSYS);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].from <= confinement)
            add_rule(&filter, rules[i].number, rules[i].test, rules[i].value, EPERM);
    return install(&filter);
}

static bool confine_narrow(enum confinement confinement) {
    struct filter filter;
    begin(&filter, AUDIT_ARCH_I386);
    if (confinement >= CONFINE_STAGE)
        add_answer(&filter, SECCOMP_RET_ERRNO | ENOSYS);
    add_rule(&filter, 435, ALWAYS, 0, ENOSYS);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i].from <= confinement && rules[i].number_32 >= 0)
            add_rule(&filter, rules[i].number_32, rules[i].test, rules[i].value, EPERM);
    return install(&filter);
}

bool confine_calls(enum confinement confinement) {
    return confine_wide(confinement) && confine_narrow(confinement);
}

/* ---- readers ---- */

#define READER_MEMORY (UINT64_C(8) << 30)
#define READER_FILE (UINT64_C(1) << 30)

/* All mounts are made read-only in a namespace of its own, and `writable` is laid over itself without that. */
static bool make_read_only(const char *writable) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return false;
    cleanup_fd int tree = open_tree(AT_FDCWD, writable, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    return tree >= 0 && mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &attributes, sizeof attributes) == 0 &&
           move_mount(tree, "", AT_FDCWD, writable, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

bool confine_reader(const char *writable, struct mistake *mistake) {
    const struct rlimit memory = {READER_MEMORY, READER_MEMORY}, file = {READER_FILE, READER_FILE};
    if (make_read_only(writable) && unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC) == 0 && chdir("/") == 0 &&
        setrlimit(RLIMIT_AS, &memory) == 0 && setrlimit(RLIMIT_FSIZE, &file) == 0 && confine_calls(CONFINE_SOCKETS) &&
        capabilities_limit(0) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
        return command_continue_in_child(mistake);
    return text_mistake(mistake, 0, "cannot confine the program: %s", strerror(errno));
}
