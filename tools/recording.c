/* Reading recorded counts. Nothing is guessed: a row of the wrong length or a count that is no number is refused with
 * its place. The file may be anybody's.
 */
#include "tools/recording.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "runtime/document.h"
#include "runtime/model.h"
#include "runtime/text.h"
#include "runtime/util.h"

#define LINE_MOST (1u << 20)
#define COUNTS_MOST (1ul << 29) /* 4 GiB of them */
#define INTERVAL_LEAST_MS 10
#define INTERVAL_MOST_MS 3600000

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
    struct mistake *mistake;
    gzFile file;
    char *line;
    size_t capacity;
    unsigned number; /* of the line, from 1 */
    size_t *columns; /* of the file: LABEL_x, or LABEL_COUNT + index of the call */
    size_t column_count;
    const char *label[LABEL_COUNT]; /* of the row at hand */
    uint64_t *intervals;            /* per row, ms */
    size_t interval_count;
};

static bool refuse(const struct reader *reader, const char *what) {
    return text_mistake(reader->mistake, reader->number, "%s", what);
}

/* ---- Lines ---- */

enum line {
    LINE,
    LINE_NONE, /* the end of the file */
    LINE_BAD   /* with a mistake */
};

static enum line end_of_file(const struct reader *reader) {
    int error = 0;
    const char *text = gzerror(reader->file, &error);
    if (error == Z_OK || error == Z_STREAM_END)
        return LINE_NONE;
    size_t length = strlen(reader->recording->path); /* zlib puts the file's name before it, as our caller does */
    if (strncmp(text, reader->recording->path, length) == 0 && strncmp(text + length, ": ", 2) == 0)
        text += length + 2;
    text_mistake(reader->mistake, 0, "%s; the file is damaged or cut off", error == Z_ERRNO ? strerror(errno) : text);
    return LINE_BAD;
}

static enum line bad_line(const struct reader *reader, const char *what) {
    refuse(reader, what);
    return LINE_BAD;
}

/* The next line without its end, which the last one may lack. */
static enum line next_line(struct reader *reader) {
    size_t length = 0;
    reader->number++;
    do {
        if (reader->capacity - length < 4096)
            reader->line = xrealloc(reader->line, reader->capacity = 2 * reader->capacity + 8192, 1);
        long before = gztell(reader->file);
        if (gzgets(reader->file, reader->line + length, (int)(reader->capacity - length)) == NULL) {
            enum line end = end_of_file(reader);
            if (end == LINE_BAD || length == 0)
                return end;
            break;
        }
        size_t got = strlen(reader->line + length);
        if (gztell(reader->file) - before != (long)got)
            return bad_line(reader, "there is a zero byte: this is no table of counts");
        length += got;
        if (length > LINE_MOST)
            return bad_line(reader, "the line is longer than 1 MiB: this is no table of counts");
    } while (reader->line[length - 1] != '\n');
    while (length > 0 && (reader->line[length - 1] == '\n' || reader->line[length - 1] == '\r'))
        reader->line[--length] = 0;
    return length > 0 ? LINE : bad_line(reader, "the line is empty: take it out");
}

/* ---- Columns ---- */

static bool add_call(struct reader *reader, const char *name) {
    struct recording *recording = reader->recording;
    if (name[0] == 0 || strspn(name, "0123456789.") == strlen(name))
        return refuse(reader, "the first line must name the columns");
    if (strchr(name, '"') != NULL)
        return refuse(reader, "the names of columns are in quotes: write them without");
    if (recording_column(recording, name) < recording->call_count)
        return text_mistake(reader->mistake, reader->number, "two columns are called \"%.80s\": add them up", name);
    if (recording->call_count == MODEL_MAX_CALLS)
        return text_mistake(reader->mistake, reader->number, "there are more than %d calls: leave out the rarest",
                            MODEL_MAX_CALLS);
    *array_append(recording->calls, recording->call_count) = xstrdup(name);
    return true;
}

static bool add_column(struct reader *reader, const char *name) {
    size_t meaning = 0;
    while (meaning < LABEL_COUNT && strcmp(name, label_names[meaning]) != 0)
        meaning++;
    if (meaning == LABEL_COUNT) {
        meaning += reader->recording->call_count;
        if (!add_call(reader, name))
            return false;
    }
    *array_append(reader->columns, reader->column_count) = meaning;
    return true;
}

static bool read_header(struct reader *reader) {
    switch (next_line(reader)) {
    case LINE: break;
    case LINE_NONE: return text_mistake(reader->mistake, 0, "it is empty");
    case LINE_BAD: return false;
    }
    char *rest = reader->line;
    for (char *name; (name = strsep(&rest, ",")) != NULL;)
        if (!add_column(reader, name))
            return false;
    return reader->recording->call_count > 0 || refuse(reader, "no column is a call");
}

/* ---- Rows ---- */

static bool read_number(const struct reader *reader, const char *text, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 10);
    if (end[0] == '.' && strspn(end + 1, "0") == strlen(end + 1))
        end += strlen(end);
    if (!isdigit((unsigned char)text[0]) || *end != 0 || errno != 0)
        return text_mistake(reader->mistake, reader->number, "\"%.40s\" is not a whole number, as counts are", text);
    return true;
}

