/* Incidents as lines of text and as JSON, the latter from the table of fields alone. */
#include "tools/patch/incident_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/api.h"
#include "runtime/text.h"
#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/event_print.h"
#include "tools/json.h"
#include "tools/patch/fields.h"

/* ---- JSON ---- */

static json_t *time_json(int64_t nanoseconds) {
    char text[EVENT_TIME_BYTES];
    if (nanoseconds == 0)
        return json_null();
    event_time_format((uint64_t)nanoseconds, text);
    return json_string(text);
}

static json_t *event_or_null(const struct event *event) {
    return event->size != 0 ? event_json(event, NULL) : json_null();
}

static json_t *field_json(const struct field *field, const void *record) {
    const void *value = field_of(field, record);
    switch (field->kind) {
    case FIELD_TIME: return time_json(*(const int64_t *)value);
    case FIELD_IDENTIFIER:
    case FIELD_INTEGER: return json_integer(*(const int64_t *)value);
    case FIELD_SIZE: return json_integer((json_int_t)(*(const uint64_t *)value));
    case FIELD_NUMBER: return json_integer(*(const unsigned *)value);
    case FIELD_PROCESS: return json_integer(*(const pid_t *)value);
    case FIELD_BOOL: return json_boolean(*(const bool *)value);
    case FIELD_REAL: return json_real(*(const double *)value);
    case FIELD_TEXT: return json_text(*(char *const *)value);
    case FIELD_STATE: return json_string(incident_state_word(*(const enum incident_state *)value));
    case FIELD_CLAIM: return json_string(claim_word(*(const enum claim *)value));
    case FIELD_EVENT: return event_or_null(value);
    case FIELD_KINDS: break;
    }
    return json_null();
}

static json_t *record_json(const struct fields *fields, const void *record) {
    json_t *object = json_object();
    for (size_t i = 0; i < fields->count; i++)
        json_object_set_new(object, fields->items[i].name, field_json(&fields->items[i], record));
    return object;
}

json_t *incident_json(struct journal *journal, const struct incident *incident, bool with_steps) {
    json_t *object = record_json(&incident_fields, incident);
    if (!with_steps)
        return object;
    struct step *steps;
    size_t count = journal_steps(journal, incident->id, &steps);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, record_json(&step_fields, &steps[i]));
    json_object_set_new(object, "steps", list);
    steps_free(steps, count);
    return object;
}

/* ---- text ---- */

static void put_text(const char *text, FILE *out) {
    cleanup_free char *clean = printable(text ? text : "");
    fputs(clean, out);
}

/* "NAME: TEXT" as a line of its own, if the text is known. */
static void put_line(const char *name, const char *text, FILE *out) {
    if (text == NULL || *text == '\0')
        return;
    fprintf(out, "  %-11s", name);
    put_text(text, out);
    fputc('\n', out);
}

static void put_time(int64_t nanoseconds, FILE *out) {
    char text[EVENT_TIME_BYTES];
    event_time_format((uint64_t)nanoseconds, text);
    fprintf(out, "%.10s %.8s", text, text + 11);
}

static void put_bytes(uint64_t bytes, FILE *out) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double amount = (double)bytes;
    size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        amount /= 1024;
    fprintf(out, unit > 0 ? "%.1f %s" : "%.0f %s", amount, units[unit]);
}

static void put_seconds(uint64_t nanoseconds, FILE *out) {
    fprintf(out, "%.3f s", (double)nanoseconds / 1e9);
}

static void put_versions(const struct incident *incident, FILE *out) {
    put_text(incident->package, out);
    if (incident->from != NULL) {
        fputc(' ', out);
        put_text(incident->from, out);
    }
    if (incident->to != NULL) {
        fputs(" -> ", out);
        put_text(incident->to, out);
    }
}

static const char *kind_of(const struct incident *incident) {
    if (incident->event.size == 0)
        return "by hand";
    return incident->event.flags & EVENT_ANOMALY ? "anomaly" : "violation";
}

static void put_match(const struct incident *incident, FILE *out) {
    if (incident->name != NULL) {
        put_text(incident->name, out);
        fprintf(out, " %.2f", incident->confidence);
    } else {
        put_text(incident->answer, out);
    }
}

char *incident_line(const struct incident *incident) {
    char *line = NULL;
    size_t size;
    FILE *out = xopen_memstream(&line, &size);
    fprintf(out, "%6" PRId64 "  ", incident->id);
    put_time(incident->created, out);
    fprintf(out, "  %-11s  %-9s", incident_state_word(incident->state), kind_of(incident));
    if (incident->event.size != 0) {
        fputs("  ", out);
        put_text(incident->event.path, out);
    }
    if (incident->name != NULL || incident->answer != NULL) {
        fputs("  ", out);
        put_match(incident, out);
    }
    if (incident->package != NULL) {
        fputs("  ", out);
        put_versions(incident, out);
    }
    if (incident->repeats > 0)
        fprintf(out, "  +%u", incident->repeats);
    fclose(out);
    return line;
}

static void put_event(const struct incident *incident, FILE *out) {
    if (incident->event.size == 0)
        return;
    cleanup_free char *text = event_text(&incident->event, NULL);
    fputs("  event      ", out);
    for (const char *at = text; *at != '\0'; at++) {
        fputc(*at, out);
        if (*at == '\n' && at[1] != '\0')
            fputs("           ", out);
    }
    fprintf(out, "  sender     process %d of user %u\n", (int)incident->sender, (unsigned)incident->sender_user);
    if (incident->repeats > 0)
        fprintf(out, "  repeats    %u more like it\n", incident->repeats);
}

