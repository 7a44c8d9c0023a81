/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the same model as machine code and as C, and compares: see CMakeLists.txt. */
#include <stdio.h>
#include <string.h>

#include <runtime/pool.h>

#include "digits.h"
#include "portable.h"

enum { N_SAMPLES = 8000, N_DIGITS = 10 };

static _Alignas(64) unsigned char weights[DIGITS_WEIGHTS_BYTES];
static _Alignas(64) unsigned char memory[DIGITS_WORKSPACE_BYTES + 1];
static _Alignas(64) unsigned char more[PORTABLE_WORKSPACE_BYTES + 1];
static float wave[N_SAMPLES], scores[N_DIGITS], again[N_DIGITS];

static int load_weights(void)
{
    FILE *f = fopen(WEIGHTS, "rb");
    const size_t n = f ? fread(weights, 1, sizeof weights, f) : 0;

    if (f)
        fclose(f);
    return n == sizeof weights;
}

int main(void)
{
    struct hadm_pool *pool = hadm_pool_create(4);
    struct digits digits;
    struct portable portable;

    if (!load_weights()
        || digits_open(&digits, weights, sizeof weights, memory, sizeof memory,
                       DIGITS_CHECK_PAYLOAD)
        || portable_open(&portable, portable_weights, PORTABLE_WEIGHTS_BYTES, more,
                         sizeof more, 0)
        || digits_use_workers(&digits, hadm_pool_for, pool, 4)
        || portable_use_workers(&portable, hadm_pool_for, pool, 4))
        return 1;
    for (int i = 0; i < N_SAMPLES; i++)
        wave[i] = (float)(i * 37 % 199 - 99) / 100.0f;
    digits_run(&digits, &(struct digits_in){wave}, &(struct digits_out){scores});
    portable_run(&portable, &(struct portable_in){wave}, &(struct portable_out){again});
    hadm_pool_destroy(pool);
    for (int i = 0; i < N_DIGITS; i++) {
        const float off = scores[i] - again[i];

        if (!(off < 1e-3f && off > -1e-3f)) {
            printf("score %d: %g and %g\n", i, scores[i], again[i]);
            return 1;
        }
    }
    printf("agreed\n");
    return 0;
}
