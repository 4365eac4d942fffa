/* Writing a recipe, in one order: the same recipe gives the same text. */
#include <inttypes.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/evidence.h"
#include "tools/patch/form.h"
#include "tools/patch/recipe.h"

#define LINE_WIDTH 120

static void put(FILE *out, const char *name, const char *text) {
    if (text == NULL)
        return;
    fprintf(out, "%s = ", name);
    text_put(text, out);
    fputs(";", out);
}

/* "    name = [ "a", "b" ];", on more than one line where it has to be. */
static void put_array(FILE *out, unsigned margin, const char *name, char *const *texts) {
    if (texts == NULL || *texts == NULL)
        return;
    size_t column = (size_t)fprintf(out, "%*s%s = [", (int)margin, "", name);
    for (char *const *each = texts; *each != NULL; each++) {
        size_t width = strlen(*each) + 4;
        if (each > texts)
            fputs(",", out);
        if (each > texts && column + width > LINE_WIDTH) {
            column = (size_t)fprintf(out, "\n%*s", (int)margin + 3, "") - 1;
        }
        fputs(" ", out);
        text_put(*each, out);
        column += width;
    }
    fputs(" ];\n", out);
}

/* "command = [ "a" ];" within a line. */
static void put_command(FILE *out, char *const *command) {
    if (command == NULL)
        return;
    fputs(" command = [", out);
    for (char *const *each = command; *each != NULL; each++) {
        fputs(each > command ? ", " : " ", out);
        text_put(*each, out);
    }
    fputs(" ];", out);
}

static void put_head(FILE *out, const struct recipe *recipe) {
    char created[DATE_TEXT_BYTES], expires[DATE_TEXT_BYTES];
    date_format(recipe->created, created);
    date_format(recipe->expires, expires);
    put(out, "recipe", recipe->name);
    put(out, "\nsummary", recipe->summary);
    fprintf(out, "\nserial = %" PRId64 "%s;\ncreated = \"%s\";\nexpires = \"%s\";\n", recipe->serial,
            recipe->serial > INT32_MAX ? "L" : "", created, expires);
}

static void put_violations(FILE *out, const struct recipe *recipe) {
    if (recipe->violation_count == 0)
        return;
    fputs("    violations = (\n", out);
    for (size_t i = 0; i < recipe->violation_count; i++) {
        char module[IDENTITY_TEXT_BYTES];
        identity_format(&recipe->violations[i].module, module);
        fprintf(out, "        { module = \"%s\"; ", module);
        put(out, "api", recipe->violations[i].api);
        fputs(i + 1 < recipe->violation_count ? " },\n" : " }\n", out);
    }
    fputs("    );\n", out);
}

static void put_answers(FILE *out, const struct recipe *recipe) {
    fputs("answers = {\n", out);
    put_array(out, 4, "signatures", recipe->signatures);
    put_array(out, 4, "cves", recipe->cves);
    put_violations(out, recipe);
    fputs("};\n", out);
}

static void put_source(FILE *out, const struct recipe_file *file) {
    char digest[DIGEST_TEXT_BYTES];
    digest_format(file->sha256, digest);
    put(out, "source", file->source);
    fprintf(out, "\n          size = %" PRIu64 "%s; sha256 = \"%s\";", file->size, file->size > INT32_MAX ? "L" : "",
            digest);
}

static void put_file(FILE *out, const struct recipe_file *file) {
    fputs("        { ", out);
    put(out, "package", file->package);
    put(out, " version", file->version);
    put(out, " architecture", file->architecture);
    put(out, "path", file->path);
    fputs("\n          ", out);
    put_source(out, file);
    if (file->mode != 0)
        fprintf(out, " mode = \"%04o\";", file->mode);
    fputs(" }", out);
}

static void put_files(FILE *out, const struct recipe *recipe) {
    for (size_t i = 0; i < recipe->file_count; i++) {
        put_file(out, &recipe->files[i]);
        fputs(i + 1 < recipe->file_count ? ",\n" : "\n", out);
    }
}