static void put_claim(const struct incident *incident, FILE *out) {
    if (incident->claim == CLAIM_NONE || incident->event.size == 0)
        return;
    fprintf(out, "  claim      %s", claim_word(incident->claim));
    if (incident->claim_detail != NULL) {
        fputs(": ", out);
        put_text(incident->claim_detail, out);
    }
    fputc('\n', out);
}

static void put_answer(const struct incident *incident, FILE *out) {
    put_line("answer", incident->answer, out);
    if (incident->name != NULL) {
        fputs("  match      ", out);
        put_text(incident->name, out);
        fprintf(out, ", confidence %.2f\n", incident->confidence);
    }
    put_line("cve", incident->cve, out);
}

/* What somebody writes into the "answers" of a recipe for this. The texts are a sender's: in quotes, and the call one
 * that a policy knows, for the reader of recipes refuses others. */
static void put_wanted(const struct incident *incident, FILE *out) {
    char module[IDENTITY_TEXT_BYTES];
    const struct event *event = &incident->event;
    if (event->size == 0)
        return;
    if (event->flags & EVENT_ANOMALY) {
        if (incident->name == NULL)
            return;
        fputs("  answered by: signatures = [ ", out);
        text_put(incident->name, out);
        fputs(" ];\n", out);
    } else if (event->module.kind != IDENTITY_NONE) {
        identity_format(&event->module, module);
        fprintf(out, "  module     %s\n", module);
        if (api_by_name(event->api) != API_NONE)
            fprintf(out, "  answered by: violations = ( { module = \"%s\"; api = \"%s\"; } );\n", module, event->api);
    }
}

static void put_remedy(const struct incident *incident, FILE *out) {
    if (incident->recipe != NULL) {
        fputs("  recipe     ", out);
        put_text(incident->recipe, out);
        fprintf(out, ", serial %" PRId64, incident->serial);
        if (incident->digest != NULL) {
            fputs(", text ", out);
            put_text(incident->digest, out);
        }
        fputc('\n', out);
    }
    if (incident->package != NULL) {
        fputs("  package    ", out);
        put_versions(incident, out);
        fputc('\n', out);
    }
    put_line("root", incident->root, out);
    if (incident->target != 0)
        fprintf(out, "  target     process %d\n", (int)incident->target);
}

static void put_cost(const struct incident *incident, FILE *out) {
    if (incident->downloaded == 0 && incident->memory == 0 && incident->disk_growth == 0 && incident->outage == 0)
        return;
    int64_t growth = incident->disk_growth;
    fputs("  cost       ", out);
    put_bytes(incident->downloaded, out);
    fputs(" fetched, ", out);
    put_bytes(incident->memory, out);
    fputs(" of memory, ", out);
    put_bytes(growth < 0 ? -(uint64_t)growth : (uint64_t)growth, out);
    fputs(growth < 0 ? " of disk freed" : " of disk more", out);
    fputs(", unavailable for ", out);
    put_seconds(incident->outage, out);
    fputc('\n', out);
}

static void put_step(const struct step *step, FILE *out) {
    fputs("    ", out);
    put_time(step->begun, out);
    fputs("  ", out);
    cleanup_free char *name = printable(step->name ? step->name : "");
    fprintf(out, "%-8s  ", name);
    if (step->ended == 0) {
        fputs("under way", out);
    } else {
        fputs(step->good ? "good, " : "failed, ", out);
        put_seconds(step->ended > step->begun ? (uint64_t)(step->ended - step->begun) : 0, out);
    }
    if (step->bytes > 0) {
        fputs(", ", out);
        put_bytes(step->bytes, out);
    }
    if (step->memory > 0) {
        fputs(", ", out);
        put_bytes(step->memory, out);
        fputs(" of memory", out);
    }
    if (step->detail != NULL) {
        fputs(": ", out);
        put_text(step->detail, out);
    }
    fputc('\n', out);
}

static void put_steps(struct journal *journal, int64_t incident, FILE *out) {
    struct step *steps;
    size_t count = journal_steps(journal, incident, &steps);
    if (count > 0)
        fputs("  steps\n", out);
    for (size_t i = 0; i < count; i++)
        put_step(&steps[i], out);
    steps_free(steps, count);
}

char *incident_text(struct journal *journal, const struct incident *incident) {
    char *text = NULL;
    size_t size;
    FILE *out = xopen_memstream(&text, &size);
    fprintf(out, "incident %" PRId64 ": %s", incident->id, incident_state_word(incident->state));
    if (incident->detail != NULL) {
        fputs(": ", out);
        put_text(incident->detail, out);
    }
    fputs("\n  created    ", out);
    put_time(incident->created, out);
    fputs("\n  changed    ", out);
    put_time(incident->changed, out);
    fputc('\n', out);
    put_event(incident, out);
    put_claim(incident, out);
    put_answer(incident, out);
    put_wanted(incident, out);
    put_remedy(incident, out);
    put_cost(incident, out);
    put_steps(journal, incident->id, out);
    fclose(out);
    return text;
}
