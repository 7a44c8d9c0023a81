/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* WAV files of a few frames, made here. */
#include "tests/test.h"

#include "frontend/dataset_formats.h"

static uint8_t file[128];

static void put(size_t at, uint32_t x, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        file[at + (size_t)i] = (uint8_t)(x >> 8 * i);
}

/* Header of 44 bytes, then the data. */
static size_t make(uint32_t tag, uint32_t channels, uint32_t bits, const void *data,
                   size_t n)
{
    memset(file, 0, sizeof file);
    memcpy(file, "RIFF----WAVEfmt ", 16);
    put(16, 16, 4);
    put(20, tag, 2);
    put(22, channels, 2);
    put(24, 8000, 4);
    put(32, channels * bits / 8, 2);
    put(34, bits, 2);
    memcpy(file + 36, "data", 4);
    put(40, (uint32_t)n, 4);
    memcpy(file + 44, data, n);
    return 44 + n;
}

static void check(uint32_t tag, uint32_t channels, uint32_t bits, const void *data,
                  size_t n, float first, float second)
{
    const size_t len = make(tag, channels, bits, data, n);
    struct wav w;
    float out[2];

    CHECK_OK(wav_parse(file, len, &w));
    CHECK_EQ(w.n, 2);
    CHECK_EQ(w.rate, 8000);
    wav_mono(&w, 2, out);
    CHECK(out[0] == first && out[1] == second);
}

TEST(wav_reads_every_coding_from_minus_one_to_one)
{
    check(1, 1, 8, "\x80\x00", 2, 0, -1);
    check(1, 1, 16, "\x00\x40\x00\x80", 4, 0.5f, -1);
    check(1, 1, 24, "\x00\x00\x40\x00\x00\x80", 6, 0.5f, -1);
    check(1, 1, 32, "\x00\x00\x00\x40\x00\x00\x00\x80", 8, 0.5f, -1);
    check(3, 1, 32, (const float[]){0.25f, -2}, 8, 0.25f, -2);
    check(3, 1, 64, (const double[]){0.25, -2}, 16, 0.25f, -2);
}

/* (0.5 + 0) / 2 and (-1 - 1) / 2. */
TEST(wav_averages_channels)
{
    check(1, 2, 16, (const int16_t[]){16384, 0, -32768, -32768}, 8, 0.25f, -1);
}

TEST(wav_refuses_what_it_cannot_read)
{
    struct wav w;

    CHECK_FAILS(wav_parse(file, make(1, 0, 16, "1234", 4), &w), INVALID, "0 channels");
    CHECK_FAILS(wav_parse(file, make(2, 1, 4, "1234", 4), &w), UNSUPPORTED,
                "format 2 with 4 bits");
    CHECK_FAILS(wav_parse(file, make(1, 1, 16, "1234", 4) - 1, &w), INVALID,
                "cut short: 3 bytes of 4");
    CHECK_FAILS(wav_parse(file, make(1, 1, 16, "", 0), &w), INVALID, "it is empty");
    make(1, 1, 16, "1234", 4);
    put(32, 4, 2);
    CHECK_FAILS(wav_parse(file, 48, &w), INVALID, "4 bytes instead of 2");
    make(1, 1, 16, "1234", 4);
    CHECK_FAILS(wav_parse(file, 36, &w), INVALID, "no data");
    CHECK_FAILS(wav_parse((const uint8_t *)"RIFX", 4, &w), INVALID, "not a WAV file");
}
