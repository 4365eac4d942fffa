/* Looking at a program, its policy and the shim from outside. Only files are read; nothing is started. */
#include "tools/subject.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "runtime/util.h"
#include "tools/closure.h"
#include "tools/object.h"

enum {
    MAX_SCRIPT_DEPTH = 4,
    SCRIPT_LINE = 256
};

const char threat_model_sentence[] =
    "Not protected, whatever the policy: code that jumps into libc itself past the stubs, the program's own `syscall` "
    "instructions, and memory that an attacker can write while a check reads it. Pinion is not a sandbox.";

char *find_program(const char *word) {
    if (strchr(word, '/'))
        return realpath(word, NULL);
    const char *path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    errno = ENOENT;
    while (*path) {
        size_t length = strcspn(path, ":");
        cleanup_free char *candidate = xasprintf("%.*s/%s", length ? (int)length : 1, length ? path : ".", word);
        struct stat status;
        if (access(candidate, X_OK) == 0 && stat(candidate, &status) == 0 && S_ISREG(status.st_mode))
            return realpath(candidate, NULL);
        path += length + (path[length] != '\0');
    }
    return NULL;
}

char *find_shim(const char *given) {
    if (given)
        return realpath(given, NULL);
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length <= 0)
        return NULL;
    self[length] = '\0';
    int directory = (int)(base_name(self) - self);
    static const char *const places[] = {"libpinion.so", "../lib/libpinion.so", "../lib/pinion/libpinion.so"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        cleanup_free char *candidate = xasprintf("%.*s%s", directory, self, places[i]);
        char *found = realpath(candidate, NULL);
        if (found)
            return found;
    }
    return NULL;
}

static bool writable_by_others(const struct stat *status) {
    return status->st_mode & (S_IWGRP | S_IWOTH);
}

void examine_shim(struct findings *findings, const char *shim) {
    if (!shim) {
        findings_add(findings, WEIGHT_UNPROTECTABLE, "no-shim", "libpinion.so is not installed beside this command");
        return;
    }
    struct object object;
    if (!object_open(&object, shim)) {
        findings_add(findings, WEIGHT_UNPROTECTABLE, "no-shim", "cannot read the shim %s: %s", shim, strerror(errno));
        return;
    }
    if (object.format != OBJECT_ELF || object.header.e_type != ET_DYN)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "bad-shim", "%s is no shared object for x86-64", shim);
    object_close(&object);
    struct stat status;
    if (stat(shim, &status) == 0 && writable_by_others(&status))
        findings_add(findings, WEIGHT_UNPROTECTABLE, "shim-writable",
                     "the shim %s can be written by its group or by others: chmod go-w it", shim);
    if (strpbrk(shim, ": \t\n"))
        findings_add(findings, WEIGHT_UNPROTECTABLE, "shim-path",
                     "the shim's path \"%s\" holds a colon or a blank, which LD_PRELOAD cannot express", shim);
}

/* ---- The program's file ---- */

static void examine_privileges(struct findings *findings, const char *whole, const char *path) {
    struct stat status;
    if (stat(whole, &status) != 0)
        return;
    if (status.st_mode & (S_ISUID | S_ISGID))
        findings_add(findings, WEIGHT_UNPROTECTABLE, "setuid",
                     "%s is set-%s-ID: the dynamic linker ignores LD_PRELOAD when another user starts it. Under glibc, "
                     "a set-user-ID copy of the shim in a standard library directory that LD_PRELOAD names without a "
                     "slash is accepted",
                     path, status.st_mode & S_ISUID ? "user" : "group");
    if (getxattr(whole, "security.capability", NULL, 0) > 0)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "capabilities",
                     "%s has file capabilities: the dynamic linker ignores LD_PRELOAD for it", path);
    if (writable_by_others(&status))
        findings_add(findings, WEIGHT_WARNING, "program-writable", "%s can be written by its group or by others", path);
    if (access(whole, X_OK) != 0)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "not-executable", "%s cannot be executed: %s", path,
                     strerror(errno));
}

static bool begins_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

static void examine_sanitizer(struct findings *findings, const struct object *object) {
    static const char *const libraries[] = {"libasan.so", "libtsan.so", "liblsan.so", "libhwasan.so"};
    const char *name;
    bool found = object_imports(object, "__asan_init");
    for (size_t i = 0; !found && (name = object_dynamic_text(object, DT_NEEDED, i)); i++)
        for (size_t at = 0; at < sizeof libraries / sizeof libraries[0]; at++)
            found = found || begins_with(name, libraries[at]);
    if (found || object_defines(object, "__asan_init") || object_defines(object, "__tsan_init") ||
        object_defines(object, "__msan_init"))
        findings_add(findings, WEIGHT_UNPROTECTABLE, "sanitizer",
                     "%s is built with a sanitizer, whose runtime must come first: the shim stands aside",
                     object->path);
}

