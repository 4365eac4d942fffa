/* Plans, fetches and installs a recipe in a stage over a root, and says what would be changed; nothing comes into the
 * root. For the tests of the methods: no signature, journal, commit or restart.
 *
 *   methods RECIPE ROOT SCRATCH [SECONDS]      for each command
 */
#include <string.h>
#include <sys/xattr.h>

#include "runtime/util.h"
#include "tools/patch/changes.h"
#include "tools/patch/method.h"

static int tell(const char *step, const struct mistake *mistake) {
    printf("%s failed: %s\n", step, mistake->text);
    return 1;
}

static enum method_readiness print_plan(const struct recipe *recipe, const struct target *target,
                                        struct mistake *mistake) {
    struct method_plan plan = {0};
    enum method_readiness readiness = method_of(recipe->method)->plan(recipe, target, &plan, mistake);
    printf("plan: %s\n", readiness == METHOD_READY     ? "ready"
                         : readiness == METHOD_NOTHING ? "nothing to do"
                                                       : mistake->text);
    for (size_t i = 0; i < plan.package_count; i++)
        printf("plan: %s\n", plan.packages[i]);
    printf("plan: download %llu, installed %llu\n", (unsigned long long)plan.download,
           (unsigned long long)plan.installed);
    method_plan_free(&plan);
    return readiness;
}

static void print_attributes(const struct stage *stage, const char *path) {
    char names[4096];
    cleanup_free char *inside = stage_path(stage, path);
    ssize_t length = llistxattr(inside, names, sizeof(names));
    for (const char *name = names; length > 0 && name < names + length; name += strlen(name) + 1)
        printf(" %s", name);
    putchar('\n');
}

static bool print_changes(const struct stage *stage, struct mistake *mistake) {
    static const char *const words[] = {"create", "replace", "remove", "metadata"};
    struct changes changes = {0};
    if (!changes_read(&changes, stage, mistake))
        return false;
    for (size_t i = 0; i < changes.count; i++) {
        const struct stat *after = &changes.items[i].after;
        printf("%s %s %o %u:%u", words[changes.items[i].kind], changes.items[i].path, (unsigned)after->st_mode,
               (unsigned)after->st_uid, (unsigned)after->st_gid);
        print_attributes(stage, changes.items[i].path);
    }
    changes_free(&changes);
    return true;
}

static int apply(const struct recipe *recipe, const struct stage *stage) {
    const struct method *method = method_of(recipe->method);
    struct method_cost fetched = {0}, installed = {0};
    struct mistake mistake = {0};
    if (!method->fetch(recipe, stage, &fetched, &mistake))
        return tell("fetch", &mistake);
    printf("fetched %llu bytes, memory %llu\n", (unsigned long long)fetched.downloaded,
           (unsigned long long)fetched.memory);
    if (!method->install(recipe, stage, &installed, &mistake))
        return tell("install", &mistake);
    printf("installed, memory %llu\n", (unsigned long long)installed.memory);
    return print_changes(stage, &mistake) ? 0 : tell("changes", &mistake);
}

static int run(const struct recipe *recipe, const struct target *target, const char *scratch, unsigned seconds) {
    struct mistake mistake = {0};
    struct stage stage;
    enum method_readiness readiness = print_plan(recipe, target, &mistake);
    if (readiness != METHOD_READY)
        return readiness == METHOD_NOTHING ? 3 : 2;
    if (!stage_open(&stage, target, scratch, INT64_C(1000000) + getpid(), &mistake))
        return tell("stage", &mistake);
    stage.timeout = seconds;
    int status = apply(recipe, &stage);
    stage_close(&stage);
    return status;
}

int main(int argc, char **argv) {
    struct recipe recipe;
    struct target target;
    struct mistake mistake = {0};
    size_t size;
    if (argc < 4)
        die("usage: methods RECIPE ROOT SCRATCH [SECONDS]");
    cleanup_free char *text = file_read(argv[1], RECIPE_BYTES_MOST, &size);
    if (text == NULL || !recipe_parse(text, &recipe, &mistake))
        die("%s:%u: %s", argv[1], mistake.line, mistake.text);
    if (!target_of_directory(&target, argv[2], &mistake))
        die("%s", mistake.text);
    int status = run(&recipe, &target, argv[3], argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 0);
    target_close(&target);
    recipe_free(&recipe);
    return status;
}
