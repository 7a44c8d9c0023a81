/* SPDX-License-Identifier: Apache-2.0 */
/* Distance of tensors, element by element in double: see compare.h. */
#include "cli/compare.h"

#include <math.h>
#include <string.h>

/* IEEE 754 binary16. */
static double half_to_double(uint16_t h)
{
    const double sign = h >> 15 ? -1.0 : 1.0;
    const int exponent = h >> 10 & 31, fraction = h & 1023;

    if (exponent == 31)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    return sign * ldexp(fraction + 1024, exponent - 25);
}

static double brain_to_double(uint16_t b)
{
    const uint32_t bits = (uint32_t)b << 16;
    float f;

    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

double compare_element(enum dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case DT_f32:
        return (double)((const float *)data)[i];
    case DT_f64:
        return ((const double *)data)[i];
    case DT_f16:
        return half_to_double(((const uint16_t *)data)[i]);
    case DT_bf16:
        return brain_to_double(((const uint16_t *)data)[i]);
    case DT_i8:
    case DT_i4:
        return ((const int8_t *)data)[i];
    case DT_i16:
        return ((const int16_t *)data)[i];
    case DT_i32:
        return ((const int32_t *)data)[i];
    case DT_i64:
        return (double)((const int64_t *)data)[i];
    case DT_u8:
    case DT_u4:
        return ((const uint8_t *)data)[i];
    case DT_bool:
        return ((const uint8_t *)data)[i] != 0;
    case DT_u16:
        return ((const uint16_t *)data)[i];
    case DT_u32:
        return ((const uint32_t *)data)[i];
    case DT_u64:
        return (double)((const uint64_t *)data)[i];
    case DT_NONE:
    case DT_COUNT:
        break;
    }
    return NAN;
}

static int64_t count(const struct tensor *t)
{
    int64_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= t->dim[i];
    return n;
}

static bool is_float(enum dtype d)
{
    return d == DT_f32 || d == DT_f64 || d == DT_f16 || d == DT_bf16;
}

/* 64-bit integers do not all fit a double, so equality looks at the bytes. */
static bool same_bytes(const struct tensor *a, const struct tensor *b, int64_t i)
{
    const size_t n = (size_t)dtype_info[a->dtype].bytes;

    return memcmp((const char *)a->data + n * (size_t)i,
                  (const char *)b->data + n * (size_t)i, n)
           == 0;
}

static double error_of(double got, double expected)
{
    if (isnan(got) && isnan(expected))
        return 0;
    if (got == expected)
        return 0;
    return isfinite(got) && isfinite(expected) ? fabs(got - expected) : INFINITY;
}

static double largest(const struct tensor *t)
{
    double max = 0;

    for (int64_t i = 0, n = count(t); i < n; i++) {
        const double x = fabs(compare_element(t->dtype, t->data, i));

        if (isfinite(x) && x > max)
            max = x;
    }
    return max > 0 ? max : 1;
}

static bool same_dims(const struct tensor *a, const struct tensor *b)
{
    for (int i = 0; i < a->rank && i < b->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return a->rank == b->rank;
}

static void put_kind(struct text *t, const struct tensor *x)
{
    text_printf(t, "%s[", dtype_info[x->dtype].name);
    for (int i = 0; i < x->rank; i++)
        text_printf(t, "%s%lld", i ? "," : "", (long long)x->dim[i]);
    text_puts(t, "]");
}

static struct status *check_same_kind(const struct tensor *got,
                                      const struct tensor *expected)
{
    struct text words = {0};

    if (got->dtype == expected->dtype && same_dims(got, expected))
        return OK;
    put_kind(&words, got);
    text_puts(&words, ", expected is ");
    put_kind(&words, expected);

    struct status *s = FAIL(INVALID, "the result is %s", words.bytes);

    text_free(&words);
    return s;
}

struct status *compare_tensors(const struct tensor *got, const struct tensor *expected,
                               struct difference *out)
{
    const int64_t n = count(expected);
    double sum = 0;

    RETURN_IF_FAIL(check_same_kind(got, expected));
    *out = (struct difference){.is_float = is_float(expected->dtype), .scale = 1};
    if (out->is_float)
        out->scale = largest(expected);
    for (int64_t i = 0; i < n; i++) {
        const double x = compare_element(got->dtype, got->data, i);
        const double y = compare_element(expected->dtype, expected->data, i);
        double error = error_of(x, y) / out->scale;

        if (!out->is_float && error == 0 && expected->dtype != DT_bool
            && !same_bytes(got, expected, i))
            error = 1; /* neighbours beyond 2^53 */
        sum += error;
        out->n_unequal += error != 0;
        if (error > out->max_error || i == 0) {
            out->max_error = error;
            out->worst_at = i;
            out->worst_got = x;
            out->worst_expected = y;
        }
    }
    out->mean_error = n ? sum / (double)n : 0;
    return OK;
}

bool compare_within(const struct difference *d, double tolerance)
{
    if (!d->is_float)
        return d->n_unequal == 0;
    return d->max_error <= tolerance && d->mean_error <= tolerance / 10;
}
