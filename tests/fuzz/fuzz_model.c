/* A model of any bytes: refused with a reason, or what it scores with lies inside it, whatever the state on the page and
 * the counts are.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/model.h"
#include "runtime/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

/* The next bytes of the input; zeros behind its end. */
static void take(struct input *input, void *to, size_t size) {
    size_t there = size < input->size ? size : input->size;
    memset(to, 0, size);
    memcpy(to, input->data, there);
    input->data += there;
    input->size -= there;
}

static struct model_section section(uint32_t *end, uint32_t count, size_t element) {
    struct model_section made = {*end, count};
    *end += (uint32_t)((count * element + 7) / 8 * 8);
    return made;
}

/* A head that fits, in front of sections of any bytes: of others hardly any pass. */
static void *make_model(struct input *input, size_t *size) {
    struct model_header head;
    uint8_t shape[2];
    take(input, shape, sizeof shape);
    take(input, &head, sizeof head);
    uint32_t calls = 1 + shape[0] % 8, hidden = 1 + shape[1] % 4, end = sizeof head;
    memcpy(head.magic, MODEL_MAGIC, sizeof head.magic);
    head.version = MODEL_VERSION;
    head.interval_ms = 10 + head.interval_ms % 1000;
    head.consecutive = 1 + head.consecutive % 4;
    head.hidden = hidden;
    head.calls = section(&end, calls, sizeof(struct model_call));
    head.weights = section(&end, (uint32_t)model_weight_count(calls, hidden), sizeof(int32_t));
    head.sample = section(&end, calls, sizeof(uint16_t));
    head.text = section(&end, 8, 1);
    head.size = end;
    for (int i = 0; i < PART_COUNT; i++)
        head.scales[i] %= 64 * FIXED_ONE;
    head.threshold %= 256 * FIXED_ONE;
    char *model = xmalloc(end);
    take(input, model, end);
    memcpy(model, &head, sizeof head);
    struct model_call *call = (struct model_call *)(model + head.calls.offset);
    for (uint32_t i = 0; i < calls; i++) {
        call[i].name %= 8;
        call[i].mean &= 64 * FIXED_ONE - 1;
        call[i].inverse_deviation = (call[i].inverse_deviation & INT32_MAX) | 1;
    }
    model[head.text.offset + 7] = '\0';
    *size = end;
    return model;
}

static void score(const struct model_header *model, struct input *input) {
    static struct model_state state;
    static struct model_work work;
    uint64_t counts[MODEL_MAX_CALLS] = {0};
    take(input, &state, sizeof state);
    for (int interval = 0; interval < 4; interval++) {
        for (uint32_t i = 0; i < model->calls.count; i++)
            take(input, &counts[i], sizeof counts[i]);
        counts[0] |= 1;
        int32_t result = model_score(model, &state, counts, &work);
        if (result == SCORE_IDLE)
            die("an interval with a call is idle");
        model_alarm(model, &state, result, false);
        if (strlen(model_text(model, model_calls(model)[0].name)) >= model->text.count)
            die("a name reaches beyond the text");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input input = {data, size};
    uint8_t way;
    take(&input, &way, 1);
    size_t model_size = input.size;
    cleanup_free char *model = NULL;
    if (way & 1) {
        model = make_model(&input, &model_size);
    } else {
        model = xmalloc(model_size > 0 ? model_size : 1); /* of its own size: reading beyond it is found */
        take(&input, model, model_size);
    }
    const char *problem = model_validate(model, model_size);
    if (problem == NULL)
        score((const struct model_header *)model, &input);
    else if (*problem == '\0')
        die("refused without a reason");
    return 0;
}
