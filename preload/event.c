/* See event.h. The datagram is put together in the thread's slot. */
#include "preload/event.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <linux/time.h>

#include "preload/counts.h"
#include "preload/descriptor.h"
#include "preload/filter.h"
#include "preload/libc.h"
#include "preload/log.h"
#include "preload/raw.h"
#include "preload/state.h"
#include "runtime/event.h"

#define SOCKET_UNIX 1
#define SOCKET_DATAGRAM 2
#define SOCKET_CLOEXEC 02000000
#define SOCKET_NONBLOCK 04000

struct unix_address {
    uint16_t family;
    char path[EVENT_SOCKET_BYTES];
};

/* ---- the socket ---- */

static bool directory_is_there(const char *path) {
    char directory[EVENT_SOCKET_BYTES];
    struct stat status = {0};
    size_t length = strlen(path);
    while (length > 1 && path[length] != '/')
        length--;
    memcpy(directory, path, length);
    directory[length] = '\0';
    return raw(__NR_stat, directory, &status) == 0;
}

static long make_socket(void) {
    return raw(__NR_socket, SOCKET_UNIX, SOCKET_DATAGRAM | SOCKET_CLOEXEC | SOCKET_NONBLOCK, 0);
}

static bool connect_to(int descriptor, const char *path) {
    struct unix_address address = {.family = SOCKET_UNIX};
    memcpy(address.path, path, strlen(path) + 1);
    return raw(__NR_connect, descriptor, &address, sizeof address) == 0;
}

bool event_open(struct state *state, const char *path) {
    state->event_socket.number = -1;
    if (path != NULL && *path == '\0')
        return true; /* no events */
    if (path != NULL && (*path != '/' || strlen(path) >= EVENT_SOCKET_BYTES))
        return false;
    if (path == NULL && !directory_is_there(EVENT_SOCKET))
        return true;
    state->event_path = path != NULL ? path : EVENT_SOCKET;
    long opened = make_socket();
    if (raw_failed(opened))
        return true; /* not a matter of the setting: the kernel or a filter refuses */
    state->event_socket = descriptor_keep(descriptor_move_high((int)opened));
    connect_to(state->event_socket.number, state->event_path); /* or later */
    return true;
}

/* ---- sending ---- */

static long write_event(const struct kept_descriptor *socket, const struct event *event) {
    struct stat status = {0};
    return descriptor_is_kept(socket, &status) ? raw(__NR_write, socket->number, event, sizeof *event) : -EBADF;
}

/* The program closed the descriptor, as daemons do. */
static void send_by_another_socket(const struct event *event) {
    struct stat status = {0};
    long opened = make_socket();
    if (raw_failed(opened))
        return;
    struct kept_descriptor socket = descriptor_keep((int)opened);
    if (descriptor_is_kept(&socket, &status) && connect_to(socket.number, STATE->event_path))
        write_event(&socket, event);
    if (descriptor_is_kept(&socket, &status))
        raw(__NR_close, socket.number);
}

/* A full queue is the listener's loss: the log has it all. */
static void send_event(const struct event *event) {
    if (STATE->event_path == NULL)
        return;
    long written = write_event(&STATE->event_socket, event);
    if (!raw_failed(written) || written == -EAGAIN || filter_is_set())
        return;
    if (written == -EBADF)
        send_by_another_socket(event);
    else if (connect_to(STATE->event_socket.number, STATE->event_path)) /* nobody listened then, or no more */
        write_event(&STATE->event_socket, event);
}

/* ---- filling in ---- */

/* NULL while the same thread is busy with another event: in a signal handler. A child's slot is free. */
static struct event *begin_event(struct thread_slot *slot, uint32_t flags) {
    struct timespec now = {0, 0};
    if (slot == NULL || __atomic_exchange_n(&slot->event_busy, 1, __ATOMIC_ACQUIRE) != 0)
        return NULL;
    struct event *event = &slot->event;
    memset(event, 0, sizeof *event);
    memcpy(event->magic, EVENT_MAGIC, sizeof event->magic);
    event->version = EVENT_VERSION;
    event->size = sizeof *event;
    event->flags = flags;
    event->pid = (uint32_t)raw(__NR_getpid);
    event->thread = (uint32_t)raw(__NR_gettid);
    raw(__NR_clock_gettime, 0, &now);
    event->time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    event->program = STATE->program;
    return event;
}

