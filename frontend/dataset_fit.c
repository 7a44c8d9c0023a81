/* SPDX-License-Identifier: Apache-2.0 */
/* A stored sample -> the input of a model: which element goes where, and the numbers.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/dataset_parts.h"
#include "kernels/half.h"

/* ---- shapes ---------------------------------------------------------------------- */

static int64_t product(int rank, const int64_t *dim)
{
    int64_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    return n;
}

static int without_ones(int rank, const int64_t *dim, int64_t *out)
{
    int n = 0;

    for (int i = 0; i < rank; i++)
        if (dim[i] != 1)
            out[n++] = dim[i];
    return n;
}

static bool same_but_ones(const struct sample *s, const struct dataset_input *in)
{
    int64_t a[NPY_MAX_RANK], b[IR_MAX_RANK];
    const int n = without_ones(s->rank, s->dim, a);

    return n == without_ones(in->rank, in->dim, b)
           && memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static void print_shape(struct text *to, int rank, const int64_t *dim)
{
    if (rank == 0)
        text_puts(to, "single numbers");
    for (int i = 0; i < rank; i++)
        text_printf(to, "%s%lld", i ? "x" : "", (long long)dim[i]);
}

static struct status *does_not_fit(const struct sample *s,
                                   const struct dataset_input *in)
{
    struct text text = {0};

    text_puts(&text, "samples are ");
    print_shape(&text, s->rank, s->dim);
    text_printf(&text, ", input '%s' wants ", in->name);
    print_shape(&text, in->rank, in->dim);
    if (s->is_picture)
        text_puts(&text, " (\"resize\" and \"crop\" in a specification change that)");

    struct status *status = FAIL(INVALID, "%s", text.bytes);

    text_free(&text);
    return status;
}

/* The input without its batch: its last three dimensions, or NULL. */
static const int64_t *three_dims(const struct dataset_input *in)
{
    if (in->rank == 3)
        return in->dim;
    return in->rank == 4 && in->dim[0] == 1 ? in->dim + 1 : NULL;
}

static bool to_channels_first(const int64_t *s, const int64_t *t, struct fit *out)
{
    *out = (struct fit){{s[2], s[0], s[1]}, {1, s[1] * s[2], s[2]}, s[0] * s[1] * s[2]};
    return memcmp(out->size, t, sizeof out->size) == 0;
}

static bool to_channels_last(const int64_t *s, const int64_t *t, struct fit *out)
{
    *out = (struct fit){{s[1], s[2], s[0]}, {s[2], 1, s[1] * s[2]}, s[0] * s[1] * s[2]};
    return memcmp(out->size, t, sizeof out->size) == 0;
}

/* What a model usually has, unless only the other fits: channels first. */
static enum spec_layout input_layout(const struct dataset_spec *spec,
                                     const int64_t *stored, const int64_t *wanted)
{
    if (spec->input_layout != LAYOUT_ANY)
        return spec->input_layout;
    return wanted[0] != stored[2] && wanted[2] == stored[2] ? LAYOUT_NHWC : LAYOUT_NCHW;
}

/* The layouts are known and differ. */
static bool must_transpose(const struct dataset_spec *spec, const struct sample *s,
                           const int64_t *wanted)
{
    const enum spec_layout stored = s->is_picture ? LAYOUT_NHWC : spec->layout;

    if (stored == LAYOUT_NHWC)
        return input_layout(spec, s->dim, wanted) == LAYOUT_NCHW;
    return stored == LAYOUT_NCHW && spec->input_layout == LAYOUT_NHWC;
}

static bool transposes(const struct dataset_spec *spec, const struct sample *s,
                       const int64_t *wanted, struct fit *out)
{
    const enum spec_layout stored = s->is_picture ? LAYOUT_NHWC : spec->layout;

    if (stored != LAYOUT_NCHW && spec->input_layout != LAYOUT_NHWC
        && to_channels_first(s->dim, wanted, out))
        return true;
    return stored != LAYOUT_NHWC && spec->input_layout != LAYOUT_NCHW
           && to_channels_last(s->dim, wanted, out);
}

struct status *fit_plan(const struct dataset *d, const struct sample *s, int input,
                        struct fit *out)
{
    const struct dataset_input *in = &d->input[input];
    const int64_t *wanted = s->rank == 3 ? three_dims(in) : NULL;
    const int64_t n = product(in->rank, in->dim), n_stored = product(s->rank, s->dim);
    const struct dataset_spec *spec = &d->parts->spec;

    if (wanted && must_transpose(spec, s, wanted)) {
        if (transposes(spec, s, wanted, out))
            return OK;
        if (s->dim[2] != 1)
            return does_not_fit(s, in);
    }
    *out = (struct fit){{1, 1, n}, {0, 0, 1}, n};
    if (s->is_clip) {
        out->n_stored = n_stored < n ? n_stored : n;
        return OK;
    }
    if (d->task == DATASET_LANGUAGE && n_stored == n + 1)
        return OK;
    if (same_but_ones(s, in) || (wanted && transposes(spec, s, wanted, out)))
        return OK;
    return does_not_fit(s, in);
}

/* ---- one number ------------------------------------------------------------------ */

bool dtype_is_integer(enum dtype dtype)
{
    return dtype != DT_f32 && dtype != DT_f64 && dtype != DT_f16 && dtype != DT_bf16;
}

static uint64_t bits_of(const uint8_t *at, int n_bytes, bool swapped)
{
    uint64_t bits = 0;

    for (int i = 0; i < n_bytes; i++)
        bits |= (uint64_t)at[i] << 8 * (swapped ? n_bytes - 1 - i : i);
    return bits;
}

bool whole_of(const uint8_t *at, enum dtype dtype, bool swapped, int64_t *out)
{
    const uint64_t bits = bits_of(at, dtype_info[dtype].bytes, swapped);
    double x;

    switch (dtype) {
    case DT_i8:
        *out = (int8_t)bits;
        return true;
    case DT_i16:
        *out = (int16_t)bits;
        return true;
    case DT_i32:
        *out = (int32_t)bits;
        return true;
    case DT_f32:
    case DT_f64:
    case DT_f16:
        x = number_of(at, dtype, swapped);
        if (!(x >= -0x1p62 && x <= 0x1p62) || x != floor(x))
            return false;
        *out = (int64_t)x;
        return true;
    default:
        *out = (int64_t)bits;
        return dtype != DT_u64 || bits <= INT64_MAX;
    }
}

double number_of(const uint8_t *at, enum dtype dtype, bool swapped)
{
    if (dtype == DT_u8) /* pictures: most of what is read */
        return (double)*at;

    const uint64_t bits = bits_of(at, dtype_info[dtype].bytes, swapped);
    int64_t whole;
    double x;

    switch (dtype) {
    case DT_f32:
        return (double)f32_of_bits((uint32_t)bits);
    case DT_f64:
        memcpy(&x, &bits, sizeof x);
        return x;
    case DT_f16:
        return (double)f32_of_f16((uint16_t)bits);
    case DT_u64:
        return (double)bits;
    default:
        whole_of(at, dtype, swapped, &whole);
        return (double)whole;
    }
}

/* ---- all numbers ----------------------------------------------------------------- */

/* Channels of an input: element i is of channel i / inner % n. */
struct channels {
    int64_t n, inner;
};

static struct channels channels_of(const struct dataset *d, int input, int64_t n_wanted)
{
    const struct dataset_input *in = &d->input[input];
    const bool is_last =
        d->parts->spec.input_layout == LAYOUT_NHWC
        || (d->parts->spec.input_layout == LAYOUT_ANY && in->rank > 1
            && in->dim[1] != n_wanted && in->dim[in->rank - 1] == n_wanted);

    if (in->rank < 2)
        return (struct channels){1, 1};
    if (is_last)
        return (struct channels){in->dim[in->rank - 1], 1};
    return (struct channels){in->dim[1], product(in->rank - 2, in->dim + 2)};
}

static bool swaps_colors(const struct dataset_spec *spec, const struct sample *s)
{
    const bool stored_bgr = !s->is_picture && spec->stored_color == COLOR_BGR;

    return spec->color == (stored_bgr ? COLOR_RGB : COLOR_BGR);
}

/* Calls `body` with o = element of the input, at = where it is stored. */
#define FOR_STORED(s, fit, body)                                                       \
    do {                                                                               \
        const int size_ = dtype_info[(s)->dtype].bytes;                                \
        int64_t o = 0;                                                                 \
                                                                                       \
        for (int64_t a_ = 0; a_ < (fit)->size[0]; a_++)                                \
            for (int64_t b_ = 0; b_ < (fit)->size[1]; b_++)                            \
                for (int64_t c_ = 0; c_ < (fit)->size[2] && o < (fit)->n_stored;       \
                     c_++, o++) {                                                      \
                    const uint8_t *at = (s)->data                                      \
                                        + (a_ * (fit)->step[0] + b_ * (fit)->step[1]   \
                                           + c_ * (fit)->step[2])                      \
                                              * size_;                                 \
                                                                                       \
                    body;                                                              \
                }                                                                      \
    } while (0)

/* Where element o goes when the first and the third of three channels change places. */
static int64_t swapped_place(const struct channels *c, int64_t o)
{
    const int64_t channel = o / c->inner % 3;

    return o + (2 - 2 * channel) * c->inner;
}

/* c->inner divides n: elements of one channel follow each other so long. */
static void subtract_and_divide(const struct dataset_spec *spec,
                                const struct channels *c, int64_t n, double *v)
{
    const struct spec_numbers *mean = &spec->mean, *std = &spec->std;

    for (int64_t i = 0; i < n; i += c->inner) {
        const int64_t channel = i / c->inner % c->n;
        const double m = mean->n ? mean->at[mean->n > 1 ? channel : 0] : 0;
        const double s = std->n ? std->at[std->n > 1 ? channel : 0] : 1;

        for (int64_t k = i; k < i + c->inner; k++)
            v[k] = (v[k] - m) / s;
    }
}

static void divide_by_peak(double peak, int64_t n, double *v)
{
    double largest = 0;

    for (int64_t i = 0; i < n; i++)
        largest = fmax(largest, fabs(v[i]));
    for (int64_t i = 0; i < n && largest + peak > 0; i++)
        v[i] /= largest + peak;
}

static void preprocess(const struct dataset *d, int input, int64_t n, double *v)
{
    const struct dataset_spec *spec = &d->parts->spec;
    const int64_t n_list = spec->mean.n > spec->std.n ? spec->mean.n : spec->std.n;
    const struct channels c = channels_of(d, input, n_list);

    if (spec->scale != 1)
        for (int64_t i = 0; i < n; i++)
            v[i] *= spec->scale;
    if (spec->peak >= 0)
        divide_by_peak(spec->peak, n, v);
    if (spec->mean.n || spec->std.n)
        subtract_and_divide(spec, &c, n, v);
}

static void put_floats(int64_t n, const double *v, enum dtype dtype, void *out)
{
    for (int64_t i = 0; i < n; i++)
        switch (dtype) {
        case DT_f16:
            ((uint16_t *)out)[i] = f16_of_f32((float)v[i]);
            break;
        case DT_bf16:
            ((uint16_t *)out)[i] = bf16_of_f32((float)v[i]);
            break;
        case DT_f64:
            ((double *)out)[i] = v[i];
            break;
        default:
            ((float *)out)[i] = (float)v[i];
        }
}

static struct status *convert_floats(const struct dataset *d, const struct sample *s,
                                     int input, const struct fit *fit, void *out)
{
    const struct dataset_input *in = &d->input[input];
    const int64_t n = product(in->rank, in->dim);
    const struct channels c = channels_of(d, input, 3);
    const bool swaps = swaps_colors(&d->parts->spec, s) && c.n == 3;
    double *v = calloc((size_t)n, sizeof *v);

    if (!v)
        return FAIL(NO_FIT, "out of memory");
    FOR_STORED(s, fit,
               v[swaps ? swapped_place(&c, o) : o] =
                   number_of(at, s->dtype, s->swapped));
    preprocess(d, input, n, v);
    put_floats(n, v, in->dtype, out);
    free(v);
    return OK;
}

/* Least and most of an integer type; u64 ends where int64_t does. */
static void range_of(enum dtype dtype, int64_t *least, int64_t *most)
{
    const int bits = 8 * dtype_info[dtype].bytes;
    const bool is_signed =
        dtype == DT_i8 || dtype == DT_i16 || dtype == DT_i32 || dtype == DT_i64;

    *least = is_signed ? -1 - (INT64_MAX >> (64 - bits)) : 0;
    *most = bits == 64 ? INT64_MAX : (INT64_C(1) << (bits - is_signed)) - 1;
    if (dtype == DT_bool)
        *most = 1;
    if (dtype == DT_u4)
        *most = 15;
    if (dtype == DT_i4)
        *least = -8, *most = 7;
}

static struct status *convert_integers(const struct dataset *d, const struct sample *s,
                                       int input, const struct fit *fit, void *out)
{
    const struct dataset_input *in = &d->input[input];
    const int n_bytes = dtype_info[in->dtype].bytes;
    const struct channels c = channels_of(d, input, 3);
    const bool swaps = swaps_colors(&d->parts->spec, s) && c.n == 3;
    int64_t least, most, x;

    range_of(in->dtype, &least, &most);
    memset(out, 0, (size_t)(product(in->rank, in->dim) * n_bytes));
    FOR_STORED(s, fit, {
        if (!whole_of(at, s->dtype, s->swapped, &x) || x < least || x > most)
            return FAIL(INVALID, "a number of a sample does not fit into %s",
                        dtype_info[in->dtype].name);
        memcpy((char *)out + (swaps ? swapped_place(&c, o) : o) * n_bytes, &x,
               (size_t)n_bytes);
    });
    return OK;
}

struct status *fit_convert(const struct dataset *d, const struct sample *s, int input,
                           const struct fit *fit, void *out)
{
    if (!dtype_is_integer(d->input[input].dtype))
        return convert_floats(d, s, input, fit, out);
    if (!dtype_is_integer(s->dtype))
        return FAIL(INVALID, "samples are %s, input '%s' takes %s",
                    dtype_info[s->dtype].name, d->input[input].name,
                    dtype_info[d->input[input].dtype].name);
    return convert_integers(d, s, input, fit, out);
}

/* ---- what is handed out ---------------------------------------------------------- */

/* All ones in NaN and in infinite numbers. */
static uint64_t exponent_of(enum dtype dtype)
{
    return dtype == DT_f16    ? 0x7c00
           : dtype == DT_bf16 ? 0x7f80
           : dtype == DT_f64  ? UINT64_C(0x7ff) << 52
                              : 0x7f800000;
}

/* Nearly all inputs are float32: without branches it costs nothing beside reading. */
static bool are_finite(int64_t n, const float *v)
{
    uint32_t bits, bad = 0;

    for (int64_t i = 0; i < n; i++) {
        memcpy(&bits, v + i, sizeof bits);
        bad |= (bits & 0x7f800000) == 0x7f800000;
    }
    return !bad;
}

const char *fit_find_no_number(const struct dataset *d, int input, const void *v)
{
    const struct dataset_input *in = &d->input[input];
    const int n_bytes = dtype_info[in->dtype].bytes;
    const int64_t n = product(in->rank, in->dim);
    const uint64_t exponent = exponent_of(in->dtype);

    if (dtype_is_integer(in->dtype) || (in->dtype == DT_f32 && are_finite(n, v)))
        return NULL;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t bits = bits_of((const uint8_t *)v + i * n_bytes, n_bytes, false);

        if ((bits & exponent) == exponent)
            return bits & ((exponent & -exponent) - 1) ? "NaN" : "an infinite number";
    }
    return NULL;
}