static void examine_libc(struct findings *findings, const char *root, const struct object *object) {
    const char *interpreter = object_interpreter(object);
    if (!interpreter) {
        findings_add(findings, WEIGHT_UNPROTECTABLE, "static",
                     "%s is statically linked: no dynamic linker, so no shim is loaded", object->path + strlen(root));
        return;
    }
    const char *linker = base_name(interpreter);
    bool known = strcmp(linker, "ld-linux-x86-64.so.2") == 0 || strcmp(linker, "ld-musl-x86_64.so.1") == 0;
    if (!known)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "unknown-libc",
                     "%s is started by %s, which belongs neither to glibc nor to musl", object->path + strlen(root),
                     interpreter);
    cleanup_free char *whole = xasprintf("%s%s", root, interpreter);
    if (access(whole, F_OK) != 0)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "no-interpreter", "its dynamic linker %s is missing", interpreter);
}

static void examine_closure(struct findings *findings, const char *root, const struct object *object) {
    struct closure closure;
    closure_find(&closure, root, object);
    for (size_t i = 0; i < closure.missing_count; i++)
        findings_add(findings, WEIGHT_WARNING, "missing-library", "the library %s is not found", closure.missing[i]);
    bool has_libc = closure.missing_count > 0;
    for (size_t i = 0; i < closure.path_count; i++) {
        const char *name = base_name(closure.paths[i]);
        has_libc =
            has_libc || begins_with(name, "libc.so") || begins_with(name, "libc.musl") || begins_with(name, "ld-musl");
    }
    if (!has_libc)
        findings_add(findings, WEIGHT_UNPROTECTABLE, "no-libc",
                     "%s uses no libc: it makes its system calls itself, past every stub", object->path + strlen(root));
    closure_free(&closure);
}

static void examine_elf(struct subject *subject, const char *root, const struct object *object) {
    struct findings *findings = &subject->findings;
    subject->program = xstrdup(object->path + strlen(root));
    examine_privileges(findings, object->path, subject->program);
    if (object_has_section(object, ".go.buildinfo") || object_has_section(object, ".note.go.buildid"))
        findings_add(findings, WEIGHT_UNPROTECTABLE, "go",
                     "%s is a Go program: it makes its system calls itself, past every stub", subject->program);
    examine_libc(findings, root, object);
    if (findings_has(findings, "static"))
        return;
    examine_sanitizer(findings, object);
    examine_closure(findings, root, object);
}

static void examine_file(struct subject *subject, const char *root, const char *path, unsigned depth);

/* "#!INTERPRETER ARGUMENT": the program that runs is the interpreter, or what `env` makes of its argument. */
static void examine_script(struct subject *subject, const char *root, const struct object *object, unsigned depth) {
    char line[SCRIPT_LINE];
    size_t length = object->size - 2 < sizeof line - 1 ? object->size - 2 : sizeof line - 1;
    memcpy(line, object->image + 2, length);
    line[length] = '\0';
    line[strcspn(line, "\n")] = '\0';
    char *rest = line + strspn(line, " \t");
    char *interpreter = strsep(&rest, " \t");
    char *argument = rest ? rest + strspn(rest, " \t") : NULL;
    if (argument)
        argument[strcspn(argument, " \t")] = '\0';
    if (!*interpreter || depth >= MAX_SCRIPT_DEPTH) {
        findings_add(&subject->findings, WEIGHT_UNPROTECTABLE, "bad-script", "%s names no interpreter", object->path);
        return;
    }
    cleanup_free char *found = NULL;
    if (strcmp(base_name(interpreter), "env") == 0 && argument && *argument && *argument != '-' && !*root)
        found = find_program(argument);
    const char *program = found ? found : interpreter;
    findings_add(&subject->findings, WEIGHT_NOTE, "script",
                 "%s is a script: its interpreter %s is protected, by the interpreter's policy",
                 object->path + strlen(root), program);
    examine_file(subject, root, program, depth + 1);
}

