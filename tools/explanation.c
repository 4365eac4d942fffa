/* Gathering what explains a denial. Nothing is printed here. */
#include "tools/explanation.h"

#include <errno.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/allows.h"
#include "tools/describe.h"

enum {
    LINES_BEFORE = 6,
    LINES_AFTER = 3
};

/* ---- The program ---- */

static bool is_build(const struct object *object, const char *build_id) {
    char text[IDENTITY_TEXT_BYTES];
    identity_format(&object->identity, text);
    return strcmp(text, build_id) == 0;
}

static void read_function(struct explanation *explanation, const struct object *object) {
    const struct denial *denial = explanation->denial;
    struct symbol symbol;
    uint64_t start;
    uint64_t end;
    if (object_symbol(object, denial->offset - 1, &symbol) && denial->offset - 1 - symbol.address < symbol.size)
        explanation->function =
            xasprintf("%s+0x%llx", symbol.name, (unsigned long long)(denial->offset - symbol.address));
    else if (object_function(object, denial->offset - 1, &start, &end))
        explanation->function = xasprintf("the function at 0x%llx (it has no name)", (unsigned long long)start);
}

static void read_code(struct explanation *explanation, const char *root) {
    const struct denial *denial = explanation->denial;
    if (!denial->has_offset) {
        explanation->code_note = xstrdup("the line names no place in a program or library");
        return;
    }
    cleanup_free char *path = xasprintf("%s%s", root, denial->module);
    struct object object;
    if (!object_open(&object, path)) {
        explanation->code_note = xasprintf("cannot show the code: cannot read %s: %s", path, strerror(errno));
        return;
    }
    if (object.format != OBJECT_ELF)
        explanation->code_note = xasprintf("cannot show the code: %s is no 64-bit ELF file", path);
    else if (!is_build(&object, denial->module_build_id))
        explanation->code_note =
            xasprintf("cannot show the code: %s is another build now than the one that was denied", path);
    else
        read_function(explanation, &object);
    if (!explanation->code_note)
        explanation->listing = disassemble_call(&object, denial->offset, LINES_BEFORE, LINES_AFTER);
    if (!explanation->code_note && !explanation->listing.count)
        explanation->code_note = xasprintf("0x%x is not in the code of %s", denial->offset, path);
    object_close(&object);
}

/* ---- The policy ---- */

/* The text form says more than the compiled one. */
static char *find_policy(const struct denial *denial, const struct explain_place *place) {
    if (place->policy)
        return xstrdup(place->policy);
    if (!*denial->program)
        return NULL;
    char *text = policy_path(place->directory, denial->program, POLICY_TEXT_SUFFIX);
    if (access(text, R_OK) == 0)
        return text;
    free(text);
    char *compiled = policy_path(place->directory, denial->program, POLICY_COMPILED_SUFFIX);
    if (access(compiled, R_OK) == 0)
        return compiled;
    free(compiled);
    return NULL;
}

static bool has_build(const struct identity *identity, const char *build_id) {
    char text[IDENTITY_TEXT_BYTES];
    identity_format(identity, text);
    return strcmp(text, build_id) == 0;
}

static const struct module *find_module(const struct document *document, const struct denial *denial) {
    for (size_t i = 0; i < document->module_count; i++)
        if (*denial->module_build_id && has_build(&document->modules[i].identity, denial->module_build_id))
            return &document->modules[i];
    return NULL;
}

static const struct site *find_site(const struct module *module, const struct denial *denial) {
    for (size_t i = 0; i < module->site_count; i++)
        if (module->sites[i].offset == denial->offset && module->sites[i].api == denial->api)
            return &module->sites[i];
    return NULL;
}

static void read_policy(struct explanation *explanation, const struct explain_place *place) {
    const struct denial *denial = explanation->denial;
    explanation->policy_path = find_policy(denial, place);
    if (!explanation->policy_path) {
        explanation->policy_note = xasprintf("there is no policy of %s in %s: say where with --policy or --policy-dir",
                                             *denial->program ? denial->program : "the program", place->directory);
        return;
    }
    struct mistake mistake = {0};
    if (!policy_load(explanation->policy_path, &explanation->policy, &mistake)) {
        explanation->policy_note = xasprintf("cannot read the policy \"%s\" line %u: %s", explanation->policy_path,
                                             mistake.line, mistake.text);
        return;
    }
    const struct document *document = &explanation->policy.document;
    if (*denial->build_id && !has_build(&document->identity, denial->build_id))
        explanation->policy_note =
            xasprintf("the policy \"%s\" is for another build of %s than the one that was denied",
                      explanation->policy_path, document->program);
    explanation->module = find_module(document, denial);
    if (explanation->module && denial->has_offset && denial->api != API_NONE)
        explanation->site = find_site(explanation->module, denial);
}

