/* One site a line: function, API, and what each argument may be. */
#include "policygen/sites.h"

static void print_constraint(const struct site *site, const struct constraint *constraint, FILE *out) {
    const struct argument *argument = &api_table[site->api].arguments[constraint->argument];
    fprintf(out, " %s=", argument->name);
    for (size_t i = 0; i < constraint->value_count; i++) {
        char text[4096 + 64];
        value_format(&constraint->values[i], (enum argument_kind)argument->kind, text, sizeof text);
        fprintf(out, "%s%s", i == 0 ? "" : ",", text);
    }
    if (constraint->any)
        fprintf(out, "%sany(%s)", constraint->value_count == 0 ? "" : ",", constraint->why_any);
}

static void print_site(const struct site *site, FILE *out) {
    fprintf(out, "  %s %s", site->function == NULL ? "-" : site->function, api_table[site->api].name);
    for (size_t i = 0; i < site->constraint_count; i++)
        print_constraint(site, &site->constraints[i], out);
    fprintf(out, "\n");
}

void sites_print(const struct document *document, FILE *out) {
    for (size_t i = 0; i < document->module_count; i++) {
        const struct module *module = &document->modules[i];
        fprintf(out, "%s\n", module->path);
        for (size_t j = 0; j < module->site_count; j++)
            print_site(&module->sites[j], out);
        for (size_t j = 0; j < module->loose_count; j++)
            fprintf(out, "  loose %s %s (%s)\n", api_table[module->loose[j].api].name,
                    module->loose[j].how == LOOSE_AFTER_ANY_CALL ? "after any call" : "after an indirect call",
                    module->loose[j].why);
    }
}
