/* What restarts a process of the target, as far as the target itself knows: systemd's unit, a script in /etc/init.d,
 * or, for daemons that root started by hand, the same command line.
 */
#ifndef PINION_TOOLS_PATCH_SERVICE_H
#define PINION_TOOLS_PATCH_SERVICE_H

#include "tools/patch/processes.h"

struct service {
    char **arguments; /* the command, ends with NULL */
    const char *stop; /* signal that ends the process before, or NULL where the command does both */
};

/* What is known of the program; either may be NULL. */
struct service_hint {
    const char *stop;   /* the signal that ends it */
    const char *script; /* in /etc/init.d, where the script does not name the program */
};

/* False and a mistake when a person has to say how this one is restarted. */
bool service_find(const struct target *target, const struct process_facts *process, const struct service_hint *hint,
                  struct service *service, struct mistake *mistake);
void service_free(struct service *service);
/* Of the text of /proc/PID/cgroup: the group of the innermost unit of systemd's that is a service; NULL: it is in none, or
 * in one of a person's own service manager, whose units the system's does not know. */
char *service_group(const char *groups);
/* Whether that manager has started it, or it is that manager. */
bool service_is_personal(pid_t process);

/* Whether it is one of systemd's, and not our own. */
bool service_has_unit(const struct target *target, const struct process_facts *process);

/* What the first process of a container is, by its program: whether it starts others again, and what it ends with. */
enum first_process {
    FIRST_OTHER,
    FIRST_MANAGER, /* an init */
    FIRST_WRAPPER, /* runs one program, and ends with it */
    FIRST_SHELL,   /* ends when what it runs in its session has ended, as far as one can know */
};
enum first_process service_first(const struct process_facts *process);

/* Where systemd runs the target: units that changed count from now on, as after the installation of a package. */
void service_read_units(const struct target *target);

/* The command line that the process was started with, or NULL where it has put a title in its place. It is the process's
 * own word: good for starting it again with no more than it has. */
char **service_arguments(const struct target *target, const struct process_facts *process);

/* The environment that it was started with, and was protected with, also where a title has been written over it. */
char **service_own_environment(const struct target *target, pid_t process);

/* The environment for commands that restart the process: Pinion's variables as it has them, and where it is root's, all of
 * its own. Of another user's process nothing is taken over but what the kernel says it maps: the commands run as root. The
 * list and its texts are the caller's. */
char **service_environment(const struct target *target, const struct process_facts *process);

#endif
