/* `pinion patchd`: the patch helper. Listens for events, decides by signed recipes, and has them applied. */
#include "tools/options.h"
#include "tools/patch/config.h"
#include "tools/patch/daemon.h"

static const char *path = CONFIG_PATH;

static const struct option_row options[] = {
    OPTION_TEXT("config", 'c', "FILE", &path, "the configuration (default " CONFIG_PATH ")"),
};

static const char details[] =
    "Runs beside the protected programs: in their container, in another that shares the socket's volume and the\n"
    "process namespace, or on the host. Every event, decision and step is in the journal before it is acted on. Mode\n"
    "`notify` (the default) only tells, `ask` waits for `pinion patch approve ID`, `auto` applies. Nothing but a "
    "recipe\n"
    "that is signed by a key of the configuration, and that answers a clear match, is ever applied.\n"
    "\n"
    "SIGHUP reads the configuration and the signature database anew; recipes are read at each event (one like another\n"
    "within a minute is a repeat, and counted). SIGTERM ends it when a patch that is under way has ended.\n"
    "\n"
    "Exit status: 0 ended by a signal, 2 error.\n";

int verb_patchd(const struct verb *verb, int argc, char **argv) {
    struct usage usage = {.verb = verb,
                          .arguments = "",
                          .details = details,
                          .options = options,
                          .option_count = sizeof options / sizeof options[0]};
    if (options_read(&usage, argc, argv) > 0)
        options_mistake(&usage, "it takes options only");
    return daemon_run(path);
}
