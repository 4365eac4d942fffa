/* policygen: analyses programs and writes their policies. Here is only the table of its commands. */
#include <stdio.h>
#include <string.h>

#include "policygen/commands.h"
#include "runtime/util.h"

struct command {
    const char *name;
    int (*run)(int count, char **arguments); /* arguments[0] is the command's name */
};

static const struct command commands[] = {
    {"diff", diff_command},
    {"exposure", exposure_command},
};

/* Without a command's name, policies are generated. */
static const struct command *find_command(int count, char **arguments) {
    for (size_t i = 0; count > 1 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(arguments[1], commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

int main(int count, char **arguments) {
    const struct command *command = find_command(count, arguments);
    int status = command == NULL ? generate_command(count, arguments) : command->run(count - 1, arguments + 1);
    if (fflush(stdout) != 0 || ferror(stdout))
        die_with_error("cannot write the report");
    return status;
}
