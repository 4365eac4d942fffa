/* A table of counts of any bytes, gzipped or not: refused with a reason, or rows and traces that fit together. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/document.h"
#include "runtime/model.h"
#include "runtime/util.h"
#include "tools/dataset.h"
#include "tools/recording.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file;
static char path[32];

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    file = memfd_create("recording", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    return 0;
}

static void check(const struct recording *recording) {
    size_t row = 0;
    for (size_t i = 0; i < recording->trace_count; i++) {
        if (recording->traces[i].first != row || recording->traces[i].count == 0)
            die("trace %zu does not follow the one before", i);
        row += recording->traces[i].count;
    }
    if (row != recording->row_count || recording->call_count == 0 || recording->call_count > MODEL_MAX_CALLS)
        die("%zu rows of %zu calls, %zu of them in traces", recording->row_count, recording->call_count, row);
    struct dataset data = {0};
    dataset_add(&data, recording, 0, recording->row_count, 0);
    if (dataset_busy_rows(&data) > recording->row_count)
        die("more rows are busy than there are");
    dataset_free(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        die_with_error("cannot write a recording");
    struct recording recording;
    struct mistake mistake = {0};
    if (recording_parse(path, &recording, &mistake)) {
        check(&recording);
        recording_free(&recording);
    } else if (mistake.text[0] == '\0') {
        die("refused without a reason");
    }
    return 0;
}
