/* The fix is a script: the last resort. It runs in the stage without a network, and what it changed there is all that
 * comes into the target.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/method_parts.h"

#define SCRIPT STAGE_WORK "/script"

static enum method_readiness plan_script(const struct recipe *recipe, const struct target *target,
                                         struct method_plan *plan, struct mistake *mistake) {
    enum method_readiness readiness = method_versions(recipe, target, plan, mistake);
    if (readiness == METHOD_READY && !method_has_program(target, "/bin/sh")) {
        text_mistake(mistake, 0, "the target has no /bin/sh to run the script: write a recipe with method \"files\"");
        readiness = METHOD_UNMET;
    }
    if (readiness == METHOD_READY)
        method_plan_line(plan, xasprintf("a script of %zu bytes decides", strlen(recipe->script)));
    return readiness;
}

static bool fetch_script(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                         struct mistake *mistake) {
    (void)recipe, (void)stage, (void)cost, (void)mistake;
    return true;
}

static bool write_script(const char *script, int fd) {
    for (size_t length = strlen(script); length > 0;) {
        ssize_t written = write(fd, script, length);
        if (written < 0 && errno != EINTR)
            return false;
        script += written > 0 ? written : 0;
        length -= written > 0 ? (size_t)written : 0;
    }
    return true;
}

static bool install_script(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                           struct mistake *mistake) {
    static const char *const run[] = {"/bin/sh", SCRIPT, NULL};
    cleanup_fd int fd = stage_openat(stage, SCRIPT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || !write_script(recipe->script, fd))
        return text_mistake(mistake, 0, "the script cannot be written into the stage: %s", strerror(errno));
    return method_run(stage, run, STAGE_OFFLINE, cost, NULL, mistake);
}

const struct method method_script = {plan_script, fetch_script, install_script};
