/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers, the same on every run, and a file of samples of 2 x 6 x 6 of them. */
#ifndef HADMC_TESTS_SMALL_SAMPLES_H
#define HADMC_TESTS_SMALL_SAMPLES_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { N_PIXELS = 72 };

static uint32_t seed_now;

/* -1 to 1. */
static inline float draw(void)
{
    seed_now = seed_now * 1664525u + 1013904223u;
    return (float)(seed_now >> 8) / 8388608.0f - 1.0f;
}

static inline void write_samples(const char *path, int n_samples)
{
    char header[128];
    FILE *f = fopen(path, "wb");

    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int n = snprintf(
        header + 10, 118,
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 2, 6, 6)}", n_samples);

    header[10 + n] = ' ';
    header[127] = '\n';
    fwrite(header, 1, 128, f);
    seed_now = 9;
    for (int i = 0; i < n_samples * N_PIXELS; i++) {
        const float x = draw();

        fwrite(&x, sizeof x, 1, f);
    }
    fclose(f);
}

#endif /* HADMC_TESTS_SMALL_SAMPLES_H */
