/* The fix is built from its source. Building happens in a second stage over the same target, which is thrown away with
 * all that was installed for it; only what the commands put into DESTDIR comes into the stage that is committed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/patch/form.h"
#include "tools/patch/method_parts.h"

#define SOURCE STAGE_WORK "/source"
#define BUILD STAGE_WORK "/build"
#define PRODUCT STAGE_WORK "/product" /* DESTDIR */
#define DEPTH_MOST 64

static enum method_readiness plan_build(const struct recipe *recipe, const struct target *target,
                                        struct method_plan *plan, struct mistake *mistake) {
    enum method_readiness readiness = method_versions(recipe, target, plan, mistake);
    if (readiness != METHOD_READY)
        return readiness;
    bool dpkg = package_manager_of(target) == PACKAGES_DPKG;
    if (texts_count(recipe->build_depends) > 0 && !(dpkg && method_has_program(target, "/usr/bin/apt-get"))) {
        text_mistake(mistake, 0, "building needs packages (%s, ...), and the target has no apt-get to get them",
                     recipe->build_depends[0]);
        return METHOD_UNMET;
    }
    if (!method_has_program(target, "/bin/sh") || !method_has_program(target, "/bin/tar")) {
        text_mistake(mistake, 0,
                     "building needs /bin/sh and /bin/tar in the target: use method \"files\" without them");
        return METHOD_UNMET;
    }
    method_plan_line(plan, xasprintf("built from %s with %zu packages for that alone", recipe->files[0].source,
                                     texts_count(recipe->build_depends)));
    plan->download = recipe->files[0].size;
    plan->installed = recipe->files[0].size * 20;
    return dpkg ? method_manager_ready(target, mistake) : METHOD_READY;
}

/* ---- copying what was built ---- */

struct copying {
    int from; /* a directory of the second stage's DESTDIR */
    const struct stage *stage;
    const char *path; /* of that directory, as it will be in the target; "" is the root */
    unsigned depth;
};

static bool copy_mistake(struct mistake *mistake, const char *path) {
    return text_mistake(mistake, 0, "%s, which was built, cannot be taken over: %s", path, strerror(errno));
}

