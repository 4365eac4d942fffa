/* Not a hazard, but the hand that prepares them: compiles a policy's text form after changing some rules, which it
 * finds by the names of functions, since return addresses change with every compiler.
 *
 *   edit_policy IN.policy OUT.pinion [CHANGE]...
 *
 *   mode=audit  on_violation=kill  on_unlisted_module=allow ...  the head of the policy
 *   FUNCTION:API:ARGUMENT=VALUE      only this value (and those of further such changes) may be passed there
 *   FUNCTION:API:children=VALUE      the site may start this program unprotected
 *   FUNCTION:API:mode=MODE           likewise verdict=VERDICT
 */
#include <fcntl.h>
#include <gelf.h>
#include <string.h>

#include "runtime/document.h"
#include "runtime/util.h"

/* ---- where a function lies ---- */

struct extent {
    uint64_t low, high;
};

static bool find_symbol(Elf *elf, const char *name, struct extent *extent) {
    for (Elf_Scn *section = NULL; (section = elf_nextscn(elf, section)) != NULL;) {
        GElf_Shdr header;
        GElf_Sym symbol;
        Elf_Data *data;
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_SYMTAB)
            continue;
        data = elf_getdata(section, NULL);
        for (int i = 0; gelf_getsym(data, i, &symbol) != NULL; i++)
            if (GELF_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_value != 0 &&
                strcmp(elf_strptr(elf, header.sh_link, symbol.st_name), name) == 0) {
                *extent = (struct extent){symbol.st_value, symbol.st_value + symbol.st_size};
                return true;
            }
    }
    return false;
}

static bool find_function(const char *path, const char *name, struct extent *extent) {
    cleanup_fd int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    Elf *elf = elf_begin(file, ELF_C_READ, NULL);
    bool found = elf != NULL && find_symbol(elf, name, extent);
    elf_end(elf);
    return found;
}

/* ---- changes ---- */

static unsigned word_index(const char *word, const char *(*name_of)(unsigned), unsigned count) {
    for (unsigned i = 1; i < count; i++)
        if (strcmp(name_of(i), word) == 0)
            return i;
    die("unknown word \"%s\"", word);
}

static const char *name_of_mode(unsigned mode) {
    return mode_name(mode);
}

static const char *name_of_verdict(unsigned verdict) {
    return verdict_name(verdict);
}

static enum mode parse_mode(const char *word) {
    return word_index(word, name_of_mode, MODE_OFF + 1);
}

static enum verdict parse_verdict(const char *word) {
    return word_index(word, name_of_verdict, VERDICT_ALLOW + 1);
}

static void change_head(struct document *document, const char *key, const char *word) {
    const struct {
        const char *key;
        enum verdict *verdict;
    } verdicts[] = {
        {"on_violation", &document->on_violation},           {"on_broken_stack", &document->on_broken_stack},
        {"on_unknown_stack", &document->on_unknown_stack},   {"on_unlisted_module", &document->on_unlisted_module},
        {"on_anonymous_code", &document->on_anonymous_code}, {"on_foreign_stack", &document->on_foreign_stack},
    };
    if (strcmp(key, "mode") == 0) {
        document->mode = parse_mode(word);
        return;
    }
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        if (strcmp(verdicts[i].key, key) == 0) {
            *verdicts[i].verdict = parse_verdict(word);
            return;
        }
    die("unknown key \"%s\"", key);
}

static struct value parse_value(const char *text, enum argument_kind kind) {
    struct value value = {0};
    struct mistake mistake = {0};
    if (!value_parse(text, kind, &value, &mistake))
        die("%s", mistake.text);
    value.origin = ORIGIN_MANUAL;
    return value;
}

static void change_argument(struct site *site, const char *name, const char *text) {
    const struct api *api = &api_table[site->api];
    for (unsigned i = 0; i < api->argument_count; i++) {
        if (strcmp(api->arguments[i].name, name) != 0)
            continue;
        struct constraint *constraint = site_constraint(site, (uint8_t)i);
        bool again = constraint->value_count > 0 && constraint->values[0].origin == ORIGIN_MANUAL;
        if (!again)
            constraint->value_count = 0;
        constraint->any = false;
        constraint_add(constraint, parse_value(text, api->arguments[i].kind));
        return;
    }
    die("%s has no argument \"%s\"", api->name, name);
}

static void change_site(struct site *site, const char *key, const char *text) {
    if (strcmp(key, "children") == 0)
        site_add_child(site, parse_value(text, KIND_PATH));
    else if (strcmp(key, "mode") == 0)
        site->mode = parse_mode(text);
    else if (strcmp(key, "verdict") == 0)
        site->verdict = parse_verdict(text);
    else
        change_argument(site, key, text);
}

static unsigned change_module(struct module *module, const char *function, unsigned api, const char *key,
                              const char *text) {
    struct extent extent;
    unsigned changed = 0;
    if (!find_function(module->path, function, &extent))
        return 0;
    for (size_t i = 0; i < module->site_count; i++) {
        struct site *site = &module->sites[i];
        if (site->api == api && site->offset > extent.low && site->offset <= extent.high) {
            change_site(site, key, text);
            changed++;
        }
    }
    return changed;
}

static void change(struct document *document, char *description) {
    char *text = strchr(description, '='), *function = description;
    if (text == NULL)
        die("no value in \"%s\"", description);
    *text++ = '\0';
    char *api = strchr(function, ':');
    if (api == NULL) {
        change_head(document, description, text);
        return;
    }
    *api++ = '\0';
    char *key = strchr(api, ':');
    if (key == NULL)
        die("no argument in \"%s:%s\"", function, api);
    *key++ = '\0';
    unsigned index = api_by_name(api), changed = 0;
    if (index == API_NONE)
        die("unknown API \"%s\"", api);
    for (size_t i = 0; i < document->module_count; i++)
        changed += change_module(&document->modules[i], function, index, key, text);
    if (changed == 0)
        die("no function \"%s\" calls %s", function, api);
}

int main(int count, char **arguments) {
    struct document document;
    struct mistake mistake;
    size_t size;
    if (count < 3)
        die("usage: edit_policy IN.policy OUT.pinion [CHANGE]...");
    elf_version(EV_CURRENT);
    document_init(&document);
    if (!document_read_text(arguments[1], &document, &mistake))
        die("%s:%u: %s", arguments[1], mistake.line, mistake.text);
    for (int i = 3; i < count; i++)
        change(&document, arguments[i]);
    document_sort(&document);
    cleanup_free void *image = document_compile(&document, &size);
    if (!atomic_file_write(arguments[2], 0644, image, size))
        die_with_error("cannot write \"%s\"", arguments[2]);
    document_free(&document);
    return EXIT_FINE;
}
