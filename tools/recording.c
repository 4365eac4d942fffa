/* Reading recorded counts. Nothing is guessed: a row of the wrong length or a count that is no number ends the run
 * with its place.
 */
#include "tools/recording.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "runtime/model.h"
#include "runtime/util.h"

enum label {
    LABEL_SPLIT,
    LABEL_NAME, /* what the data set calls a row; not needed here */
    LABEL_TRACE,
    LABEL_START,
    LABEL_INTERVAL,
    LABEL_COUNT
};

static const char *const label_names[LABEL_COUNT] = {
    [LABEL_SPLIT] = "split", [LABEL_NAME] = "label",           [LABEL_TRACE] = "trace",
    [LABEL_START] = "start", [LABEL_INTERVAL] = "interval_ms",
};

struct reader {
    struct recording *recording;
    gzFile file;
    char *line;
    size_t capacity;
    size_t number;   /* of the line, from 1 */
    size_t *columns; /* of the file: LABEL_x, or LABEL_COUNT + index of the call */
    size_t column_count;
    const char *label[LABEL_COUNT]; /* of the row at hand */
};

static _Noreturn void mistake(const struct reader *reader, const char *what) {
    die("cannot read counts from \"%s\" line %zu: %s", reader->recording->path, reader->number, what);
}

/* The next line without its end; false at the end of the file. */
static bool next_line(struct reader *reader) {
    size_t length = 0;
    for (;;) {
        if (reader->capacity - length < 4096)
            reader->line = xrealloc(reader->line, reader->capacity = 2 * reader->capacity + 8192, 1);
        if (gzgets(reader->file, reader->line + length, (int)(reader->capacity - length)) == NULL)
            break;
        length += strlen(reader->line + length);
        if (length > 0 && reader->line[length - 1] == '\n')
            break;
        if (length > 1 << 20)
            mistake(reader, "the line is longer than 1 MiB");
    }
    int error = 0;
    const char *text = gzerror(reader->file, &error);
    if (error != Z_OK && error != Z_STREAM_END)
        die("cannot read counts from \"%s\": %s", reader->recording->path, text);
    while (length > 0 && (reader->line[length - 1] == '\n' || reader->line[length - 1] == '\r'))
        reader->line[--length] = 0;
    reader->number++;
    return length > 0;
}

static void add_column(struct reader *reader, const char *name) {
    struct recording *recording = reader->recording;
    size_t meaning = LABEL_COUNT;
    for (size_t i = 0; i < LABEL_COUNT; i++)
        if (strcmp(name, label_names[i]) == 0)
            meaning = i;
    if (meaning == LABEL_COUNT) {
        if (name[0] == 0 || strspn(name, "0123456789.") == strlen(name))
            mistake(reader, "the first line must name the columns");
        if (recording_column(recording, name) < recording->call_count)
            mistake(reader, "a call has two columns");
        if (recording->call_count == MODEL_MAX_CALLS)
            mistake(reader, "there are more than 512 calls");
        meaning += recording->call_count;
        *array_append(recording->calls, recording->call_count) = xstrdup(name);
    }
    *array_append(reader->columns, reader->column_count) = meaning;
}

static uint64_t read_number(const struct reader *reader, const char *text) {
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (end[0] == '.' && strspn(end + 1, "0") == strlen(end + 1))
        end += strlen(end);
    if (text[0] == '-' || *end != 0 || errno != 0)
        mistake(reader, "a count must be a whole number");
    return number;
}

static void begin_trace(const struct reader *reader, size_t row) {
    struct recording *recording = reader->recording;
    const char *name = reader->label[LABEL_TRACE] ? reader->label[LABEL_TRACE] : recording->path;
    const char *split = reader->label[LABEL_SPLIT] ? reader->label[LABEL_SPLIT] : "";
    struct trace *last = recording->trace_count ? &recording->traces[recording->trace_count - 1] : NULL;
    if (!last || strcmp(last->name, name) != 0 || strcmp(last->split, split) != 0) {
        last = array_append(recording->traces, recording->trace_count);
        *last = (struct trace){.name = xstrdup(name), .split = xstrdup(split), .first = row};
    }
    last->count++;
}

static void read_interval(const struct reader *reader, bool first) {
    uint64_t interval = read_number(reader, reader->label[LABEL_INTERVAL]);
    if (interval < 10 || interval > 3600 * 1000)
        mistake(reader, "interval_ms must lie between 10 and 3600000");
    if (!first && interval != reader->recording->interval_ms)
        mistake(reader, "all rows must be of one interval_ms; record the parts into files of their own");
    reader->recording->interval_ms = (uint32_t)interval;
}

static void read_row(struct reader *reader) {
    struct recording *recording = reader->recording;
    size_t row = recording->row_count, column = 0;
    size_t calls = recording->call_count;
    if ((row & (row - 1)) == 0)
        recording->counts = xrealloc(recording->counts, (row ? 2 * row : 1) * calls, sizeof *recording->counts);
    uint64_t *counts = recording->counts + row * calls;
    for (char *field = reader->line; field; column++) {
        char *end = strchr(field, ',');
        if (end)
            *end++ = 0;
        if (column == reader->column_count)
            mistake(reader, "it has more fields than the first line");
        size_t meaning = reader->columns[column];
        if (meaning < LABEL_COUNT)
            reader->label[meaning] = field;
        else
            counts[meaning - LABEL_COUNT] = field[0] ? read_number(reader, field) : 0;
        field = end;
    }
    if (column < reader->column_count)
        mistake(reader, "it has fewer fields than the first line; the file may be cut off");
    if (reader->label[LABEL_INTERVAL])
        read_interval(reader, row == 0);
    begin_trace(reader, row);
    recording->row_count++;
}

void recording_read(const char *path, struct recording *recording) {
    *recording = (struct recording){.path = xstrdup(path), .interval_ms = RECORDING_INTERVAL_MS};
    struct reader reader = {.recording = recording, .file = gzopen(path, "rbe")};
    if (!reader.file)
        die_with_error("cannot read counts from \"%s\"", path);
    if (!next_line(&reader))
        die("cannot read counts from \"%s\": it is empty", path);
    char *rest = reader.line;
    for (char *name; (name = strsep(&rest, ",")) != NULL;)
        add_column(&reader, name);
    if (recording->call_count == 0)
        mistake(&reader, "no column is a call");
    while (next_line(&reader))
        read_row(&reader);
    if (!gzeof(reader.file))
        mistake(&reader, "a row is empty");
    gzclose(reader.file);
    free(reader.line);
    free(reader.columns);
}

void recording_free(struct recording *recording) {
    for (size_t i = 0; i < recording->call_count; i++)
        free(recording->calls[i]);
    for (size_t i = 0; i < recording->trace_count; i++) {
        free(recording->traces[i].name);
        free(recording->traces[i].split);
    }
    free(recording->calls);
    free(recording->traces);
    free(recording->counts);
    free(recording->path);
    *recording = (struct recording){0};
}

size_t recording_column(const struct recording *recording, const char *call) {
    for (size_t i = 0; i < recording->call_count; i++)
        if (strcmp(recording->calls[i], call) == 0)
            return i;
    return recording->call_count;
}