static bool copy_file(const struct copying *copying, const char *name, const char *path, mode_t mode,
                      struct mistake *mistake) {
    cleanup_fd int from = openat(copying->from, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return copy_mistake(mistake, path);
    return method_put(copying->stage, from, path, mode & 07777, mistake);
}

static bool copy_link(const struct copying *copying, const char *name, const char *path, struct mistake *mistake) {
    char target[4096];
    ssize_t length = readlinkat(copying->from, name, target, sizeof(target) - 1);
    if (length < 0)
        return copy_mistake(mistake, path);
    target[length] = '\0';
    return method_put_link(copying->stage, target, path, mistake);
}

static bool copy_directory(const struct copying *copying, struct mistake *mistake);

static bool copy_below(const struct copying *copying, const char *name, const char *path, mode_t mode,
                       struct mistake *mistake) {
    struct copying below = *copying;
    cleanup_fd int fd = openat(copying->from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    below.from = fd;
    below.path = path;
    below.depth++;
    if (fd < 0 || below.depth > DEPTH_MOST)
        return copy_mistake(mistake, path);
    return method_put_directory(copying->stage, path, mode & 07777, mistake) && copy_directory(&below, mistake);
}

static bool copy_entry(const struct copying *copying, const char *name, struct mistake *mistake) {
    struct stat status;
    cleanup_free char *path = xasprintf("%s/%s", copying->path, name);
    if (!form_matches(&form_changeable_path, path))
        return text_mistake(mistake, 0, "%s, which was built, is no path that a patch may change", path);
    if (fstatat(copying->from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return copy_mistake(mistake, path);
    switch (status.st_mode & S_IFMT) {
    case S_IFREG: return copy_file(copying, name, path, status.st_mode, mistake);
    case S_IFLNK: return copy_link(copying, name, path, mistake);
    case S_IFDIR: return copy_below(copying, name, path, status.st_mode, mistake);
    default: return text_mistake(mistake, 0, "%s, which was built, is neither file, link nor directory", path);
    }
}

static bool copy_directory(const struct copying *copying, struct mistake *mistake) {
    int fd = openat(copying->from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (directory == NULL) {
        cleanup_fd_function(&fd);
        return copy_mistake(mistake, copying->path);
    }
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            good = copy_entry(copying, entry->d_name, mistake);
    }
    closedir(directory);
    return good;
}

/* Takes over what the second stage has in DESTDIR. */
static bool take_product(const struct stage *builder, const struct stage *stage, struct mistake *mistake) {
    cleanup_fd int fd = stage_openat(builder, PRODUCT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return copy_mistake(mistake, PRODUCT);
    return copy_directory(&(struct copying){fd, stage, "", 0}, mistake);
}

/* ---- building ---- */

static bool install_depends(const struct recipe *recipe, const struct stage *builder, struct method_cost *cost,
                            struct mistake *mistake) {
    if (texts_count(recipe->build_depends) == 0)
        return true;
    struct archives archives = {0};
    bool good = debian_update(builder, cost, mistake) &&
                debian_download(builder, (const char *const *)recipe->build_depends, false, &archives, cost, mistake) &&
                debian_install(builder, &archives, cost, mistake);
    archives_free(&archives);
    return good;
}

/* All lines in one shell, in the only directory of the archive, or, when there is more, where it was unpacked. */
static char *shell_text(const struct recipe *recipe) {
    char *text;
    size_t length;
    FILE *out = xopen_memstream(&text, &length);
    fputs("cd " BUILD "\nset -- *\nif [ $# = 1 ] && [ -d \"$1\" ]; then cd \"$1\"; fi\nset --\n"
          "export DESTDIR=" PRODUCT "\n",
          out);
    for (char **line = recipe->commands; *line != NULL; line++)
        fprintf(out, "%s\n", *line);
    fclose(out);
    return text;
}

static bool build(const struct recipe *recipe, const struct stage *builder, struct method_cost *cost,
                  struct mistake *mistake) {
    cleanup_free char *text = shell_text(recipe);
    const char *const unpack[] = {"tar", "--no-same-owner", "-xf", SOURCE, "-C", BUILD, NULL};
    const char *const run[] = {"/bin/sh", "-e", "-c", text, NULL};
    return method_directory(builder, "build", 0755, mistake) && method_directory(builder, "product", 0755, mistake) &&
           method_run(builder, unpack, STAGE_OFFLINE, cost, NULL, mistake) &&
           method_run(builder, run, STAGE_OFFLINE, cost, NULL, mistake);
}

static bool hand_over_source(const struct recipe *recipe, const struct stage *stage, const struct stage *builder,
                             struct mistake *mistake) {
    cleanup_fd int fd = method_open_verified(stage, SOURCE, &recipe->files[0], mistake);
    return fd >= 0 && method_put(builder, fd, SOURCE, 0644, mistake);
}

/* The packages that building needs come later, into the second stage. */
static bool fetch_build(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                        struct mistake *mistake) {
    return method_download(stage, &recipe->files[0], recipe->files[0].source, "source", cost, mistake);
}

static bool build_in(const struct recipe *recipe, const struct stage *builder, const struct stage *stage,
                     struct method_cost *cost, struct mistake *mistake) {
    return hand_over_source(recipe, stage, builder, mistake) && install_depends(recipe, builder, cost, mistake) &&
           build(recipe, builder, cost, mistake) && take_product(builder, stage, mistake);
}

/* The second stage stands on the tree that the first stands on. */
static bool install_build(const struct recipe *recipe, const struct stage *stage, struct method_cost *cost,
                          struct mistake *mistake) {
    cleanup_free char *tree = xasprintf("%s/" STAGE_TREE, stage->scratch);
    cleanup_free char *scratch = xasprintf("%s/build", stage->scratch);
    struct target target;
    struct stage builder;
    if (!target_of_directory(&target, tree, mistake))
        return false;
    bool good = stage_open(&builder, &target, scratch, stage->incident, mistake);
    if (good) {
        builder.timeout = stage->timeout;
        good = build_in(recipe, &builder, stage, cost, mistake);
        stage_close(&builder);
    }
    target_close(&target);
    return good;
}

const struct method method_build = {plan_build, fetch_build, install_build};
