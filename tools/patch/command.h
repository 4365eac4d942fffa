/* Running another program and waiting for it: bounded in time and in the output that is kept, with what it cost. The
 * one place where the patch helper starts programs. The command dies with this process.
 */
#ifndef PINION_TOOLS_PATCH_COMMAND_H
#define PINION_TOOLS_PATCH_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runtime/document.h"

#define COMMAND_OUTPUT_MOST 65536   /* bytes that are kept: the first and the last half of what was written */
#define COMMAND_MARK "PINION_PATCH" /* in the environment of every command: the incident's number, and whose it is */

struct groups;

/* For a program that runs on by itself: in a session of its own, with nothing more than another process had. */
struct command_identity {
    uid_t user;
    gid_t group;
    gid_t *groups;
    size_t group_count;
    bool no_new_privileges;
    char *directory; /* current directory, inside the root; the root where it cannot be entered */
    int outputs[2];  /* standard output and error; -1: none */
};

struct command {
    const char *const *arguments;   /* ends with NULL; the first is an absolute path, or is looked up in PATH of the
                                   * environment below, inside the root it runs in */
    const char *const *environment; /* ends with NULL; NULL: PATH, HOME=/root, LC_ALL=C.UTF-8 alone. Ours is never
                                     * handed on: it may hold LD_PRELOAD and secrets */
    const char *input;              /* what it reads on standard input, or NULL for nothing */
    unsigned timeout_seconds;       /* from 1 on; then the command and all it started are killed */
    int64_t incident;               /* for COMMAND_MARK; 0: none, as for a command that starts a service: a service
                                     * with the mark would be killed as something left behind */
    bool service;                   /* it starts a service: what it leaves running when it ends in time stays, also a
                                     * daemon that has not left its process group yet */
    const struct groups *groups;    /* control groups that it joins before all else; NULL: none */
    const struct command_identity *runs_on; /* NULL: as root, and waited for. Else it is only started; `service` */
    /* Called in the child before exec; false ends it with the mistake. For namespaces and roots. It sees to the
     * current directory. NULL: nothing but the root as current directory. */
    bool (*enter)(void *context, struct mistake *mistake);
    /* Asked some times a second while it runs; false ends it with the mistake. NULL: nothing is asked. */
    bool (*may_go_on)(void *context, struct mistake *mistake);
    void *context;
};

struct command_result {
    int status; /* as waitpid; meaningless when `timed_out` */
    bool timed_out;
    char *output; /* standard output and error together, with a NUL; owned */
    size_t output_size;
    uint64_t memory; /* bytes: greatest resident set of one of its processes */
    uint64_t nanoseconds;
};

/* False and a mistake when it could not be started or did not end with status 0; the mistake names the command, how it
 * ended and its last line of output. `result` is filled as far as known and is to be freed in both cases. Whatever the
 * command left running in its process group is killed, unless it is a `service`. */
bool command_run(const struct command *command, struct command_result *result, struct mistake *mistake);
void command_result_free(struct command_result *result);

/* From now on all commands of this process together have so many seconds, whatever each of them may take for itself; 0:
 * no such limit. What is left of that for whatever else takes time, no more than `most`; 0: nothing. */
void command_limit(unsigned seconds);
unsigned command_seconds(unsigned most);

/* For `enter`, after it has unshared or entered a namespace of process numbers: goes on in a child, which is in it.
 * Closes every descriptor but the three first: who is in that namespace may look at the child. */
bool command_continue_in_child(struct mistake *mistake);

/* Several helpers on one machine count their incidents each from 1 on: the mark says whose command it is by the state
 * directory. To be called before the first command that has an incident. */
bool command_owner(const char *state, struct mistake *mistake);

/* Kills every process whose environment carries the mark of this incident, until none is left: what a helper that was
 * killed has left behind. */
bool command_kill_marked(int64_t incident, struct mistake *mistake);

#endif
