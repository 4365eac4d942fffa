/* The tools' helpers: messages, files that are whole or not there, nearest words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "runtime/util.h"

struct folder {
    char path[32];
    char file[64];
};

static int make_folder(void **state) {
    struct folder *folder = xcalloc(1, sizeof(*folder));
    snprintf(folder->path, sizeof(folder->path), "/tmp/pinion-test-XXXXXX");
    if (mkdtemp(folder->path) == NULL)
        die_with_error("cannot create %s", folder->path);
    snprintf(folder->file, sizeof(folder->file), "%s/file", folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    struct folder *folder = *state;
    unlink(folder->file);
    int result = rmdir(folder->path); /* fails when a test leaves anything else behind */
    free(folder);
    return result;
}

static unsigned entries_of(const char *path) {
    struct dirent **entries;
    /* cppcheck-suppress nullPointer ; without a filter and an order */
    int count = scandir(path, &entries, NULL, NULL);
    assert_true(count >= 2);
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return (unsigned)count - 2; /* "." and ".." */
}

static void expect_content(const char *path, const char *content) {
    size_t size;
    cleanup_free char *found = file_read(path, 1000, &size);
    assert_non_null(found);
    assert_int_equal(size, strlen(content));
    assert_string_equal(found, content);
}

/* ---- Files ---- */

static void test_a_file_is_replaced_as_a_whole(void **state) {
    struct folder *folder = *state;
    assert_true(atomic_file_write(folder->file, 0644, "old", 3));
    struct atomic_file file;
    assert_true(atomic_file_open(&file, folder->file, 0600));
    fputs("new content", file.stream);
    fflush(file.stream);
    expect_content(folder->file, "old");
    assert_true(atomic_file_commit(&file));
    expect_content(folder->file, "new content");
    struct stat status;
    assert_int_equal(stat(folder->file, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_int_equal(entries_of(folder->path), 1);
    atomic_file_abandon(&file); /* harmless now */
    expect_content(folder->file, "new content");
}

static void test_an_abandoned_file_leaves_nothing(void **state) {
    struct folder *folder = *state;
    struct atomic_file file;
    assert_true(atomic_file_open(&file, folder->file, 0600));
    fputs("x", file.stream);
    atomic_file_abandon(&file);
    assert_int_equal(entries_of(folder->path), 0);
}

static void test_a_file_that_cannot_be_written_says_why(void **state) {
    struct folder *folder = *state;
    assert_false(atomic_file_write("/nonexistent/file", 0600, "x", 1));
    assert_int_equal(errno, ENOENT);
    assert_int_equal(mkdir(folder->file, 0700), 0); /* rename cannot replace a directory */
    assert_false(atomic_file_write(folder->file, 0600, "x", 1));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(entries_of(folder->path), 1);
    assert_int_equal(rmdir(folder->file), 0);
    struct atomic_file file;
    assert_true(atomic_file_open(&file, folder->file, 0600));
    assert_non_null(freopen("/dev/full", "w", file.stream));
    fputs("x", file.stream);
    assert_false(atomic_file_commit(&file));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(entries_of(folder->path), 0);
}

static void test_reading(void **state) {
    struct folder *folder = *state;
    size_t size = 7;
    assert_true(atomic_file_write(folder->file, 0600, "a\0b", 3));
    cleanup_free char *content = file_read(folder->file, 3, &size);
    assert_non_null(content);
    assert_int_equal(size, 3);
    assert_memory_equal(content, "a\0b", 4);
    assert_null(file_read(folder->file, 2, &size));
    assert_int_equal(errno, EFBIG);
    assert_null(file_read(folder->path, 100, &size));
    assert_int_equal(errno, EINVAL);
    assert_null(file_read("/nonexistent", 100, &size));
    assert_int_equal(errno, ENOENT);
    unlink(folder->file);
    assert_int_equal(mkfifo(folder->file, 0600), 0); /* and does not wait for a writer */
    assert_null(file_read(folder->file, 100, &size));
    assert_int_equal(errno, EINVAL);
}

/* ---- Messages ---- */

static void say(int which) {
    errno = ENOENT;
    if (which == 0)
        die("cannot read policy \"%s\"", "x");
    else if (which == 1)
        die_with_error("cannot read policy \"%s\"", "x");
    warn("%d sites", 5);
    exit(EXIT_FINE);
}

static void expect_message(int which, int status, const char *message) {
    int pipe_ends[2], result;
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        say(which);
    }
    close(pipe_ends[1]);
    char text[256] = "";
    ssize_t length = read(pipe_ends[0], text, sizeof(text) - 1);
    assert_true(length > 0);
    close(pipe_ends[0]);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    assert_int_equal(WEXITSTATUS(result), status);
    char expected[256];
    snprintf(expected, sizeof(expected), "%s: %s\n", program_invocation_short_name, message);
    assert_string_equal(text, expected);
}

static void test_messages_begin_with_the_program_s_name(void **state) {
    (void)state;
    expect_message(0, 2, "cannot read policy \"x\"");
    expect_message(1, 2, "cannot read policy \"x\": No such file or directory");
    expect_message(2, 0, "5 sites");
}

/* ---- Words ---- */

static void test_distances(void **state) {
    (void)state;
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {{"", "", 0},         {"", "abc", 3},      {"open", "open", 0},
                 {"opne", "open", 1}, {"opn", "open", 1},  {"oopen", "open", 1},
                 {"0pen", "open", 1}, {"nepo", "open", 3}, {"kitten", "sitting", 3}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(word_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(word_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    char longer[200];
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_true(word_distance(longer, "a") == SIZE_MAX);
}

static void test_the_nearest_word(void **state) {
    (void)state;
    static const char *const words[] = {"enforce", "audit", "learn", "off", NULL};
    assert_string_equal(nearest_word("enforced", words), "enforce");
    assert_string_equal(nearest_word("adit", words), "audit");
    assert_string_equal(nearest_word("of", words), "off");
    assert_null(nearest_word("", words));
    assert_null(nearest_word("x", words));
    assert_null(nearest_word("permit", words));
}

/* ---- Memory ---- */

static void test_arrays_grow(void **state) {
    (void)state;
    struct pair {
        int a, b;
    } *pairs = NULL;
    size_t count = 0;
    for (int i = 0; i < 1000; i++) {
        struct pair *pair = array_append(pairs, count);
        assert_int_equal(pair->a + pair->b, 0);
        pair->a = i;
        pair->b = -1;
    }
    assert_int_equal(count, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(pairs[i].a, i);
    count = 600; /* shortened and grown again */
    for (int i = 0; i < 400; i++)
        array_append(pairs, count)->a = -i;
    assert_int_equal(pairs[599].a, 599);
    assert_int_equal(pairs[999].a, -399);
    free(pairs);
}

static void test_stealing(void **state) {
    (void)state;
    char *kept;
    {
        cleanup_free char *text = xstrdup("kept");
        kept = steal_pointer(&text);
        assert_null(text);
    }
    assert_string_equal(kept, "kept");
    free(kept);
    int fd = dup(0);
    assert_int_equal(steal_fd(&fd) >= 0, 1);
    assert_int_equal(fd, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_file_is_replaced_as_a_whole, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_an_abandoned_file_leaves_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_a_file_that_cannot_be_written_says_why, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_reading, make_folder, remove_folder),
        cmocka_unit_test(test_messages_begin_with_the_program_s_name),
        cmocka_unit_test(test_distances),
        cmocka_unit_test(test_the_nearest_word),
        cmocka_unit_test(test_arrays_grow),
        cmocka_unit_test(test_stealing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
