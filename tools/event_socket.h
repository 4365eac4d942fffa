/* The socket on which events arrive. Whoever may write to it may send anything. */
#ifndef PINION_TOOLS_EVENT_SOCKET_H
#define PINION_TOOLS_EVENT_SOCKET_H

#include <stdbool.h>
#include <sys/socket.h>

#include "runtime/event.h"

struct received {
    struct event event;  /* only to be looked at when there is no problem */
    const char *problem; /* why the datagram is no event that can be used, or NULL */
    struct ucred sender; /* the kernel's word on it; pid is 0 where it gave none */
};

/* PINION_EVENTS, else EVENT_SOCKET. */
const char *event_default_socket(void);

/* A descriptor that does not block. Only the default's directory is made; a socket that was left behind is replaced.
 * Ends the program with a message when it cannot listen there. */
int event_listen(const char *path);

/* False: there is none now. Descriptors that a sender passes along are never taken. */
bool event_receive(int listener, struct received *received);

#endif
