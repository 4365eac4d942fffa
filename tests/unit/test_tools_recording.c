/* Tables of counts are read strictly: what is not in order is refused with its line and what to do about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/document.h"
#include "runtime/model.h"
#include "runtime/util.h"
#include "tools/recording.h"

static char path[] = "/tmp/recording-XXXXXX";

static int make_file(void **state) {
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void write_file(const void *bytes, size_t size) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static struct recording parse(const char *text) {
    struct recording recording;
    struct mistake mistake;
    write_file(text, strlen(text));
    if (!recording_parse(path, &recording, &mistake))
        fail_msg("line %u: %s", mistake.line, mistake.text);
    return recording;
}

static void check_refused(const char *bytes, size_t size, unsigned line, const char *words) {
    struct recording recording;
    struct mistake mistake;
    write_file(bytes, size);
    if (recording_parse(path, &recording, &mistake))
        fail_msg("accepted where it should say \"%s\"", words);
    if (mistake.line != line || strstr(mistake.text, words) == NULL)
        fail_msg("line %u: \"%s\", not line %u: \"%s\"", mistake.line, mistake.text, line, words);
    assert_null(recording.counts);
}

static void check_row(const struct recording *recording, size_t row, uint64_t first, uint64_t second) {
    assert_true(row < recording->row_count);
    assert_int_equal(recording_row(recording, row)[0], first);
    assert_int_equal(recording_row(recording, row)[1], second);
}

static void test_labels_are_no_calls(void **state) {
    (void)state;
    struct recording recording = parse("split,label,trace,start,read,write\n"
                                       "train,x,a,0,1,2\ntrain,x,a,1,3,4\ntrain,x,b,0,5,6\ntest,x,b,1,7,8\n");
    assert_int_equal(recording.call_count, 2);
    assert_string_equal(recording.calls[1], "write");
    assert_int_equal(recording_column(&recording, "read"), 0);
    assert_int_equal(recording_column(&recording, "split"), 2);
    assert_int_equal(recording.interval_ms, RECORDING_INTERVAL_MS);
    assert_int_equal(recording.trace_count, 3);
    assert_string_equal(recording.traces[1].name, "b");
    assert_string_equal(recording.traces[1].split, "train");
    assert_string_equal(recording.traces[2].split, "test");
    assert_int_equal(recording.traces[0].count, 2);
    assert_int_equal(recording.traces[2].first, 3);
    check_row(&recording, 3, 7, 8);
    recording_free(&recording);
}

static void test_a_file_without_labels(void **state) {
    (void)state;
    struct recording recording = parse("read,write\n1,18446744073709551615\n");
    assert_int_equal(recording.trace_count, 1);
    assert_string_equal(recording.traces[0].name, path);
    check_row(&recording, 0, 1, UINT64_MAX);
    recording_free(&recording);
}

static void test_ends_of_lines_and_empty_fields(void **state) {
    (void)state;
    static const char *const texts[] = {"read,write\n1,\n,4\n", "read,write\r\n1,\r\n,4\r\n", "read,write\n1,\n,4",
                                        "read,write\n1,0.0\n0,4.0\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct recording recording = parse(texts[i]);
        assert_int_equal(recording.row_count, 2);
        check_row(&recording, 0, 1, 0);
        check_row(&recording, 1, 0, 4);
        recording_free(&recording);
    }
}

static void test_a_file_without_rows(void **state) {
    (void)state;
    struct recording recording = parse("read,interval_ms\n");
    assert_int_equal(recording.row_count, 0);
    assert_int_equal(recording.trace_count, 0);
    recording_free(&recording);
}

static void test_gzip(void **state) {
    (void)state;
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    gzputs(file, "read,write\n");
    for (int i = 0; i < 5000; i++)
        gzprintf(file, "%d,%d\n", i * 7919, i * i);
    assert_int_equal(gzclose(file), Z_OK);
    struct recording recording;
    recording_read(path, &recording);
    assert_int_equal(recording.row_count, 5000);
    check_row(&recording, 4999, 4999 * 7919, 4999 * 4999);
    recording_free(&recording);
    size_t size;
    cleanup_free char *whole = file_read(path, 1 << 20, &size);
    check_refused(whole, size / 2, 0, "cut off");
    whole[size - 6] ^= 1; /* of the checksum */
    check_refused(whole, size, 0, "damaged");
}

static void test_long_lines(void **state) {
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    for (int i = 0; i < MODEL_MAX_CALLS; i++)
        fprintf(stream, "%scall_with_a_name_that_is_rather_long_%d", i ? "," : "", i);
    for (int i = 0; i < MODEL_MAX_CALLS; i++)
        fprintf(stream, "%s%d", i ? "," : "\n", i);
    fclose(stream);
    struct recording recording = parse(text);
    assert_int_equal(recording.call_count, MODEL_MAX_CALLS);
    assert_int_equal(recording_row(&recording, 0)[MODEL_MAX_CALLS - 1], MODEL_MAX_CALLS - 1);
    recording_free(&recording);
    free(text);
    cleanup_free char *endless = xmalloc(2 << 20);
    memset(endless, 'a', 2 << 20);
    check_refused(endless, 2 << 20, 1, "longer than 1 MiB");
}

