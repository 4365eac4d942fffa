/* Token buckets: each event takes one, time gives them back. */
#include "tools/patch/senders.h"

#include <sys/stat.h>

#include "runtime/util.h"

void senders_begin(struct senders *senders, unsigned events_per_minute) {
    *senders = (struct senders){.rate = events_per_minute / 60e9, .burst = events_per_minute};
}

static uint64_t space_of(pid_t process) {
    cleanup_free char *path = xasprintf("/proc/%d/ns/mnt", (int)process);
    struct stat status;
    return stat(path, &status) == 0 ? status.st_ino : 0;
}

/* A free place, or one that is full again and so not needed; else the last. */
static struct sender *find(struct senders *senders, uint64_t space, uid_t user, uint64_t now) {
    struct sender *free_place = &senders->items[SENDERS_MOST - 1];
    for (struct sender *each = senders->items; each < senders->items + SENDERS_MOST - 1; each++) {
        if (each->used && each->space == space && each->user == user)
            return each;
        if (!each->used || each->tokens + (double)(now - each->last) * senders->rate >= senders->burst)
            free_place = each;
    }
    if (free_place != &senders->items[SENDERS_MOST - 1] || !free_place->used)
        *free_place =
            (struct sender){.space = space, .user = user, .used = true, .tokens = senders->burst, .last = now};
    return free_place;
}

bool senders_may(struct senders *senders, const struct ucred *sender, uint64_t now) {
    struct sender *place = find(senders, space_of(sender->pid), sender->uid, now);
    place->tokens += (double)(now - place->last) * senders->rate;
    place->last = now;
    if (place->tokens > senders->burst)
        place->tokens = senders->burst;
    if (place->tokens < 1)
        return false;
    place->tokens -= 1;
    return true;
}
