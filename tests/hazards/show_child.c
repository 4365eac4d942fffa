/* What a started program finds of the protection: is the shim in it, and what does its environment say? */
#include "tests/hazards/hazard.h"

extern char **environ;

static int entries(const char *begin) {
    int count = 0;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++)
        count += strncmp(*entry, begin, strlen(begin)) == 0;
    return count;
}

int main(int count, char **arguments) {
    const char *settings[] = {"LD_PRELOAD=", "PINION_LOG=", "PINION_MODE=", "PINION_POLICY=", "LD_AUDIT="};
    printf("shim:%s", is_mapped("libpinion.so") ? "yes" : "no");
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
        printf(",%.*s:%d", (int)strlen(settings[i]) - 1, settings[i], entries(settings[i]));
    if (getenv("KEPT") != NULL)
        printf(",kept:%s", getenv("KEPT"));
    for (int i = 1; i < count; i++)
        printf(",%s", strcmp(arguments[i], "mode") == 0      ? getenv("PINION_MODE")
                      : strcmp(arguments[i], "preload") == 0 ? getenv("LD_PRELOAD")
                                                             : arguments[i]);
    puts("");
    return 0;
}