static void examine_file(struct subject *subject, const char *root, const char *path, unsigned depth) {
    struct findings *findings = &subject->findings;
    cleanup_free char *whole = xasprintf("%s%s", root, path);
    cleanup_free char *canonical = *root ? xstrdup(whole) : realpath(whole, NULL);
    struct object object;
    if (!canonical || !object_open(&object, canonical)) {
        findings_add(findings, WEIGHT_UNPROTECTABLE, "unreadable", "cannot read %s: %s", path, strerror(errno));
        return;
    }
    switch (object.format) {
    case OBJECT_ELF: examine_elf(subject, root, &object); break;
    case OBJECT_SCRIPT: examine_script(subject, root, &object, depth); break;
    case OBJECT_ELF32:
        findings_add(findings, WEIGHT_UNPROTECTABLE, "32-bit", "%s is a 32-bit program, the shim is 64-bit", path);
        break;
    case OBJECT_OTHER_MACHINE:
        findings_add(findings, WEIGHT_UNPROTECTABLE, "other-machine", "%s is built for another processor", path);
        break;
    default: findings_add(findings, WEIGHT_UNPROTECTABLE, "not-a-program", "%s is no ELF program and no script", path);
    }
    object_close(&object);
}

void examine_program(struct subject *subject, const char *root, const char *path) {
    *subject = (struct subject){.given = xstrdup(path)};
    examine_file(subject, root, path, 0);
}

void subject_free(struct subject *subject) {
    free(subject->given);
    free(subject->program);
    findings_free(&subject->findings);
}

/* ---- The policy ---- */

/* The text form beside a compiled policy may have been edited since. */
static void examine_text(struct findings *findings, const struct policy_file *policy) {
    size_t length = strlen(policy->path) - strlen(POLICY_COMPILED_SUFFIX);
    cleanup_free char *text = xasprintf("%.*s%s", (int)length, policy->path, POLICY_TEXT_SUFFIX);
    struct mistake mistake = {0};
    struct policy_file source;
    if (access(text, F_OK) != 0)
        return;
    if (!policy_load(text, &source, &mistake)) {
        findings_add(findings, WEIGHT_WARNING, "bad-text", "\"%s\" line %u: %s", text, mistake.line, mistake.text);
        return;
    }
    if (source.size != policy->size || memcmp(source.image, policy->image, source.size) != 0)
        findings_add(findings, WEIGHT_STALE, "not-compiled",
                     "\"%s\" was edited after it was compiled: pinion check --compile \"%s\"", text, text);
    policy_unload(&source);
}

static void examine_identities(struct subject *subject, const char *root, const struct document *document) {
    struct findings *findings = &subject->findings;
    struct identity found;
    if (compare_with_file(&document->identity, root, subject->program, &found) != FRESH) {
        cleanup_free char *text = describe_change(subject->program, &document->identity, &found);
        findings_add(findings, WEIGHT_STALE, "stale-policy", "%s", text);
    }
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        if (identity_equal(&module->identity, &document->identity))
            continue;
        enum freshness freshness = compare_with_file(&module->identity, root, module->path, &found);
        if (freshness == MISSING)
            findings_add(findings, WEIGHT_NOTE, "missing-module", "the policy's library %s is not there", module->path);
        if (freshness != CHANGED)
            continue;
        cleanup_free char *text = describe_change(module->path, &module->identity, &found);
        findings_add(findings, WEIGHT_STALE, "changed-module", "%s", text);
    }
}

static bool policy_lists(const struct document *document, const struct identity *identity, const char *path) {
    for (size_t i = 0; i < document->module_count; i++)
        if (identity_equal(&document->modules[i].identity, identity) || strcmp(document->modules[i].path, path) == 0)
            return true;
    return false;
}

/* Libraries the program is linked with of which the policy says nothing. The dynamic linker's and libc's own calls
 * are inside and never pass a stub. */
static void examine_unlisted(struct subject *subject, const char *root, const struct document *document) {
    cleanup_free char *whole = xasprintf("%s%s", root, subject->program);
    struct object program;
    if (!object_open(&program, whole))
        return;
    struct closure closure;
    closure_find(&closure, root, &program);
    for (size_t i = 0; i < closure.path_count; i++) {
        cleanup_free char *library = xasprintf("%s%s", root, closure.paths[i]);
        struct identity identity;
        const char *name = base_name(library);
        bool is_libc = begins_with(name, "libc.so") || begins_with(name, "libc.musl") || begins_with(name, "ld-");
        if (!is_libc && identity_of_file(library, &identity) && !policy_lists(document, &identity, closure.paths[i]))
            findings_add(&subject->findings, WEIGHT_STALE, "unlisted-module",
                         "the policy says nothing of the library %s, which the program is linked with: run policygen "
                         "again",
                         closure.paths[i]);
    }
    closure_free(&closure);
    object_close(&program);
}

