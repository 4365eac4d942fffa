/* Only whole events of this version are taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "runtime/event.h"

static struct event good_event(void) {
    struct event event = {.version = EVENT_VERSION, .size = sizeof event, .flags = EVENT_ANOMALY, .top_count = 1};
    memcpy(event.magic, EVENT_MAGIC, sizeof event.magic);
    strcpy(event.top[0], "read");
    strcpy(event.path, "/bin/x");
    return event;
}

static void test_a_whole_event_is_taken(void **state) {
    (void)state;
    struct event event = good_event();
    assert_null(event_problem(&event, sizeof event));
    event.flags = EVENT_VIOLATION | EVENT_KILLED;
    memset(event.path, 'x', sizeof event.path - 1); /* as long as it may be */
    assert_null(event_problem(&event, sizeof event));
}

static void test_each_part_is_checked(void **state) {
    (void)state;
    struct event rows[16];
    size_t count = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        rows[i] = good_event();
    rows[count++].magic[7] = 'x';
    rows[count++].version = 0;
    rows[count++].size = 0;
    rows[count++].flags = 0;
    rows[count++].flags = EVENT_DENIED;
    rows[count++].flags = EVENT_FLAGS + 1;
    rows[count++].reserved[2] = 1;
    rows[count++].rises[0] = 1;
    rows[count++].risen_count = EVENT_RISEN_MOST + 1;
    rows[count++].top_count = 2;
    rows[count++].top_count = SIGNATURE_TOP_MOST + 1;
    rows[count++].never_seen_count = SIGNATURE_NEVER_SEEN_MOST + 1;
    rows[count++].program.kind = IDENTITY_DERIVED + 1;
    rows[count++].module.length = IDENTITY_BYTES + 1;
    memset(rows[count++].reason, 'x', EVENT_NAME_BYTES);
    rows[count++].api[EVENT_NAME_BYTES - 1] = 'x';
    assert_int_equal(count, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < count; i++)
        if (event_problem(&rows[i], sizeof rows[i]) == NULL)
            fail_msg("row %zu is taken", i);
}

static void test_no_byte_beyond_a_short_one_is_read(void **state) {
    (void)state;
    struct event event = good_event();
    for (size_t size = 0; size < sizeof event; size++) {
        uint8_t *part = test_malloc(size + 1); /* cmocka looks after what is around it */
        memcpy(part, &event, size);
        assert_non_null(event_problem(part, size));
        test_free(part);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_event_is_taken),
        cmocka_unit_test(test_each_part_is_checked),
        cmocka_unit_test(test_no_byte_beyond_a_short_one_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
