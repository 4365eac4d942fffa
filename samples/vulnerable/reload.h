/* Starting anew without a gap. The packaged server executes the file of its program again at SIGHUP, and goes on with the same
 * socket: visitors who come in between wait in its queue. The ordinary one, built without -DPROGRAM, knows no such thing.
 */
#ifndef VULNERABLE_RELOAD_H
#define VULNERABLE_RELOAD_H

/* The socket that was handed on, or -1. From here on the signal waits for wait_for_visitor. */
int inherited_listener(void);
/* Returns when somebody has come. */
void wait_for_visitor(int listener);

#endif