static void read_allowed(struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    const struct constraint *constraint = NULL;
    if (explanation->site && denial->argument >= 0)
        constraint = find_constraint(explanation->site, (unsigned)denial->argument);
    if (!constraint)
        return;
    enum argument_kind kind = api_table[denial->api].arguments[denial->argument].kind;
    struct value seen;
    bool known = denial_value(denial, &seen);
    explanation->allowed_now = constraint->any || (known && constraint_lists(constraint, kind, &seen));
    for (size_t i = 0; i < constraint->value_count; i++) {
        struct allowed_row *row = array_append(explanation->rows, explanation->row_count);
        row->value = describe_value(&constraint->values[i], kind);
        row->origin = constraint->values[i].origin;
        row->why_not = known ? why_not(&constraint->values[i], kind, &seen) : NULL;
    }
    if (known)
        free(seen.text);
}

/* ---- What to write into the policy ---- */

/* The text form of a site that stands alone, from `start` to `end` (both searched, `end` excluded). */
static char *cut_from_text(const struct site *site, const char *start, const char *end) {
    struct module module = {.path = (char[]){""}, .sites = (struct site *)(uintptr_t)site, .site_count = 1};
    struct document document = {.program = (char[]){""}, .modules = &module, .module_count = 1};
    document.mode = MODE_ENFORCE;
    cleanup_free char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);
    if (memory) {
        document_write_text(&document, memory);
        fclose(memory);
    }
    const char *from = text ? strstr(text, "\n    sites = (") : NULL;
    from = from ? strstr(from, start) : NULL;
    const char *to = from ? strstr(from + strlen(start), end) : NULL;
    return to ? xstrndup(from, (size_t)(to - from)) : NULL;
}

static char *manual_list(const struct denial *denial, struct value *value, bool child) {
    value->origin = ORIGIN_MANUAL;
    struct constraint constraint = {.argument = (uint8_t)denial->argument, .values = value, .value_count = 1};
    struct site site = {.offset = denial->offset, .api = (uint16_t)denial->api};
    if (child) {
        site.children = value;
        site.child_count = 1;
    } else {
        site.constraints = &constraint;
        site.constraint_count = 1;
    }
    cleanup_free char *list = cut_from_text(&site, "manual = [", "];");
    return list ? xasprintf("%s];", list) : NULL;
}

/* The line of a policy's text in which a group of the site begins; `group` NULL: the site itself. */
static unsigned find_line(const char *path, const struct denial *denial, const char *group) {
    size_t size;
    cleanup_free char *content = file_read(path, POLICY_MAX_BYTES, &size);
    cleanup_free char *site = xasprintf("at = 0x%xL; api = \"%s\"", denial->offset, denial->api_name);
    /* The program's own build-id stands at the top as well. */
    const char *modules = content ? strstr(content, "\nmodules = (") : NULL;
    const char *module = modules && *denial->module_build_id ? strstr(modules, denial->module_build_id) : NULL;
    const char *found = module ? strstr(module, site) : NULL;
    if (found && group) {
        cleanup_free char *start = xasprintf("\n        %s = {", group);
        found = strstr(found, start);
        found = found ? found + 1 : NULL;
    }
    if (!found)
        return 0;
    unsigned line = 1;
    for (const char *at = content; at < found; at++)
        line += *at == '\n';
    return line;
}

static void edit_argument(struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    struct edit *edit = &explanation->edit;
    struct value value;
    if (!denial_value(denial, &value))
        return;
    edit->place = xasprintf("in the group \"%s\" of the site at 0x%x", denial->argument_name, denial->offset);
    edit->text = manual_list(denial, &value, false);
    edit->line = find_line(edit->file, denial, denial->argument_name);
    free(value.text);
}