static void put_build(FILE *out, const struct recipe *recipe) {
    fputs("build = {\n    archive = {\n          ", out);
    put_source(out, &recipe->files[0]);
    fputs("\n    };\n", out);
    put_array(out, 4, "depends", recipe->build_depends);
    put_array(out, 4, "commands", recipe->commands);
    fputs("};\n", out);
}

/* One text, each line of it on a line of its own. */
static void put_script(FILE *out, const char *script) {
    fputs("script = {\n    text =", out);
    while (*script != '\0') {
        size_t length = strcspn(script, "\n");
        cleanup_free char *line = xstrndup(script, length + (script[length] == '\n'));
        fputs("\n        ", out);
        text_put(line, out);
        script += strlen(line);
    }
    fputs(";\n};\n", out);
}

static void put_method(FILE *out, const struct recipe *recipe) {
    if (recipe->package != NULL) {
        fputs("package = { ", out);
        put(out, "name", recipe->package);
        put(out, " fixed", recipe->fixed);
        fputs(" };\n", out);
    }
    fprintf(out, "method = \"%s\";\n", recipe_method_word(recipe->method));
    if (recipe->method == METHOD_APT && recipe->file_count > 0) {
        fputs("apt = {\n    archives = (\n", out);
        put_files(out, recipe);
        fputs("    );\n};\n", out);
    } else if (recipe->method == METHOD_FILES) {
        fputs("files = (\n", out);
        put_files(out, recipe);
        fputs(");\n", out);
    } else if (recipe->method == METHOD_BUILD) {
        put_build(out, recipe);
    } else if (recipe->method == METHOD_SCRIPT) {
        put_script(out, recipe->script);
    }
}

static void put_free_disk(FILE *out, uint64_t bytes) {
    static const char units[] = {0, 'K', 'M', 'G'};
    unsigned unit = 0;
    if (bytes == 0)
        return;
    while (bytes % 1024 == 0 && unit + 1 < sizeof units) {
        bytes /= 1024;
        unit++;
    }
    fprintf(out, "preconditions = { free_disk = \"%" PRIu64 "%.1s\"; };\n", bytes, &units[unit]);
}

static void put_restarts(FILE *out, const struct recipe *recipe) {
    if (recipe->restart_count == 0)
        return;
    fputs("restart = (\n", out);
    for (size_t i = 0; i < recipe->restart_count; i++) {
        const struct recipe_restart *restart = &recipe->restarts[i];
        fputs("    { ", out);
        put(out, "program", restart->program);
        put(out, " how", restart_how_word(restart->how));
        put_command(out, restart->command);
        put(out, " signal", restart->signal);
        fputs(i + 1 < recipe->restart_count ? " },\n" : " }\n", out);
    }
    fputs(");\n", out);
}

static void put_check(FILE *out, const struct recipe_health *health) {
    fputs("        {", out);
    put_command(out, health->command);
    if (health->url != NULL) {
        put(out, " url", health->url);
        fprintf(out, " status = %u;", health->status);
        put(out, " contains", health->contains);
    }
    fputs(health->serving ? " serving = true; }" : " }", out);
}

static void put_health(FILE *out, const struct recipe *recipe) {
    fprintf(out, "health = {\n    timeout = %u;\n", recipe->timeout);
    if (recipe->health_count > 0)
        fputs("    checks = (\n", out);
    for (size_t i = 0; i < recipe->health_count; i++) {
        put_check(out, &recipe->health[i]);
        fputs(i + 1 < recipe->health_count ? ",\n" : "\n    );\n", out);
    }
    fputs("};\n", out);
}

void recipe_write(const struct recipe *recipe, FILE *out) {
    put_head(out, recipe);
    put_answers(out, recipe);
    put_method(out, recipe);
    put_free_disk(out, recipe->free_disk);
    put_restarts(out, recipe);
    put_health(out, recipe);
}
