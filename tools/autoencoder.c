/* The autoencoder's training. */
#include "tools/autoencoder.h"

#include <math.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/components.h"
#include "tools/vectors.h"

#define BATCH 32
#define RATE 2e-3f
#define DECAY 1e-4f
/* So small a slope at the start that softsign is nearly the identity: the network begins as the principal
 * components do. */
#define SLOPE 0.02f
#define CLIP 8.0f /* training looks no further: one burst must not bend the whole network */
/* Every eighth block of sixteen rows is held back. */
#define BLOCK 16
#define HELD_BACK 8

static void shuffle(struct random *random, size_t *items, size_t count) {
    for (size_t i = count; i > 1; i--) {
        size_t other = random_draw(random) % i, kept = items[i - 1];
        items[i - 1] = items[other];
        items[other] = kept;
    }
}

/* ---- The descent ---- */

/* All parameters in one block, so that copies, gradients and moments are the same shape. */
struct parameters {
    float *all;
    size_t count;
};

static size_t parameter_count(const struct autoencoder *network) {
    return (2 * network->hidden + 1) * network->stride + padded(network->hidden);
}

static struct autoencoder view(const struct autoencoder *shape, float *all) {
    struct autoencoder network = *shape;
    network.encoder = all;
    network.decoder = network.encoder + shape->hidden * shape->stride;
    network.decoder_bias = network.decoder + shape->hidden * shape->stride;
    network.encoder_bias = network.decoder_bias + shape->stride;
    return network;
}

/* The error of one row, left in `error`; what the hidden layer sees in `activation`. */
static float forward(const struct autoencoder *network, const float *row, float *activation, float *error) {
    for (size_t i = 0; i < network->stride; i += VECTOR_FLOATS)
        *(vector *)(error + i) = *(const vector *)(network->decoder_bias + i) - *(const vector *)(row + i);
    for (size_t h = 0; h < network->hidden; h++) {
        float sum = dot(network->encoder + h * network->stride, row, network->stride) + network->encoder_bias[h];
        activation[h] = sum / (1 + fabsf(sum));
        add_scaled(error, network->decoder + h * network->stride, activation[h], network->stride);
    }
    return dot(error, error, network->stride) / (float)network->inputs;
}

static void backward(const struct autoencoder *network, const float *row, const float *activation, const float *error,
                     struct autoencoder *gradient) {
    add_scaled(gradient->decoder_bias, error, 1, network->stride);
    for (size_t h = 0; h < network->hidden; h++) {
        add_scaled(gradient->decoder + h * network->stride, error, activation[h], network->stride);
        float slope = 1 - fabsf(activation[h]); /* of softsign: (1 - |a|)^2 */
        float back = dot(network->decoder + h * network->stride, error, network->stride) * slope * slope;
        gradient->encoder_bias[h] += back;
        add_scaled(gradient->encoder + h * network->stride, row, back, network->stride);
    }
}

struct descent {
    float *parameters, *gradient, *mean, *square, *best;
    size_t count;
    unsigned step;
};

static void step(struct descent *descent, float rate, float scale) {
    descent->step++;
    float first = 1 - powf(0.9f, (float)descent->step), second = 1 - powf(0.999f, (float)descent->step);
    for (size_t i = 0; i < descent->count; i++) {
        float gradient = descent->gradient[i] * scale + DECAY * descent->parameters[i];
        descent->mean[i] = 0.9f * descent->mean[i] + 0.1f * gradient;
        descent->square[i] = 0.999f * descent->square[i] + 0.001f * gradient * gradient;
        descent->parameters[i] -= rate * (descent->mean[i] / first) / (sqrtf(descent->square[i] / second) + 1e-8f);
    }
    memset(descent->gradient, 0, descent->count * sizeof(float));
}

static double loss_of(const struct autoencoder *network, const float *rows, const size_t *held, size_t count) {
    cleanup_free float *work = xcalloc(network->stride + network->hidden, sizeof *work);
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += forward(network, rows + held[i] * network->stride, work + network->stride, work);
    return count ? sum / (double)count : 0;
}

static void epoch(const struct autoencoder *network, struct descent *descent, const float *rows, const size_t *order,
                  size_t count, float rate) {
    struct autoencoder gradient = view(network, descent->gradient);
    cleanup_free float *work = xcalloc(network->stride + network->hidden, sizeof *work);
    for (size_t first = 0; first < count; first += BATCH) {
        size_t batch = count - first < BATCH ? count - first : BATCH;
        for (size_t i = 0; i < batch; i++) {
            const float *row = rows + order[first + i] * network->stride;
            forward(network, row, work + network->stride, work);
            backward(network, row, work + network->stride, work, &gradient);
        }
        step(descent, rate, 2.0f / (float)batch);
    }
}

static void descend(const struct autoencoder *network, struct descent *descent, const float *rows, size_t count,
                    const struct autoencoder_plan *plan, struct random *random) {
    cleanup_free size_t *order = xcalloc(2 * count + 1, sizeof *order);
    size_t *held = order + count, used = 0, held_count = 0;
    for (size_t row = 0; row < count; row++)
        if (row / BLOCK % HELD_BACK == HELD_BACK - 1)
            held[held_count++] = row;
        else
            order[used++] = row;
    double best = loss_of(network, rows, held, held_count);
    memcpy(descent->best, descent->parameters, descent->count * sizeof(float));
    unsigned waited = 0;
    for (unsigned i = 0; i < plan->epochs && waited < plan->patience; i++) {
        shuffle(random, order, used);
        epoch(network, descent, rows, order, used, RATE / (1 + 4 * (float)i / (float)plan->epochs));
        double loss = loss_of(network, rows, held, held_count);
        waited = loss < best * 0.999 ? 0 : waited + 1;
        if (loss < best) {
            best = loss;
            memcpy(descent->best, descent->parameters, descent->count * sizeof(float));
        }
        if (plan->progress)
            plan->progress(plan->context, i + 1, loss);
    }
    memcpy(descent->parameters, descent->best, descent->count * sizeof(float));
}

static void clip(float *numbers, size_t count) {
    for (size_t i = 0; i < count; i++)
        numbers[i] = fminf(fmaxf(numbers[i], -CLIP), CLIP);
}

void autoencoder_fit(struct autoencoder *network, float *rows, size_t count, size_t inputs,
                     const struct autoencoder_plan *plan) {
    *network = (struct autoencoder){.inputs = inputs, .stride = padded(inputs)};
    network->hidden = plan->hidden < inputs / 2 ? plan->hidden : inputs / 2 + (inputs < 2);
    struct random random = {plan->seed};
    struct descent descent = {.count = parameter_count(network)};
    descent.parameters = xcalloc(5 * descent.count, sizeof(float));
    descent.gradient = descent.parameters + descent.count;
    descent.mean = descent.gradient + descent.count;
    descent.square = descent.mean + descent.count;
    descent.best = descent.square + descent.count;
    *network = view(network, descent.parameters);
    clip(rows, count * network->stride);
    principal_components(rows, count, inputs, network->hidden, &random, network->encoder);
    for (size_t i = 0; i < network->hidden * network->stride; i++) {
        network->decoder[i] = network->encoder[i] / SLOPE;
        network->encoder[i] *= SLOPE;
    }
    descend(network, &descent, rows, count, plan, &random);
}

void autoencoder_free(struct autoencoder *network) {
    free(network->encoder); /* the first of one block */
    *network = (struct autoencoder){0};
}