static void edit_child(struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    struct edit *edit = &explanation->edit;
    struct value value;
    if (!denial_value(denial, &value) || value.kind != VALUE_TEXT)
        return;
    cleanup_free char *list = manual_list(denial, &value, true);
    edit->place = xasprintf("in the site at 0x%x", denial->offset);
    edit->text = list ? xasprintf("children = { %s };", list) : NULL;
    edit->line = find_line(edit->file, denial, NULL);
    free(value.text);
}

static void edit_site(struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    struct site site = {.offset = denial->offset, .api = (uint16_t)denial->api, .origin = ORIGIN_MANUAL};
    if (!denial->has_offset || denial->api == API_NONE)
        return;
    cleanup_free char *text = cut_from_text(&site, "{ at = ", " );\n    loose");
    explanation->edit.place =
        xasprintf("in the list \"sites\" of the module %s, with a comma to its neighbour", denial->module);
    explanation->edit.text = steal_pointer(&text);
}

static void edit_verdict(struct explanation *explanation, const char *key) {
    explanation->edit.place = xstrdup("at the top of the policy");
    explanation->edit.text = xasprintf("%s = \"log\";", key);
}

/* A site's mode covers its stack as well, its verdict does not. */
static void edit_site_mode(struct explanation *explanation) {
    explanation->edit.place = xasprintf("in the site at 0x%x", explanation->denial->offset);
    explanation->edit.text = xstrdup("site_mode = \"audit\";");
    explanation->edit.line = find_line(explanation->edit.file, explanation->denial, NULL);
}

static void find_edit(struct explanation *explanation) {
    const struct denial *denial = explanation->denial;
    struct edit *edit = &explanation->edit;
    edit->file = explanation->policy_path && has_suffix(explanation->policy_path, POLICY_TEXT_SUFFIX)
                     ? xstrdup(explanation->policy_path)
                     : policy_path(POLICY_DIRECTORY, denial->program, POLICY_TEXT_SUFFIX);
    switch (denial->reason) {
    case REASON_ARGUMENT: edit_argument(explanation); break;
    case REASON_UNKNOWN_SITE: edit_site(explanation); break;
    case REASON_UNPROTECTED_CHILD: edit_child(explanation); break;
    case REASON_UNKNOWN_MODULE:
    case REASON_CHANGED_MODULE: edit_verdict(explanation, "on_unlisted_module"); break;
    case REASON_ANONYMOUS_CODE: edit_verdict(explanation, "on_anonymous_code"); break;
    case REASON_STACK_UNKNOWN: edit_verdict(explanation, "on_unknown_stack"); break;
    case REASON_STACK_PIVOT:
    case REASON_STACK_NOT_AFTER_CALL:
    case REASON_STACK_NOT_CODE:
    case REASON_STACK_WRONG_CALLEE:
    case REASON_STACK_ORDER:
        if (explanation->site)
            edit_site_mode(explanation);
        else
            edit_verdict(explanation, denial->reason == REASON_STACK_PIVOT ? "on_foreign_stack" : "on_broken_stack");
        break;
    default: break;
    }
}

/* ---- The three choices ---- */

/* What each reason means for the choices. NULL: the general sentence. With `edit`, nothing was stopped that could be
 * allowed. */
