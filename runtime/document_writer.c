/* The writer of a policy's text form: in one order and one layout, so that two versions can be compared line by
 * line.
 */
#define _GNU_SOURCE 1
#include "runtime/document.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/text.h"
#include "runtime/util.h"

#define LINE_WIDTH 120

static const char *const origin_names[ORIGIN_COUNT] = {"static", "learned", "manual"};

static void put_value(const struct value *value, enum argument_kind kind, FILE *out) {
    char text[512];
    size_t length = value_format(value, kind, text, sizeof(text));
    if (length < sizeof(text)) {
        text_put(text, out);
        return;
    }
    cleanup_free char *longer = xmalloc(length + 1);
    value_format(value, kind, longer, length + 1);
    text_put(longer, out);
}

/* ---- Values of an argument: " static = [ ... ];" ---- */

struct values {
    const struct value *values;
    size_t count;
    enum argument_kind kind;
};

/* Between the elements: a blank, or a new line for long lists. */
static void put_values(const struct values *values, enum origin origin, const char *separator, FILE *out) {
    bool first = true;
    for (size_t i = 0; i < values->count; i++) {
        if (values->values[i].origin != origin)
            continue;
        fprintf(out, "%s%s", first ? "" : ",", separator);
        put_value(&values->values[i], values->kind, out);
        first = false;
    }
}

static bool has_values(const struct values *values, enum origin origin) {
    for (size_t i = 0; i < values->count; i++)
        if (values->values[i].origin == origin)
            return true;
    return false;
}

static void put_origin(const struct values *values, enum origin origin, FILE *out) {
    cleanup_free char *line = NULL;
    size_t length = 0;
    FILE *memory = xopen_memstream(&line, &length);
    put_values(values, origin, " ", memory);
    fclose(memory);
    fprintf(out, " %s = [", origin_names[origin]);
    if (length <= LINE_WIDTH)
        fputs(line, out);
    else
        put_values(values, origin, "\n            ", out);
    fputs(" ];", out);
}

/* The addresses of the constants among the static values, where any is known. */
static void put_constants(const struct values *values, FILE *out) {
    bool any = false;
    for (size_t i = 0; i < values->count; i++)
        any |= values->values[i].origin == ORIGIN_STATIC && values->values[i].constant != 0;
    if (!any)
        return;
    const char *separator = "";
    fputs(" constants = [ ", out);
    for (size_t i = 0; i < values->count; i++) {
        if (values->values[i].origin != ORIGIN_STATIC)
            continue;
        fprintf(out, "%s0x%xL", separator, values->values[i].constant);
        separator = ", ";
    }
    fputs(" ];", out);
}

static void put_all_values(const struct values *values, FILE *out) {
    for (unsigned origin = 0; origin < ORIGIN_COUNT; origin++)
        if (has_values(values, (enum origin)origin))
            put_origin(values, (enum origin)origin, out);
    put_constants(values, out);
}

/* ---- Sites ---- */

static void put_constraint(const struct constraint *constraint, const struct api *api, FILE *out) {
    const struct argument *argument = &api->arguments[constraint->argument];
    struct values values = {constraint->values, constraint->value_count, argument->kind};
    fprintf(out, "\n        %s = {", argument->name);
    if (constraint->any) {
        fputs(" any = ", out);
        text_put(constraint->why_any != NULL ? constraint->why_any : "", out);
        fputc(';', out);
    }
    put_all_values(&values, out);
    fputs(" };", out);
}

static void put_site(const struct site *site, FILE *out) {
    const struct api *api = &api_table[site->api];
    fprintf(out, "\n      { at = 0x%xL; api = \"%s\";", site->offset, api->name);
    if (site->function != NULL) {
        fputs(" in = ", out);
        text_put(site->function, out);
        fputc(';', out);
    }
    if (site->fingerprint != 0)
        fprintf(out, " fingerprint = \"%016" PRIx64 "\";", site->fingerprint);
    if (site->origin != ORIGIN_STATIC)
        fprintf(out, " origin = \"%s\";", origin_names[site->origin]);
    if (site->mode != MODE_INHERIT)
        fprintf(out, " site_mode = \"%s\";", mode_name(site->mode));
    if (site->verdict != VERDICT_INHERIT)
        fprintf(out, " site_verdict = \"%s\";", verdict_name(site->verdict));
    for (size_t i = 0; i < site->constraint_count; i++)
        if (site->constraints[i].argument < api->argument_count)
            put_constraint(&site->constraints[i], api, out);
    if (site->child_count != 0) {
        struct values children = {site->children, site->child_count, KIND_PATH};
        fputs("\n        children = {", out);
        put_all_values(&children, out);
        fputs(" };", out);
    }
    fputs(" }", out);
}

/* ---- Modules ---- */

