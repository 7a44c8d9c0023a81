/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle's arithmetic: rounding, clamping, Quantize and Dequantize. */
#include "tests/oracle/oracle.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

static_assert(FLT_EVAL_METHOD == 0, "a float operation rounds to float");

static int32_t load(enum oracle_type type, const unsigned char *at)
{
    int16_t wide;

    switch (type) {
    case ORACLE_INT8:
        return (int8_t)at[0];
    case ORACLE_UINT8:
        return at[0];
    case ORACLE_INT16:
    case ORACLE_UINT16:
        memcpy(&wide, at, sizeof wide);
        return type == ORACLE_INT16 ? wide : (uint16_t)wide;
    }
    return 0;
}

static size_t bytes_of(enum oracle_type type)
{
    return type == ORACLE_INT8 || type == ORACLE_UINT8 ? 1 : 2;
}

void oracle_from_bytes(enum oracle_type type, const void *bytes, size_t n,
                       int32_t *codes)
{
    for (size_t i = 0; i < n; i++)
        codes[i] = load(type, (const unsigned char *)bytes + i * bytes_of(type));
}

void oracle_to_bytes(enum oracle_type type, const int32_t *codes, size_t n, void *bytes)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char *at = (unsigned char *)bytes + i * bytes_of(type);
        const uint16_t wide = (uint16_t)codes[i];
        int32_t back;

        if (bytes_of(type) == 1)
            *at = (unsigned char)codes[i];
        else
            memcpy(at, &wide, sizeof wide);
        back = load(type, at);
        assert(back == codes[i]);
    }
}

int64_t oracle_rne(double x)
{
    assert(fabs(x) <= 0x1p51);

    const int64_t cut = (int64_t)x; /* towards zero */
    const int64_t down = (double)cut > x ? cut - 1 : cut;
    const double rest = x - (double)down; /* exact, in [0, 1) */

    return down + (rest > 0.5 || (rest == 0.5 && down % 2 != 0));
}

/* The 24 leading bits of the magnitude, rounded up when what is dropped is more than
 * half of their last place, or just half and that place is odd. */
float oracle_float(int64_t v)
{
    const uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int n_dropped = 0;

    while (magnitude >> n_dropped >= (uint64_t)1 << 24)
        n_dropped++;

    uint64_t kept = magnitude >> n_dropped;
    const uint64_t dropped = magnitude - (kept << n_dropped);
    const uint64_t half = n_dropped ? (uint64_t)1 << (n_dropped - 1) : 0;

    if (n_dropped && (dropped > half || (dropped == half && kept % 2 != 0)))
        kept++;

    const float value = ldexpf((float)kept, n_dropped);
    return v < 0 ? -value : value;
}

double oracle_clamp(double x, double least, double most)
{
    const double raised = x < least ? least : x;

    return raised > most ? most : raised;
}

float oracle_multiplier(float s_x, float s_w, float s_y)
{
    const float m = (float)((double)s_x * (double)s_w / (double)s_y);

    assert(m >= 0x1p-126f && m <= 0x1p24f);
    return m;
}

int32_t oracle_settle(double t, const struct oracle_output *y)
{
    const double known = isnan(t) ? 0 : t;
    const double least = (double)y->lo - y->zero, most = (double)y->hi - y->zero;

    return (int32_t)(y->zero + oracle_rne(oracle_clamp(known, least, most)));
}

int32_t oracle_scale_down(int64_t acc, float m, const struct oracle_output *y)
{
    const float t = oracle_float(acc) * m;

    return oracle_settle((double)t, y);
}

int32_t oracle_limit(float limit, const struct oracle_output *y)
{
    return oracle_quantize_one(limit, y);
}

int32_t oracle_bias(double real, float s_x, float s_w)
{
    const int64_t code = oracle_rne(real / ((double)s_x * (double)s_w));

    assert(code >= INT32_MIN && code <= INT32_MAX);
    return (int32_t)code;
}

int32_t oracle_quantize_one(float x, const struct oracle_output *y)
{
    const float t = x / y->scale;

    return oracle_settle((double)t, y);
}

int32_t oracle_quantize_reciprocal_one(float x, const struct oracle_output *y)
{
    const float reciprocal = 1.0f / y->scale;
    const float t = x * reciprocal;

    return oracle_settle((double)t, y);
}

float oracle_dequantize_one(int32_t code, struct oracle_quant q)
{
    return q.scale * oracle_float((int64_t)code - q.zero);
}

void oracle_quantize(const float *x, int64_t outer, int64_t channels, int64_t inner,
                     const struct oracle_output *y_as, int32_t *y)
{
    for (int64_t i = 0; i < outer * channels * inner; i++)
        y[i] = oracle_quantize_one(x[i], &y_as[i / inner % channels]);
}

void oracle_dequantize(const int32_t *x, int64_t outer, int64_t channels, int64_t inner,
                       const struct oracle_quant *x_as, float *y)
{
    for (int64_t i = 0; i < outer * channels * inner; i++)
        y[i] = oracle_dequantize_one(x[i], x_as[i / inner % channels]);
}