static const struct advice {
    const char *attack;
    const char *learn;
    const char *edit;
} advices[REASON_COUNT] = {
    [REASON_ANOMALY] = {.attack = "To learn which attack it is, if it is one:\n"
                                  "  pinion events --db DB                                       the next ones, live\n"
                                  "  pinion signature lookup --db DB --model MODEL RECORDING     in what was recorded",
                        .learn = "If this was ordinary work, teach it to the model, with its interval in MS:\n"
                                 "  pinion record -i MS -o more.csv -- COMMAND ...\n"
                                 "  pinion train --merge MODEL -o MODEL more.csv",
                        .edit = "Nothing was stopped, and no line of a policy is about this. Where alarms of ordinary "
                                "work are too many, train with a smaller --rate, or with --consecutive 2."},
    [REASON_BAD_MODEL] = {.attack = "If nobody changed the model, somebody else did: look at its owner, mode and date.",
                          .learn = "Otherwise train it anew, and chmod go-w it; where the page of counts has another "
                                   "interval, remove the page, so that it is made with the model's interval:\n"
                                   "  pinion train -o MODEL RECORDING ...\n"
                                   "  pinion doctor PROGRAM     tells where model and page are",
                          .edit = "Nothing was stopped: the policy holds as before, only intervals are not scored. "
                                  "Without a model there is no such line: remove it, or set PINION_MODEL to nothing."},
    [REASON_BAD_COUNTS] = {.attack =
                               "If nobody changed the page of counts, somebody else did: look at its owner and date.",
                           .learn = "Otherwise remove the page: the next program that starts makes it anew. pinion "
                                    "doctor PROGRAM tells where it is.",
                           .edit = "Nothing was stopped: the policy holds as before, the process counts for itself."},
    [REASON_UNKNOWN_MODULE] = {.learn = "If the library belongs to the program, analyse it with the program: policygen "
                                        "--also LIBRARY PROGRAM."},
    [REASON_CHANGED_MODULE] = {.learn = "If the library was updated, analyse the program again: policygen PROGRAM.",
                               .attack = "If nobody updated the library, somebody replaced it: compare it with its "
                                         "package."},
    [REASON_ANONYMOUS_CODE] = {.attack = "Unless the program makes code while it runs (a just-in-time compiler), this "
                                         "is code that an attacker put there.",
                               .learn = "Code without a file cannot be learned."},
    [REASON_STACK_NOT_AFTER_CALL] = {.attack = "Ordinary programs do not do this. It is what a chain of return "
                                               "addresses written by an attacker looks like.",
                                     .learn = "A broken stack cannot be learned."},
    [REASON_STACK_NOT_CODE] = {.attack =
                                   "Ordinary programs do not do this, unless they make code while they run. It is "
                                   "what a call from injected code looks like.",
                               .learn = "A broken stack cannot be learned."},
    [REASON_STACK_WRONG_CALLEE] = {.attack = "Ordinary programs do not do this. It is what a chain of return addresses "
                                             "looks like that an attacker chose with care.",
                                   .learn = "A broken stack cannot be learned."},
    [REASON_STACK_PIVOT] = {.attack = "It is what an attack looks like that moved the stack into data it had written.",
                            .learn = "A stack cannot be learned. Programs with coroutines of their own use stacks that "
                                     "nobody announces."},
    [REASON_STACK_ORDER] = {.attack = "Ordinary programs do not do this. It is what an overwritten stack looks like.",
                            .learn = "A broken stack cannot be learned."},
    [REASON_STACK_UNKNOWN] = {.attack =
                                  "By itself this is no sign of an attack: some code lacks the information that is "
                                  "needed to follow the stack.",
                              .learn = "A stack cannot be learned."},
    [REASON_SELF_PROTECTION] = {.attack = "Programs have no reason to touch this memory: treat it as an attack unless "
                                          "you know of a debugger or a tool that patches code at run time.",
                                .learn = "This rule is built in: nothing can be learned."},
    [REASON_FOREIGN_NAMESPACE] = {.attack =
                                      "A library beside a second libc would not be protected: few programs ask for "
                                      "that.",
                                  .learn = "This cannot be learned."},
    [REASON_BAD_POINTER] = {.attack =
                                "The program passed a pointer to nothing: a crash in the making, or an attack that "
                                "went wrong.",
                            .learn = "There is nothing to learn: the call would have failed without Pinion as well."},
    [REASON_DEEP_BINDING] = {.attack = "The library loads as before, but its calls pass through Pinion: the flag was "
                                       "taken away.",
                             .learn = "There is nothing to learn."},
    [REASON_SANITIZER] = {.attack = "This is no attack: such a program is for testing and runs without Pinion.",
                          .learn = "To protect the program, build it without the sanitizer."},
    [REASON_NO_SLOT] = {.attack =
                            "The process had no memory left to examine the call in: look at its limits, and at who "
                            "used them up.",
                        .learn = "There is nothing to learn."},
    [REASON_NO_POLICY] = {.attack = "If the program should not run here, find out who started it.",
                          .learn = "Give the program a policy: policygen PROGRAM."},
    [REASON_STALE_POLICY] = {.attack =
                                 "If nobody updated the program, somebody replaced it: compare it with its package.",
                             .learn = "If it was updated, make the policy again: policygen PROGRAM."},
    [REASON_BAD_POLICY] = {.attack =
                               "If nobody changed the policy's file, somebody else did: look at its owner, mode and "
                               "date.",
                           .learn = "Otherwise make it again: pinion check --compile FILE.policy, and chmod go-w it."},
    [REASON_BAD_SETTING] = {.attack = "If you did not set the variable, find out who started the program.",
                            .learn = "Otherwise correct the variable: pinion run --help shows what they mean."},
};