#define REFUSED(text, line, words) \
    { text, sizeof(text) - 1, line, words }

static void test_each_mistake_names_its_line_and_a_remedy(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        unsigned line;
        const char *words;
    } refused[] = {
        REFUSED("", 0, "it is empty"),
        REFUSED("\nread\n", 1, "the line is empty: take it out"),
        REFUSED("1,2,3\n1,2,3\n", 1, "the first line must name the columns"),
        REFUSED("read,,write\n", 1, "the first line must name the columns"),
        REFUSED("\"read\",\"write\"\n", 1, "write them without"),
        REFUSED("split,trace\n", 1, "no column is a call"),
        REFUSED("read,write,read\n", 1, "two columns are called \"read\": add them up"),
        REFUSED("read,write\n1,2\n1\n", 3, "fewer fields than the first line; the file may be cut off"),
        REFUSED("read,write\n1,2,3\n", 2, "more fields than the first line"),
        REFUSED("read,write\n1,2\n\n3,4\n", 3, "take it out"),
        REFUSED("read,write\n1,2\n\n", 3, "take it out"),
        REFUSED("read,write\n1,-2\n", 2, "\"-2\" is not a whole number"),
        REFUSED("read,write\n1, -2\n", 2, "\" -2\" is not a whole number"),
        REFUSED("read,write\n1,+2\n", 2, "\"+2\" is not a whole number"),
        REFUSED("read,write\n1,1.5\n", 2, "\"1.5\" is not a whole number"),
        REFUSED("read,write\n1,1e3\n", 2, "\"1e3\" is not a whole number"),
        REFUSED("read,write\n1,.0\n", 2, "\".0\" is not a whole number"),
        REFUSED("read,write\n1,18446744073709551616\n", 2, "is not a whole number"),
        REFUSED("read,write\n1,2\n3,\0 4\n", 3, "there is a zero byte: this is no table of counts"),
        REFUSED("read,write\n1,2\0003", 2, "there is a zero byte: this is no table of counts"),
        REFUSED("interval_ms,read\n100,1\n,1\n", 3, "\"\" is not a whole number"),
        REFUSED("interval_ms,read\n100,1\n5,1\n", 3, "must lie between 10 and 3600000"),
        REFUSED("interval_ms,read\n3600001,1\n", 2, "must lie between 10 and 3600000"),
        REFUSED("interval_ms,read\n100,1\n100,1\n150,1\n", 4, "record the parts into files of their own"),
        REFUSED("interval_ms,read\n1000,1\n1000,1\n1000,1\n100,1\n", 4, "record the parts into files of their own"),
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        check_refused(refused[i].text, refused[i].size, refused[i].line, refused[i].words);
    struct recording recording;
    struct mistake mistake;
    assert_false(recording_parse("/nowhere/counts.csv", &recording, &mistake));
    assert_non_null(strstr(mistake.text, "No such file"));
    assert_false(recording_parse("/tmp", &recording, &mistake));
    assert_non_null(strstr(mistake.text, "directory"));
}

static void test_more_calls_than_a_model_holds(void **state) {
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *stream = xopen_memstream(&text, &size);
    for (int i = 0; i <= MODEL_MAX_CALLS; i++)
        fprintf(stream, "%scall%d", i ? "," : "", i);
    fclose(stream);
    check_refused(text, size, 1, "more than 512 calls: leave out the rarest");
    free(text);
}

/* pinion record writes one row for all the intervals that it could not read in time: not one to learn from. */
static void test_rows_of_several_intervals_are_left_out(void **state) {
    (void)state;
    struct recording recording = parse("trace,interval_ms,read,write\na,3000,9,9\nb,1000,1,2\nb,2000,8,8\nb,1000,3,4\n"
                                       "c,1000,5,6\nd,3600000000,7,7\nc,1000,7,8\ne,1000,9,10\n");
    assert_int_equal(recording.interval_ms, 1000);
    assert_int_equal(recording.row_count, 5);
    for (size_t i = 0; i < 5; i++)
        check_row(&recording, i, 2 * i + 1, 2 * i + 2);
    assert_int_equal(recording.trace_count, 4);
    assert_string_equal(recording.traces[0].name, "b");
    assert_int_equal(recording.traces[0].first, 0);
    assert_int_equal(recording.traces[0].count, 2);
    assert_string_equal(recording.traces[3].name, "e");
    assert_int_equal(recording.traces[3].first, 4);
    recording_free(&recording);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_are_no_calls),
        cmocka_unit_test(test_a_file_without_labels),
        cmocka_unit_test(test_ends_of_lines_and_empty_fields),
        cmocka_unit_test(test_a_file_without_rows),
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_each_mistake_names_its_line_and_a_remedy),
        cmocka_unit_test(test_more_calls_than_a_model_holds),
        cmocka_unit_test(test_rows_of_several_intervals_are_left_out),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
