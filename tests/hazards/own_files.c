/* Tries to change the policy that it runs under, by its file: prints what each attempt says, then whether the rules hold.
 *
 *   own_files POLICY FILE...
 */
#include <fcntl.h>

#include "tests/hazards/hazard.h"

static void tell(const char *what, long result) {
    printf("%s: %s\n", what, result >= 0 ? "done" : strerror(errno));
}

int main(int count, char **arguments) {
    EXPECT(count >= 2);
    char *policy = writable(arguments[1]);
    tell("write", open(policy, O_WRONLY));
    tell("both", open(policy, O_RDWR));
    tell("empty", open(policy, O_RDONLY | O_TRUNC));
    tell("truncate", truncate(policy, 0));
    tell("read", open(policy, O_RDONLY));
    for (int i = 2; i < count; i++)
        tell(arguments[i], creat(arguments[i], 0600));
    return 0;
}