static void put_loose(const struct loose *loose, FILE *out) {
    fprintf(out, "\n      { api = \"%s\"; after = \"%s call\"; why = ", api_table[loose->api].name,
            loose->how == LOOSE_AFTER_INDIRECT_CALL ? "indirect" : "any");
    text_put(loose->why != NULL ? loose->why : "", out);
    fputs("; }", out);
}

static void put_offsets(const char *key, const uint32_t *offsets, size_t count, FILE *out) {
    if (count == 0)
        return;
    fprintf(out, "%s = [", key);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s 0x%xL", i > 0 ? "," : "", offsets[i]);
    fputs(" ];", out);
}

static void put_tail(const struct tail *tail, FILE *out) {
    fprintf(out, "\n      { target = 0x%xL;", tail->target);
    put_offsets(" members", tail->members, tail->member_count, out);
    if ((tail->flags & TAIL_LEAVES_MODULE) != 0)
        fputs(" leaves_module = true;", out);
    if ((tail->flags & TAIL_ANYWHERE) != 0)
        fputs(" anywhere = true;", out);
    fputs(" }", out);
}

static void put_key_text(const char *indent, const char *key, const char *text, FILE *out) {
    fprintf(out, "%s%s = ", indent, key);
    text_put(text, out);
    fputs(";\n", out);
}

static void put_identity(const char *indent, const struct identity *identity, FILE *out) {
    char text[IDENTITY_TEXT_BYTES];
    identity_format(identity, text);
    put_key_text(indent, "build_id", text, out);
}

static void put_module(const struct module *module, FILE *out) {
    fputs("\n  {\n", out);
    put_key_text("    ", "path", module->path, out);
    put_identity("    ", &module->identity, out);
    fputs("    sites = (", out);
    for (size_t i = 0; i < module->site_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_site(&module->sites[i], out);
    }
    fputs(" );\n    loose = (", out);
    for (size_t i = 0; i < module->loose_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_loose(&module->loose[i], out);
    }
    fputs(" );", out);
    put_offsets("\n    returns", module->returns, module->return_count, out);
    fputs("\n    tails = (", out);
    for (size_t i = 0; i < module->tail_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_tail(&module->tails[i], out);
    }
    fprintf(out, " );\n    tails_complete = %s;\n  }", module->has_tails ? "true" : "false");
}

/* ---- The document ---- */

static void put_head(const struct document *document, FILE *out) {
    fputs("# Policy of ", out);
    text_put(document->program, out);
    fputs(", in the form that policygen writes.\n"
          "#\n"
          "# Each site is one place from which a function may be called: \"at\" is the return address,\n"
          "# relative to its module. Under an argument's name stand the values that it may have there:\n"
          "# \"static\" follows from the program, \"learned\" was observed, \"manual\" was written by a\n"
          "# person. \"any\" allows every value and says why none is known. An argument that a site does\n"
          "# not list may have any value, too. \"loose\" lists functions that may also be called through\n"
          "# pointers, \"returns\" where these may return to besides, \"tails\" the functions that a call\n"
          "# may end up in.\n"
          "#\n"
          "# Values: O_RDONLY|O_CLOEXEC, 1..5, mask:O_RDWR|O_CREAT, /etc/hosts, prefix:/var/lib/x/,\n"
          "# glob:/tmp/*.sock, null, inet:127.0.0.1:80, unix:/run/x, [0] sh (an element of argv). To\n"
          "# widen a rule, add to \"manual\"; to try a site without enforcing it, give it\n"
          "# site_mode = \"audit\". Then run: pinion check FILE\n\n",
          out);
}

static void put_verdict(const char *key, enum verdict verdict, const char *comment, FILE *out) {
    fprintf(out, "%s = \"%s\"; # %s\n", key, verdict_name(verdict), comment);
}

void document_write_text(const struct document *document, FILE *out) {
    put_head(document, out);
    fputs("format = 1;\n", out);
    put_key_text("", "program", document->program, out);
    put_identity("", &document->identity, out);
    fprintf(out, "mode = \"%s\"; # enforce, audit, learn or off\n\n", mode_name(document->mode));
    fputs("# Verdicts: kill, deny, log (allow with a line in the log) or allow.\n", out);
    put_verdict("on_violation", document->on_violation, "a call from another place or with another argument", out);
    put_verdict("on_broken_stack", document->on_broken_stack, "a stack that was certainly tampered with", out);
    put_verdict("on_unknown_stack", document->on_unknown_stack, "a stack that cannot be followed to its start", out);
    put_verdict("on_unlisted_module", document->on_unlisted_module, "a library of which nothing is listed here", out);
    put_verdict("on_anonymous_code", document->on_anonymous_code, "a call from code that is in no file", out);
    put_verdict("on_foreign_stack", document->on_foreign_stack, "a stack that was never announced", out);
    fputs("\nmodules = (", out);
    for (size_t i = 0; i < document->module_count; i++) {
        fputs(i > 0 ? "," : "", out);
        put_module(&document->modules[i], out);
    }
    fputs(" );\n", out);
}