static void end_event(struct thread_slot *slot) {
    send_event(&slot->event);
    __atomic_store_n(&slot->event_busy, 0, __ATOMIC_RELEASE);
}

static void put_text(char *to, size_t size, const char *text) {
    for (size_t i = 0; i + 1 < size && text[i] != '\0'; i++)
        to[i] = text[i];
}

/* The end of a path says more than its beginning. */
static void put_path(char *to, const char *path) {
    size_t length = path != NULL ? strlen(path) : 0;
    if (length > 0)
        put_text(to, EVENT_PATH_BYTES, length < EVENT_PATH_BYTES ? path : path + length - (EVENT_PATH_BYTES - 1));
}

static void put_signature(struct event *event, const struct anomaly *anomaly) {
    const struct signature *signature = anomaly->signature;
    memcpy(event->signature, signature->digest, sizeof event->signature);
    event->top_count = signature->top_count;
    event->never_seen_count = signature->never_seen_count;
    event->never_seen_total = signature->never_seen_total;
    for (unsigned i = 0; i < signature->top_count; i++)
        put_text(event->top[i], EVENT_NAME_BYTES, anomaly->name(anomaly->context, signature->top[i]));
    for (unsigned i = 0; i < signature->never_seen_count; i++)
        put_text(event->never_seen[i], EVENT_NAME_BYTES, anomaly->name(anomaly->context, signature->never_seen[i]));
}

/* The calls that rose most, most first. */
static void put_risen(struct event *event, const struct anomaly *anomaly) {
    unsigned limit = RISE_FULL + 1, last = 0; /* what was put in last: rise and call */
    while (event->risen_count < EVENT_RISEN_MOST) {
        unsigned best = 0, best_call = 0;
        for (unsigned call = 0; call < anomaly->calls; call++) {
            unsigned rise = anomaly->rises[call];
            bool is_left = rise < limit || (rise == limit && call > last);
            if (is_left && rise > best) {
                best = rise;
                best_call = call;
            }
        }
        if (best == 0)
            return;
        put_text(event->risen[event->risen_count], EVENT_NAME_BYTES, anomaly->name(anomaly->context, best_call));
        event->rises[event->risen_count++] = (uint8_t)best;
        limit = best;
        last = best_call;
    }
}

void event_anomaly(const struct anomaly *anomaly, struct thread_slot *slot) {
    struct event *event = begin_event(slot, EVENT_ANOMALY);
    if (event == NULL)
        return;
    event->violations = anomaly->violations;
    if (event->violations > 0)
        event->flags |= EVENT_VIOLATION;
    put_path(event->path, STATE->program_path);
    event->interval = anomaly->interval;
    event->start = anomaly->start;
    event->length = anomaly->length;
    event->score = anomaly->score;
    event->threshold = anomaly->threshold;
    put_signature(event, anomaly);
    put_risen(event, anomaly);
    log_anomaly(event, slot);
    end_event(slot);
}

static void put_site(struct event *event, const struct call *call) {
    event->offset = call->registers->return_address;
    if (call->module == NULL)
        return;
    event->module = call->module->identity;
    event->offset -= call->module->bias;
    put_path(event->module_path, call->module->name[0] != '\0' ? call->module->name : STATE->program_path);
}

void event_violation(const struct call *call, const struct violation *violation, enum verdict verdict) {
    if (counts_source.page != NULL)
        __atomic_fetch_add(&counts_source.page->violations, 1, __ATOMIC_RELAXED);
    if (STATE->event_path == NULL)
        return;
    struct event *event =
        begin_event(call->slot, EVENT_VIOLATION | (verdict == VERDICT_KILL ? EVENT_KILLED : EVENT_DENIED));
    if (event == NULL)
        return;
    put_path(event->path, STATE->program_path);
    put_text(event->reason, sizeof event->reason, reason_text(violation->reason));
    put_text(event->api, sizeof event->api, call->api->name);
    put_site(event, call);
    end_event(call->slot);
}
