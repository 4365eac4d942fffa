/* Showing events. All texts are the sender's, who may be anyone. */
#include "tools/event_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "runtime/util.h"
#include "tools/describe.h"
#include "tools/evidence.h"
#include "tools/json.h"

void event_time_format(uint64_t nanoseconds, char text[EVENT_TIME_BYTES]) {
    time_t seconds = (time_t)(nanoseconds / 1000000000);
    struct tm parts;
    char date[24];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
    snprintf(text, EVENT_TIME_BYTES, "%s.%06uZ", date, (unsigned)(nanoseconds % 1000000000 / 1000));
}

static const char *kind_of(const struct event *event) {
    return event->flags & EVENT_ANOMALY ? "anomaly" : "violation";
}

static const char *verdict_of(const struct event *event) {
    if (event->flags & EVENT_KILLED)
        return "kill";
    return event->flags & EVENT_DENIED ? "deny" : "log";
}

/* ---- JSON ---- */

static json_t *names_json(const char (*names)[EVENT_NAME_BYTES], unsigned count) {
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_text(names[i]));
    return list;
}

static json_t *risen_json(const struct event *event) {
    json_t *list = json_array();
    for (unsigned i = 0; i < event->risen_count; i++)
        json_array_append_new(
            list, json_pack("{s:o, s:i}", "call", json_text(event->risen[i]), "rise", (int)event->rises[i]));
    return list;
}

static void add_anomaly(json_t *object, const struct event *event) {
    char digest[DIGEST_TEXT_BYTES], start[EVENT_TIME_BYTES];
    digest_format(event->signature, digest);
    event_time_format(event->start, start);
    json_object_set_new(object, "interval", json_integer((json_int_t)event->interval));
    json_object_set_new(object, "start", json_string(start));
    json_object_set_new(object, "length_ms", json_integer((json_int_t)(event->length / 1000000)));
    json_object_set_new(object, "score", json_real((double)event->score / 1e6));
    json_object_set_new(object, "threshold", json_real((double)event->threshold / 1e6));
    json_object_set_new(object, "signature", json_string(digest));
    json_object_set_new(object, "top", names_json(event->top, event->top_count));
    json_object_set_new(object, "never_seen", names_json(event->never_seen, event->never_seen_count));
    json_object_set_new(object, "never_seen_total", json_integer(event->never_seen_total));
    json_object_set_new(object, "risen", risen_json(event));
    json_object_set_new(object, "violations", json_integer(event->violations));
}

static void add_violation(json_t *object, const struct event *event) {
    json_object_set_new(object, "verdict", json_string(verdict_of(event)));
    json_object_set_new(object, "reason", json_text(event->reason));
    json_object_set_new(object, "api", json_text(event->api));
    json_object_set_new(object, "site",
                        json_pack("{s:o, s:o, s:o}", "module", json_text(event->module_path), "build_id",
                                  json_identity(&event->module), "offset", json_offset(event->offset)));
}

json_t *event_json(const struct event *event, const struct ucred *sender) {
    char when[EVENT_TIME_BYTES];
    event_time_format(event->time, when);
    json_t *object =
        json_pack("{s:s, s:s, s:i, s:i, s:o, s:o}", "time", when, "event", kind_of(event), "pid", (int)event->pid,
                  "tid", (int)event->thread, "exe", json_text(event->path), "build_id", json_identity(&event->program));
    if (sender != NULL)
        json_object_set_new(
            object, "sender",
            json_pack("{s:i, s:i, s:i}", "pid", (int)sender->pid, "uid", (int)sender->uid, "gid", (int)sender->gid));
    if (event->flags & EVENT_ANOMALY)
        add_anomaly(object, event);
    else
        add_violation(object, event);
    return object;
}

/* ---- text ---- */

static void put_clean(const char *text, FILE *out) {
    cleanup_free char *clean = printable(text);
    fputs(clean, out);
}

static void put_names(const char *head, const char (*names)[EVENT_NAME_BYTES], unsigned count, FILE *out) {
    if (count == 0)
        return;
    fputs(head, out);
    for (unsigned i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", out);
        put_clean(names[i], out);
    }
    fputc('\n', out);
}

static void put_anomaly(const struct event *event, FILE *out) {
    char digest[DIGEST_TEXT_BYTES];
    digest_format(event->signature, digest);
    fprintf(out, "  interval %" PRIu64 ": score %.6g, threshold %.6g\n", event->interval, (double)event->score / 1e6,
            (double)event->threshold / 1e6);
    fprintf(out, "  signature %s\n", digest);
    put_names("  most frequent: ", event->top, event->top_count, out);
    put_names("  never seen in training: ", event->never_seen, event->never_seen_count, out);
    put_names("  rose most: ", event->risen, event->risen_count < 8 ? event->risen_count : 8, out);
    if (event->violations > 0)
        fprintf(out, "  with %u refused calls\n", event->violations);
}

static void put_violation(const struct event *event, FILE *out) {
    fprintf(out, "  %s ", verdict_of(event));
    put_clean(event->api, out);
    fputs(": ", out);
    put_clean(event->reason, out);
    fputs(", called from ", out);
    if (event->module_path[0] != '\0') {
        put_clean(event->module_path, out);
        fputc('+', out);
    }
    fprintf(out, "0x%" PRIx64 "\n", event->offset);
}

char *event_text(const struct event *event, const struct ucred *sender) {
    char *text = NULL;
    size_t size;
    char when[EVENT_TIME_BYTES];
    event_time_format(event->time, when);
    FILE *out = xopen_memstream(&text, &size);
    fprintf(out, "%s %s: process %u, ", when, kind_of(event), event->pid);
    put_clean(event->path, out);
    if (sender != NULL)
        fprintf(out, ", sent by process %d of user %u", (int)sender->pid, (unsigned)sender->uid);
    fputc('\n', out);
    if (event->flags & EVENT_ANOMALY)
        put_anomaly(event, out);
    else
        put_violation(event, out);
    fclose(out);
    return text;
}