/* ---- checks of the specification ------------------------------------------------- */

static struct status *check_channels(const struct dataset *d, int input,
                                     const char *key, int n)
{
    if (n <= 1 || channels_of(d, input, n).n == n)
        return OK;

    struct text shape = {0};

    print_shape(&shape, d->input[input].rank, d->input[input].dim);

    struct status *s =
        FAIL(INVALID, "'%s' has %d numbers, input '%s' (%s) has %lld channels", key, n,
             d->input[input].name, shape.bytes, (long long)channels_of(d, input, n).n);

    text_free(&shape);
    return s;
}

bool fit_changes_numbers(const struct dataset *d)
{
    const struct dataset_spec *spec = &d->parts->spec;

    return spec->scale != 1 || spec->peak >= 0 || spec->mean.n || spec->std.n;
}

struct status *fit_check_numbers(const struct dataset *d, int input)
{
    const struct dataset_spec *spec = &d->parts->spec;

    if (!dtype_is_integer(d->input[input].dtype)) {
        RETURN_IF_FAIL(check_channels(d, input, "mean", spec->mean.n));
        return check_channels(d, input, "std", spec->std.n);
    }
    /* With several inputs the numbers are for those that are not integers. */
    if (fit_changes_numbers(d) && d->n_inputs == 1)
        return FAIL(INVALID,
                    "input '%s' takes %s: 'scale', 'peak', 'mean' and 'std' are for "
                    "floats",
                    d->input[input].name, dtype_info[d->input[input].dtype].name);
    return OK;
}
