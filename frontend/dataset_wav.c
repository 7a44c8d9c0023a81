/* SPDX-License-Identifier: Apache-2.0 */
/* RIFF WAVE: chunks of a name, a length and that many bytes, padded to an even number.
 * "fmt " says what the numbers of "data" are (Microsoft, Multimedia Programming
 * Interface 1.0, 1991; WAVE_FORMAT_EXTENSIBLE: 1999). */
#include <string.h>

#include "frontend/dataset_formats.h"

enum { TAG_PCM = 1, TAG_FLOAT = 3, TAG_EXTENSIBLE = 0xfffe, MAX_CHANNELS = 64 };

static const int bytes_of[] = {[WAV_U8] = 1,  [WAV_I16] = 2, [WAV_I24] = 3,
                               [WAV_I32] = 4, [WAV_F32] = 4, [WAV_F64] = 8};

static uint32_t get_u16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t get_u32(const uint8_t *at)
{
    return get_u16(at) | get_u16(at + 2) << 16;
}

static struct status *kind_of(uint32_t tag, uint32_t bits, enum wav_kind *out)
{
    static const struct {
        uint32_t tag, bits;
        enum wav_kind kind;
    } table[] = {{TAG_PCM, 8, WAV_U8},     {TAG_PCM, 16, WAV_I16},
                 {TAG_PCM, 24, WAV_I24},   {TAG_PCM, 32, WAV_I32},
                 {TAG_FLOAT, 32, WAV_F32}, {TAG_FLOAT, 64, WAV_F64}};

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].tag == tag && table[i].bits == bits) {
            *out = table[i].kind;
            return OK;
        }
    return FAIL(UNSUPPORTED, "its sound is coded as format %u with %u bits", tag, bits);
}

static struct status *read_format(const uint8_t *at, size_t len, struct wav *out)
{
    if (len < 16)
        return FAIL(INVALID, "its format is cut short");

    uint32_t tag = get_u16(at);
    const uint32_t channels = get_u16(at + 2), rate = get_u32(at + 4);

    if (tag == TAG_EXTENSIBLE && len >= 26)
        tag = get_u16(at + 24);
    if (channels < 1 || channels > MAX_CHANNELS)
        return FAIL(INVALID, "it has %u channels", channels);
    if (rate < 1 || rate > 1u << 24)
        return FAIL(INVALID, "it has %u samples a second", rate);
    RETURN_IF_FAIL(kind_of(tag, get_u16(at + 14), &out->kind));
    out->channels = (int)channels;
    out->rate = (int)rate;
    if (get_u16(at + 12) != channels * (uint32_t)bytes_of[out->kind])
        return FAIL(INVALID, "its frames have %u bytes instead of %u", get_u16(at + 12),
                    channels * (uint32_t)bytes_of[out->kind]);
    return OK;
}

struct status *wav_parse(const uint8_t *bytes, size_t len, struct wav *out)
{
    memset(out, 0, sizeof *out);
    if (len < 12 || memcmp(bytes, "RIFF", 4) != 0 || memcmp(bytes + 8, "WAVE", 4) != 0)
        return FAIL(INVALID, "it is not a WAV file");
    for (size_t at = 12; len - at >= 8;) {
        const uint8_t *chunk = bytes + at;
        const size_t n = get_u32(chunk + 4), left = len - at - 8;

        if (n > left)
            return FAIL(INVALID, "it is cut short: %zu bytes of %zu", left, n);
        if (memcmp(chunk, "fmt ", 4) == 0)
            RETURN_IF_FAIL(read_format(chunk + 8, n, out));
        if (memcmp(chunk, "data", 4) == 0) {
            if (!out->channels)
                return FAIL(INVALID, "its format is not before its data");
            out->data = chunk + 8;
            out->n = (int64_t)n / (out->channels * bytes_of[out->kind]);
            return out->n ? OK : FAIL(INVALID, "it is empty");
        }
        if (n + (n & 1) > left)
            break;
        at += 8 + n + (n & 1);
    }
    return FAIL(INVALID, "it has no data");
}

static double number(const uint8_t *at, enum wav_kind kind)
{
    float f32;
    double f64;

    switch (kind) {
    case WAV_U8:
        return ((int)*at - 128) / 128.0;
    case WAV_I16:
        return (int16_t)get_u16(at) / 32768.0;
    case WAV_I24:
        return (int32_t)(get_u16(at) << 8 | (uint32_t)at[2] << 24) / 2147483648.0;
    case WAV_I32:
        return (int32_t)get_u32(at) / 2147483648.0;
    case WAV_F32:
        memcpy(&f32, at, sizeof f32);
        return (double)f32;
    case WAV_F64:
        memcpy(&f64, at, sizeof f64);
        return f64;
    }
    return 0;
}

void wav_mono(const struct wav *w, int64_t n, float *out)
{
    const int step = bytes_of[w->kind];
    const uint8_t *at = w->data;

    for (int64_t i = 0; i < n; i++) {
        double sum = 0;

        for (int c = 0; c < w->channels; c++, at += step)
            sum += number(at, w->kind);
        out[i] = (float)(sum / w->channels);
    }
}
