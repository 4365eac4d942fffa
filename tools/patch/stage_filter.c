/* A filter of system calls (seccomp) for what runs in a stage. Root there has few capabilities, and would get the others
 * back in a user namespace of its own; key rings, BPF programs and the like belong to no namespace. Installing packages
 * needs none of these.
 */
#include "tools/patch/stage_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPACES \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)
#define OTHER_ABI 0x40000000u /* x32 */

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
/* Skips the next instruction unless the condition holds. */
#define IF(condition, value) BPF_JUMP(BPF_JMP | (condition) | BPF_K, (value), 0, 1)
#define REFUSE_CALL(number) IF(BPF_JEQ, number), REFUSE(EPERM)

static struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    REFUSE(ENOSYS),
    LOAD(nr),
    IF(BPF_JGE, OTHER_ABI),
    REFUSE(ENOSYS),
    /* Its flags are in memory, where they could change after a look at them: libraries go on with clone. */
    IF(BPF_JEQ, SYS_clone3),
    REFUSE(ENOSYS),
    REFUSE_CALL(SYS_unshare),
    REFUSE_CALL(SYS_setns),
    REFUSE_CALL(SYS_mount),
    REFUSE_CALL(SYS_umount2),
    REFUSE_CALL(SYS_pivot_root),
    REFUSE_CALL(SYS_open_tree),
    REFUSE_CALL(SYS_move_mount),
    REFUSE_CALL(SYS_fsopen),
    REFUSE_CALL(SYS_fsmount),
    REFUSE_CALL(SYS_mount_setattr),
    REFUSE_CALL(SYS_keyctl),
    REFUSE_CALL(SYS_add_key),
    REFUSE_CALL(SYS_request_key),
    REFUSE_CALL(SYS_bpf),
    REFUSE_CALL(SYS_perf_event_open),
    REFUSE_CALL(SYS_userfaultfd),
    REFUSE_CALL(SYS_io_uring_setup),
    REFUSE_CALL(SYS_open_by_handle_at),
    REFUSE_CALL(SYS_init_module),
    REFUSE_CALL(SYS_finit_module),
    REFUSE_CALL(SYS_delete_module),
    REFUSE_CALL(SYS_kexec_load),
    REFUSE_CALL(SYS_kexec_file_load),
    REFUSE_CALL(SYS_reboot),
    REFUSE_CALL(SYS_swapon),
    REFUSE_CALL(SYS_swapoff),
    REFUSE_CALL(SYS_settimeofday),
    REFUSE_CALL(SYS_clock_settime),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
    ALLOW,
    LOAD(args[0]),
    IF(BPF_JSET, SPACES),
    REFUSE(EPERM),
    ALLOW,
};

bool stage_filter(void) {
    struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
