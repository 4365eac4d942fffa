/* Release 1.0-1 of the library: it takes anything as a host's name. lookup-names.patch is what release 1.0-2 changes.
 */
#include "lookup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Command injection: "localhost; touch /tmp/x" is two commands. */
bool look_up(const char *host, char *line, size_t size) {
    char command[512];
    snprintf(command, sizeof command, "getent hosts %s", host);
    FILE *output = popen(command, "r");
    if (!output)
        return false;
    if (!fgets(line, (int)size, output))
        line[0] = '\0';
    pclose(output);
    return true;
}
