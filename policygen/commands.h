/* The subcommands of policygen. Each reads its own options, prints its own help and returns the exit status. */
#ifndef PINION_POLICYGEN_COMMANDS_H
#define PINION_POLICYGEN_COMMANDS_H

int generate_command(int count, char **arguments); /* what policygen does when no command is named */
int diff_command(int count, char **arguments);
int exposure_command(int count, char **arguments);

#endif