static void continue_trace(const struct reader *reader, size_t row) {
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

static bool read_fields(struct reader *reader, uint64_t *counts) {
    size_t column = 0;
    for (char *rest = reader->line, *field; (field = strsep(&rest, ",")) != NULL; column++) {
        if (column == reader->column_count)
            return refuse(reader, "it has more fields than the first line");
        size_t meaning = reader->columns[column];
        if (meaning < LABEL_COUNT)
            reader->label[meaning] = field;
        else if (field[0] == 0)
            counts[meaning - LABEL_COUNT] = 0;
        else if (!read_number(reader, field, &counts[meaning - LABEL_COUNT]))
            return false;
    }
    return column == reader->column_count ||
           refuse(reader, "it has fewer fields than the first line; the file may be cut off");
}

static bool read_row(struct reader *reader) {
    struct recording *recording = reader->recording;
    size_t row = recording->row_count, calls = recording->call_count;
    if ((row & (row - 1)) == 0) {
        size_t room = (row ? 2 * row : 1) * calls;
        if (room > COUNTS_MOST)
            return refuse(reader, "the file is too long: train on a part of it");
        recording->counts = xrealloc(recording->counts, room, sizeof *recording->counts);
        recording->starts = xrealloc(recording->starts, row ? 2 * row : 1, sizeof *recording->starts);
    }
    if (!read_fields(reader, recording->counts + row * calls))
        return false;
    if (reader->label[LABEL_INTERVAL] &&
        !read_number(reader, reader->label[LABEL_INTERVAL], array_append(reader->intervals, reader->interval_count)))
        return false;
    recording->starts[row] = reader->label[LABEL_START] ? strtod(reader->label[LABEL_START], NULL) : 0;
    continue_trace(reader, row);
    recording->row_count++;
    return true;
}

/* ---- Rows of several intervals, as pinion record writes them where it could not look in time ---- */

static void leave_out(struct recording *recording, const uint64_t *intervals) {
    size_t kept = 0, calls = recording->call_count, traces = 0;
    for (size_t i = 0; i < recording->trace_count; i++) {
        struct trace trace = recording->traces[i];
        size_t end = trace.first + trace.count, first = kept;
        for (size_t row = trace.first; row < end; row++)
            if (intervals[row] == recording->interval_ms) {
                recording->starts[kept] = recording->starts[row];
                memmove(recording->counts + kept++ * calls, recording_row(recording, row),
                        calls * sizeof *recording->counts);
            }
        trace.first = first;
        trace.count = kept - first;
        if (trace.count > 0) {
            recording->traces[traces++] = trace;
        } else {
            free(trace.name);
            free(trace.split);
        }
    }
    recording->trace_count = traces;
    recording->row_count = kept;
}

static bool agree_on_interval(struct reader *reader) {
    struct recording *recording = reader->recording;
    const uint64_t *intervals = reader->intervals;
    if (reader->interval_count == 0)
        return true;
    size_t shortest = 0, longer = 0, first = 0;
    for (size_t row = 0; row < recording->row_count; row++)
        shortest = intervals[row] < intervals[shortest] ? row : shortest;
    reader->number = (unsigned)shortest + 2;
    if (intervals[shortest] < INTERVAL_LEAST_MS || intervals[shortest] > INTERVAL_MOST_MS)
        return text_mistake(reader->mistake, reader->number, "interval_ms must lie between %d and %d",
                            INTERVAL_LEAST_MS, INTERVAL_MOST_MS);
    recording->interval_ms = (uint32_t)intervals[shortest];
    for (size_t row = 0; row < recording->row_count; row++) {
        if (intervals[row] == recording->interval_ms)
            continue;
        first = longer++ == 0 ? row : first;
        reader->number = (unsigned)row + 2;
        if (intervals[row] % recording->interval_ms != 0 || longer > recording->row_count / 2)
            return refuse(reader, "all rows must be of one interval_ms: record the parts into files of their own");
    }
    if (longer == 0)
        return true;
    warn("\"%s\": left out are the rows of several intervals, which were not read in time: %zu, the first in line %zu",
         recording->path, longer, first + 2);
    leave_out(recording, intervals);
    return true;
}

/* ---- The whole file ---- */

static bool read_all(struct reader *reader) {
    if (!read_header(reader))
        return false;
    enum line line;
    while ((line = next_line(reader)) == LINE)
        if (!read_row(reader))
            return false;
    return line == LINE_NONE && agree_on_interval(reader);
}

bool recording_parse(const char *path, struct recording *recording, struct mistake *mistake) {
    *recording = (struct recording){.path = xstrdup(path), .interval_ms = RECORDING_INTERVAL_MS};
    struct reader reader = {.recording = recording, .mistake = mistake, .file = gzopen(path, "rbe")};
    if (!reader.file)
        text_mistake(mistake, 0, "%s", strerror(errno));
    bool done = reader.file && read_all(&reader);
    if (reader.file)
        gzclose(reader.file);
    free(reader.line);
    free(reader.columns);
    free(reader.intervals);
    if (!done)
        recording_free(recording);
    return done;
}

void recording_read(const char *path, struct recording *recording) {
    struct mistake mistake;
    if (recording_parse(path, recording, &mistake))
        return;
    if (mistake.line == 0)
        die("cannot read counts from \"%s\": %s", path, mistake.text);
    die("cannot read counts from \"%s\" line %u: %s", path, mistake.line, mistake.text);
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
    free(recording->starts);
    free(recording->path);
    *recording = (struct recording){0};
}

size_t recording_column(const struct recording *recording, const char *call) {
    for (size_t i = 0; i < recording->call_count; i++)
        if (strcmp(recording->calls[i], call) == 0)
            return i;
    return recording->call_count;
}
