/* SPDX-License-Identifier: Apache-2.0 */
/* See augment.h. */
#include "train/augment.h"

#include <math.h>
#include <string.h>

#include "support/random.h"

static struct random random_of(uint64_t seed, int64_t epoch, int64_t sample)
{
    uint64_t state = seed;

    state = splitmix64(&state) ^ (uint64_t)epoch;
    state = splitmix64(&state) ^ (uint64_t)sample;
    return random_seeded(state);
}

static int64_t inside(int64_t at, int64_t n)
{
    return at < 0 ? 0 : at < n ? at : n - 1;
}

static void move(const struct dataset_input *input, int64_t down, int64_t right,
                 bool flip, const float *from, float *to)
{
    const int64_t h = input->dim[2], w = input->dim[3];

    for (int64_t c = 0; c < input->dim[1]; c++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++) {
                const int64_t column = inside(x + right, w);

                *to++ = from[(c * h + inside(y + down, h)) * w
                             + (flip ? w - 1 - column : column)];
            }
}

/* Box and Muller 1958. */
static double normal(struct random *r)
{
    const double u = 1 - random_unit(r), v = random_unit(r);

    return sqrt(-2 * log(u)) * cos(2 * acos(-1.0) * v);
}

static void add_noise(struct random *r, double share, int64_t n, float *x)
{
    double mean = 0, spread = 0;

    for (int64_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (int64_t i = 0; i < n; i++)
        spread += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++)
        x[i] += (float)(share * sqrt(spread) * normal(r));
}

void augment_sample(const struct augment *a, const struct dataset_input *input,
                    uint64_t seed, int64_t epoch, int64_t sample, float *x,
                    float *scratch)
{
    struct random r = random_of(seed, epoch, sample);
    int64_t n = 1;

    for (int d = 0; d < input->rank; d++)
        n *= input->dim[d];
    if (input->rank == 4 && input->dim[0] == 1 && (a->crop || a->flip)) {
        const uint64_t places = (uint64_t)(2 * a->crop + 1);
        const int64_t down = (int64_t)random_below(&r, places) - a->crop;
        const int64_t right = (int64_t)random_below(&r, places) - a->crop;
        const bool flip = a->flip && random_below(&r, 2);

        memcpy(scratch, x, (size_t)n * sizeof *x);
        move(input, down, right, flip, scratch, x);
    }
    if (a->noise > 0)
        add_noise(&r, a->noise, n, x);
}
