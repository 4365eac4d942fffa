/* See descriptor.h. */
#include "preload/descriptor.h"

#include <asm/stat.h>
#include <linux/fcntl.h>

#include "preload/raw.h"

#define HIGH_DESCRIPTOR 57 /* above what programs count on; from 64 on the kernel must enlarge a table */

int descriptor_move_high(int number) {
    for (int lowest = HIGH_DESCRIPTOR; lowest > 10; lowest /= 2) {
        long high = raw(__NR_fcntl, number, F_DUPFD_CLOEXEC, lowest);
        if (!raw_failed(high)) {
            raw(__NR_close, number);
            return (int)high;
        }
    }
    return number;
}

struct kept_descriptor descriptor_keep(int number) {
    struct kept_descriptor kept = {.number = number};
    struct stat status = {0};
    if (raw(__NR_fstat, number, &status) == 0) {
        kept.device = status.st_dev;
        kept.inode = status.st_ino;
    }
    return kept;
}

bool descriptor_is_kept(const struct kept_descriptor *kept, struct stat *status) {
    return kept->number >= 0 && raw(__NR_fstat, kept->number, status) == 0 && status->st_dev == kept->device &&
           status->st_ino == kept->inode;
}
