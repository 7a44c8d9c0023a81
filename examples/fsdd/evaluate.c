/* SPDX-License-Identifier: Apache-2.0 */
/* Spoken digits: an application around a compiled model.
 *
 *     hadmcc fsdd_m5.onnx --target host -o fsdd_m5.host
 *     cc -O2 -Ifsdd_m5.host evaluate.c fsdd_m5.host/libfsdd_m5.a -o evaluate
 *     ./evaluate fsdd_m5.host/fsdd_m5.weights test_wave.npy test_labels.npy
 *
 * Prints the share of recordings that are recognised and the median time of one
 * inference.  The model sees 8 000 samples at 8 kHz, scaled by their loudest one.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fsdd_m5.h"

enum { N_SAMPLES = 8000, N_DIGITS = 10, MAX_RECORDINGS = 1000, NPY_HEADER = 10 };

static _Alignas(FSDD_M5_WORKSPACE_ALIGN) uint8_t workspace[FSDD_M5_WORKSPACE_BYTES];

static void die(const char *what, const char *why)
{
    fprintf(stderr, "evaluate: %s: %s\n", what, why);
    exit(1);
}

/* The whole file at an address that is a multiple of 64. */
static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");

    if (!f || fseek(f, 0, SEEK_END) != 0)
        die(path, "cannot open it");

    const long end = ftell(f);
    uint8_t *bytes = aligned_alloc(64, ((size_t)end + 63) / 64 * 64);

    rewind(f);
    if (!bytes || fread(bytes, 1, (size_t)end, f) != (size_t)end)
        die(path, "cannot read it");
    fclose(f);
    *len = (size_t)end;
    return bytes;
}

/* What follows the header of a version 1 .npy file, and how many bytes it is. */
static const uint8_t *read_npy(const char *path, size_t *len)
{
    const uint8_t *bytes = read_file(path, len);

    if (*len < NPY_HEADER || memcmp(bytes, "\x93NUMPY\x01", 7) != 0)
        die(path, "not a .npy file of version 1");

    const size_t header = NPY_HEADER + (size_t)(bytes[8] | bytes[9] << 8);

    if (header > *len)
        die(path, "cut off");
    *len -= header;
    return bytes + header;
}

/* x / (max |x| + 1) */
static void scale(const int16_t *wave, float *out)
{
    int loudest = 0;

    for (int i = 0; i < N_SAMPLES; i++)
        loudest = abs(wave[i]) > loudest ? abs(wave[i]) : loudest;
    for (int i = 0; i < N_SAMPLES; i++)
        out[i] = (float)wave[i] / (float)(loudest + 1);
}

static int largest(const float *scores)
{
    int best = 0;

    for (int i = 1; i < N_DIGITS; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static float input[N_SAMPLES];
    static double us[MAX_RECORDINGS];
    float scores[N_DIGITS];
    size_t weights_len, waves_len, n_labels;
    struct fsdd_m5 model;

    if (argc != 4)
        die("usage", "evaluate WEIGHTS WAVES.npy LABELS.npy");

    const uint8_t *weights = read_file(argv[1], &weights_len);
    const uint8_t *waves = read_npy(argv[2], &waves_len);
    const uint8_t *labels = read_npy(argv[3], &n_labels);
    const enum fsdd_m5_status status =
        fsdd_m5_open(&model, weights, weights_len, workspace, sizeof workspace, 0);

    if (status != FSDD_M5_OK)
        die(argv[1], fsdd_m5_strerror(status));

    const size_t in_file = waves_len / (N_SAMPLES * sizeof(int16_t));
    const size_t n = in_file < n_labels ? in_file : n_labels;
    size_t right = 0;

    if (n == 0 || n > MAX_RECORDINGS)
        die(argv[2], "no recordings, or too many");
    for (size_t i = 0; i < n; i++) {
        int16_t wave[N_SAMPLES];

        memcpy(wave, waves + i * sizeof wave, sizeof wave);
        scale(wave, input);

        const double start = now_us();

        fsdd_m5_run(&model, &(struct fsdd_m5_in){.input = input},
                    &(struct fsdd_m5_out){.logits = scores});
        us[i] = now_us() - start;
        right += largest(scores) == labels[i];
    }
    qsort(us, n, sizeof *us, by_value);
    printf("accuracy   %.2f %% (%zu of %zu recordings)\n",
           100.0 * (double)right / (double)n, right, n);
    printf("latency    %.1f us (median of one inference, measured on this machine)\n",
           us[n / 2]);
    return 0;
}
