/* Fitting the autoencoder of runtime/model.h to standardised rows, in floating point. Deterministic: the same rows
 * and seed give the same weights.
 */
#ifndef PINION_TOOLS_AUTOENCODER_H
#define PINION_TOOLS_AUTOENCODER_H

#include <stddef.h>
#include <stdint.h>

struct autoencoder {
    size_t inputs, hidden;
    size_t stride;       /* of a row below, in floats: padded(inputs) */
    float *encoder;      /* [hidden][stride] */
    float *decoder;      /* [hidden][stride] */
    float *encoder_bias; /* [hidden] */
    float *decoder_bias; /* [stride] */
};

struct autoencoder_plan {
    size_t hidden;
    unsigned epochs;   /* at most */
    unsigned patience; /* epochs without a better result on the rows held back */
    uint64_t seed;
    void (*progress)(void *context, unsigned epoch, double loss); /* or NULL */
    void *context;
};

/* `rows` is [count][padded(inputs)]; what is far out in them is clipped. Starts at the principal components and improves
 * on them by stochastic gradient descent (Kingma, Ba: Adam, ICLR 2015), until rows that are held back no longer gain. */
void autoencoder_fit(struct autoencoder *network, float *rows, size_t count, size_t inputs,
                     const struct autoencoder_plan *plan);
void autoencoder_free(struct autoencoder *network);

#endif