/* The program runs under the policies of the directory in which its own lies. */
static char *learn_sentence(const struct explanation *explanation, const struct explain_place *place) {
    const struct denial *denial = explanation->denial;
    const char *program = *denial->program ? denial->program : "COMMAND";
    const char *path = explanation->policy_path, *name = path == NULL ? NULL : base_name(path);
    cleanup_free char *beside =
        name == NULL || name == path ? NULL : xstrndup(path, (size_t)(name - path > 1 ? name - path - 1 : 1));
    const char *directory = beside != NULL ? beside : path != NULL ? "." : place->directory;
    bool is_default = strcmp(directory, POLICY_DIRECTORY) == 0;
    return xasprintf("If the program does this in its ordinary work, let Pinion learn it from a run you trust, where "
                     "nobody attacks:\n  pinion learn %s%s%s-- %s ...\n  pinion merge %s pinion.record",
                     is_default ? "" : "--policy-dir ", is_default ? "" : directory, is_default ? "" : " ", program,
                     explanation->edit.file);
}

static bool is_about_value(int reason) {
    return reason == REASON_ARGUMENT || reason == REASON_UNKNOWN_SITE || reason == REASON_UNPROTECTED_CHILD;
}

static char *edit_sentence(const struct explanation *explanation) {
    const struct edit *edit = &explanation->edit;
    if (!denial_is_of_call(explanation->denial))
        return xstrdup(advices[explanation->denial->reason].edit);
    if (!edit->text && explanation->denial->reason == REASON_ARGUMENT)
        return xasprintf("To allow exactly this, add the value to the list \"manual\" of this argument in %s; the line "
                         "does not hold the whole value.",
                         edit->file);
    if (!edit->text)
        return xstrdup("No line of a policy allows this.");
    const char *effect = is_about_value(explanation->denial->reason) ? "allow exactly this" : "only log this in future";
    char where[32] = "";
    if (edit->line)
        snprintf(where, sizeof where, " line %u", edit->line);
    return xasprintf("To %s, write in %s%s, %s:\n  %s\nand then: pinion check --compile %s", effect, edit->file, where,
                     edit->place, edit->text, edit->file);
}

static char *attack_sentence(const struct denial *denial, const char *attack) {
    if (!denial_is_of_call(denial))
        return xstrdup(attack);
    return xasprintf("%s If it is an attack, it was stopped%s: keep this line, look at what the program was sent at "
                     "that time, and update the program.",
                     attack ? attack : "If you cannot say why the program should do this, take it for an attack.",
                     strcmp(denial->verdict, "deny") == 0 || strcmp(denial->verdict, "kill") == 0
                         ? ""
                         : " only in mode enforce (this line is a warning)");
}

static void make_choices(struct explanation *explanation, const struct explain_place *place) {
    static const struct advice none;
    int reason = explanation->denial->reason;
    const struct advice *advice = reason >= 0 ? &advices[reason] : &none;
    explanation->choices[CHOICE_ATTACK] = attack_sentence(explanation->denial, advice->attack);
    explanation->choices[CHOICE_LEARN] = advice->learn ? xstrdup(advice->learn) : learn_sentence(explanation, place);
    explanation->choices[CHOICE_EDIT] = edit_sentence(explanation);
}

void explanation_make(struct explanation *explanation, const struct denial *denial, const struct explain_place *place) {
    *explanation = (struct explanation){.denial = denial, .call = denial_call(denial)};
    if (denial_is_of_call(denial)) {
        read_code(explanation, place->root);
        read_policy(explanation, place);
        read_allowed(explanation);
        find_edit(explanation);
    }
    make_choices(explanation, place);
}

void explanation_free(struct explanation *explanation) {
    for (size_t i = 0; i < explanation->row_count; i++) {
        free(explanation->rows[i].value);
        free(explanation->rows[i].why_not);
    }
    free(explanation->rows);
    for (size_t i = 0; i < CHOICE_COUNT; i++)
        free(explanation->choices[i]);
    listing_free(&explanation->listing);
    policy_unload(&explanation->policy);
    free(explanation->call);
    free(explanation->function);
    free(explanation->code_note);
    free(explanation->policy_path);
    free(explanation->policy_note);
    free(explanation->edit.file);
    free(explanation->edit.place);
    free(explanation->edit.text);
}
