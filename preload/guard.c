/* Built-in rules: the memory that protects the process stays as it is. Sealed pages could otherwise be unsealed,
 * unmapped, zeroed (madvise) or written through /proc/self/mem. No policy loosens these rules.
 */
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "preload/check.h"
#include "preload/copy.h"
#include "preload/counts.h"
#include "preload/log.h"
#include "preload/paths.h"
#include "preload/state.h"

struct span {
    uint64_t low, high;
};

static bool overlaps(struct span a, uint64_t low, uint64_t high) {
    return low < high && a.low < high && low < a.high;
}

/* What the loader left read-only, and all of this library. A module may be going away, and its addresses have been given
 * to a new mapping: only the map is read, and the loader asked. */
static int module_overlaps(const struct mapped_module *module, void *context) {
    const struct span *span = context;
    if (!overlaps(*span, module->low, module->high) || (module->late && !module_is_loaded(module)))
        return 0;
    if (module->shim)
        return 1;
    for (unsigned i = 0; i < module->constant_count; i++)
        if (overlaps(*span, module->constant[i].low, module->constant[i].high))
            return 1;
    return 0;
}

static bool is_protected(uint64_t address, uint64_t length) {
    uint64_t end = address + length < address ? UINT64_MAX : address + length;
    if (end < UINT64_MAX - PAGE_BYTES)
        end = (end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    struct span span = {address & ~(uint64_t)(PAGE_BYTES - 1), end};
    uint64_t policy = (uint64_t)STATE->policy, modules = (uint64_t)STATE->modules;
    uint64_t counts = (uint64_t)counts_source.page;
    return overlaps(span, policy, policy + STATE->policy_bytes) ||
           overlaps(span, modules, modules + sizeof(struct module_map)) ||
           (counts != 0 && overlaps(span, counts, counts + sizeof(struct counts_page))) ||
           modules_visit(module_overlaps, &span) != 0;
}

static bool refuse(struct call *call) {
    return violate(call, &(struct violation){.reason = REASON_SELF_PROTECTION, .argument = -1, .built_in = true});
}

/* What leaves the contents of pages alone. Whatever future kernels bring is not in this list. */
static bool is_harmless(int advice) {
    switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_KEEPONFORK:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case 25: /* MADV_COLLAPSE */ return true;
    default: return false;
    }
}

static bool guard_vector(struct call *call, uint64_t vector, uint64_t count) {
    for (uint64_t i = 0; i < count && i < 1024; i++) {
        uint64_t entry[2];
        if (!read_bytes(entry, vector + 16 * i, sizeof entry))
            return true; /* the kernel will say EFAULT */
        if (is_protected(entry[0], entry[1]))
            return refuse(call);
    }
    return true;
}

bool guard_call(struct call *call) {
    const uint64_t *argument = call->arguments;
    bool harmful = false;
    switch (call->index) {
    case API_mmap:
        harmful =
            (argument[3] & MAP_FIXED) && !(argument[3] & MAP_FIXED_NOREPLACE) && is_protected(argument[0], argument[1]);
        break;
    case API_munmap:
    case API_mprotect:
    case API_pkey_mprotect: harmful = is_protected(argument[0], argument[1]); break;
    case API_mremap:
        harmful = is_protected(argument[0], argument[1] > 0 ? argument[1] : 1) ||
                  ((argument[3] & MREMAP_FIXED) && is_protected(argument[4], argument[2]));
        break;
    case API_madvise:
    case API_posix_madvise: harmful = !is_harmless((int)argument[2]) && is_protected(argument[0], argument[1]); break;
    case API_process_madvise: return is_harmless((int)argument[3]) || guard_vector(call, argument[1], argument[2]);
    case API_process_vm_writev: return guard_vector(call, argument[3], argument[4]);
    case API_shmat:
        harmful = argument[2] & 040000; /* SHM_REMAP: how far the segment would reach is not known here */
        break;
    default: break;
    }
    return !harmful || refuse(call);
}

/* The memory of a process: whose it is cannot be told without a race, and no program needs another's either. A file of
 * the policy directory: pages of a mapped policy follow their file. New files may be made there and take an old
 * one's name, which leaves the mapped one as it was. */
bool guard_path(struct call *call, unsigned argument, const char *path) {
    bool relative_to = argument > 0 && call->api->arguments[argument - 1].kind == KIND_DIRFD;
    int directory = relative_to ? (int)call->arguments[argument - 1] : AT_FDCWD;
    if (!path_is_guarded(directory, path))
        return true;
    return violate(call,
                   &(struct violation){
                       .reason = REASON_SELF_PROTECTION, .argument = (int)argument, .text = path, .built_in = true});
}
