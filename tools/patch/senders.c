/* Token buckets: each event takes one, time gives them back. */
#include "tools/patch/senders.h"

#include <sys/stat.h>

#include "runtime/util.h"

#define USERS_OF_SPACE 8 /* a mount namespace may say as much as so many of its users */
#define SPACE_GONE 0
#define SPACE_FOREIGN 1

void senders_begin(struct senders *senders, unsigned events_per_minute) {
    *senders = (struct senders){.rate = events_per_minute / 60e9, .burst = events_per_minute};
}

static uint64_t number_of(pid_t process, const char *name) {
    cleanup_free char *path =
        process != 0 ? xasprintf("/proc/%d/ns/%s", (int)process, name) : xasprintf("/proc/self/ns/%s", name);
    struct stat status;
    return stat(path, &status) == 0 ? status.st_ino : SPACE_GONE;
}

/* Anybody can make user namespaces, and in them mount namespaces, as many as he likes: these are all one. */
static uint64_t space_of(pid_t process) {
    uint64_t user = number_of(process, "user");
    if (user != SPACE_GONE && user != number_of(0, "user"))
        return SPACE_FOREIGN;
    return number_of(process, "mnt");
}

static size_t places_of(const struct sender *items, uint64_t space) {
    size_t count = 0;
    for (size_t i = 0; i < SENDERS_MOST; i++)
        count += items[i].used && items[i].space == space;
    return count;
}

/* One of those whose space has most of them: who is many is so at his own cost. */
static struct sender *dearest(struct sender *items) {
    struct sender *found = items;
    size_t most = 0;
    for (struct sender *each = items; each < items + SENDERS_MOST; each++) {
        size_t count = places_of(items, each->space);
        if (count > most || (count == most && each->last < found->last)) {
            most = count;
            found = each;
        }
    }
    return found;
}

/* Its place; else a free one, or one that is full again and so not needed; else another's. */
static struct sender *find(struct sender *items, uint64_t space, uid_t user, double rate, double burst, uint64_t now) {
    struct sender *place = NULL;
    for (struct sender *each = items; each < items + SENDERS_MOST; each++) {
        if (each->used && each->space == space && each->user == user)
            return each;
        if (!each->used || each->tokens + (double)(now - each->last) * rate >= burst)
            place = each;
    }
    if (place == NULL)
        place = dearest(items);
    *place = (struct sender){.space = space, .user = user, .used = true, .tokens = burst, .last = now};
    return place;
}

static void fill(struct sender *place, double rate, double burst, uint64_t now) {
    place->tokens += (double)(now - place->last) * rate;
    place->last = now;
    if (place->tokens > burst)
        place->tokens = burst;
}

bool senders_may(struct senders *senders, const struct ucred *sender, uint64_t now) {
    uint64_t space = space_of(sender->pid);
    double rate = senders->rate * USERS_OF_SPACE, burst = senders->burst * USERS_OF_SPACE;
    struct sender *whole = find(senders->spaces, space, 0, rate, burst, now);
    struct sender *place = find(senders->items, space, sender->uid, senders->rate, senders->burst, now);
    fill(whole, rate, burst, now);
    fill(place, senders->rate, senders->burst, now);
    if (place->tokens < 1 || whole->tokens < 1)
        return false;
    place->tokens -= 1;
    whole->tokens -= 1;
    return true;
}