static bool allows_deep_binding(const struct site *site) {
    for (size_t i = 0; i < site->constraint_count; i++) {
        const struct constraint *constraint = &site->constraints[i];
        const struct argument *argument = &api_table[site->api].arguments[constraint->argument];
        if (argument->kind != KIND_DLOPEN_FLAGS)
            continue;
        for (size_t at = 0; at < constraint->value_count; at++)
            if (constraint->values[at].low & RTLD_DEEPBIND)
                return true;
    }
    return false;
}

static void examine_content(struct findings *findings, const struct document *document) {
    static const char *const mode_sentences[] = {
        [MODE_AUDIT] = "the policy's mode is audit: violations are logged, not stopped",
        [MODE_LEARN] = "the policy's mode is learn: nothing is stopped",
        [MODE_OFF] = "the policy's mode is off: nothing is checked",
    };
    if (document->mode != MODE_ENFORCE && document->mode < sizeof mode_sentences / sizeof mode_sentences[0] &&
        mode_sentences[document->mode])
        findings_add(findings, WEIGHT_WARNING, "not-enforced", "%s", mode_sentences[document->mode]);
    for (size_t i = 0; i < document->module_count; i++)
        for (size_t at = 0; at < document->modules[i].site_count; at++)
            if (allows_deep_binding(&document->modules[i].sites[at])) {
                findings_add(findings, WEIGHT_WARNING, "deep-binding",
                             "%s loads libraries with RTLD_DEEPBIND: their calls go past the shim",
                             document->modules[i].path);
                break;
            }
}

static char *place_of_policy(const struct subject *subject, const struct policy_place *place) {
    if (place->file)
        return xstrdup(place->file);
    return policy_path(place->directory, subject->program, POLICY_COMPILED_SUFFIX);
}

static void report_no_policy(struct subject *subject, const struct policy_place *place, const char *path) {
    cleanup_free char *text = place->file ? NULL : policy_path(place->directory, subject->program, POLICY_TEXT_SUFFIX);
    if (text && access(text, F_OK) == 0)
        findings_add(&subject->findings, WEIGHT_STALE, "not-compiled",
                     "the policy \"%s\" is not compiled: pinion check --compile \"%s\"", text, text);
    else
        findings_add(&subject->findings, WEIGHT_MISSING, "no-policy",
                     "%s has no policy (\"%s\" is not there): run policygen on it", subject->program, path);
}

char *examine_policy(struct subject *subject, const char *root, const struct policy_place *place) {
    if (!subject->program)
        return NULL;
    struct findings *findings = &subject->findings;
    cleanup_free char *path = place_of_policy(subject, place);
    struct stat status;
    if (stat(path, &status) != 0) {
        report_no_policy(subject, place, path);
        return NULL;
    }
    struct policy_file policy;
    struct mistake mistake = {0};
    if (!policy_load(path, &policy, &mistake)) {
        findings_add(findings, WEIGHT_STALE, "bad-policy", "cannot use the policy \"%s\": %s", path, mistake.text);
        return NULL;
    }
    if (!policy.compiled)
        findings_add(findings, WEIGHT_STALE, "not-compiled",
                     "\"%s\" is a policy's text, the shim reads the compiled form: pinion check --compile \"%s\"", path,
                     path);
    else if (has_suffix(path, POLICY_COMPILED_SUFFIX))
        examine_text(findings, &policy);
    if (writable_by_others(&status))
        findings_add(
            findings, WEIGHT_STALE, "policy-writable",
            "the policy \"%s\" can be written by its group or by others, so the shim refuses it: chmod go-w it", path);
    cleanup_free char *directory = xstrndup(path, (size_t)(base_name(path) - path));
    if (stat(*directory ? directory : ".", &status) == 0 && writable_by_others(&status) && !(status.st_mode & S_ISVTX))
        findings_add(findings, WEIGHT_WARNING, "directory-writable",
                     "the directory of the policy \"%s\" can be written by its group or by others", path);
    examine_identities(subject, root, &policy.document);
    examine_unlisted(subject, root, &policy.document);
    examine_content(findings, &policy.document);
    policy_unload(&policy);
    return steal_pointer(&path);
}
