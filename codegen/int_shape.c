/* SPDX-License-Identifier: Apache-2.0 */
/* Geometry of integer convolutions: see int_shape.h. */
#include "codegen/int_shape.h"
#include "codegen/whole.h"

#include <assert.h>

/* ---- runs and steps ---------------------------------------------------------- */

struct int_runs int_runs(const struct conv *v)
{
    const int64_t column = v->in_x * v->dilation_x;

    if (column == 1 && (v->c_in == 1 || v->in_c != 1))
        return (struct int_runs){
            INT_RUN_COLUMNS, v->c_in, v->kw, ceil_div(v->kw, INT_STEP) * INT_STEP, 1,
            v->in_c};
    if (v->in_c == 1 && (v->kw == 1 || column == v->c_in))
        return (struct int_runs){INT_RUN_ROW,     1, v->kw * v->c_in,
                                 v->kw * v->c_in, 1, 0};
    return (struct int_runs){INT_RUN_CHANNELS, v->kw,   v->c_in,
                             v->c_in,          v->in_c, column};
}

int64_t int_run_steps(const struct int_runs *r)
{
    return ceil_div(r->length, INT_STEP);
}

int64_t int_step_at(const struct int_runs *r, int64_t k)
{
    if (INT_STEP * (k + 1) <= r->reach)
        return INT_STEP * k;
    return r->reach < INT_STEP ? 0 : r->reach - INT_STEP;
}

int64_t int_cut_columns(const struct conv *v)
{
    const struct int_runs r = int_runs(v);

    return r.kind == INT_RUN_COLUMNS ? r.reach : v->kw;
}

struct row_cut int_cut_row(const struct conv *v, int pixels)
{
    struct conv reach = *v;

    reach.kw = int_cut_columns(v);
    return conv_cut_row(&reach, pixels);
}

/* ---- classes ----------------------------------------------------------------- */

/* One axis: outputs, inputs, kernel. */
struct axis {
    int64_t outputs, inputs, taps, stride, dilation, pad;
};

static bool is_whole(const struct axis *a, int64_t at)
{
    const int64_t first = at * a->stride - a->pad;

    return first >= 0 && first + (a->taps - 1) * a->dilation < a->inputs;
}

static struct int_classes classes(const struct axis *a)
{
    struct int_classes k = {0};

    while (k.before < a->outputs && !is_whole(a, k.before))
        k.before++;
    if (k.before == a->outputs) {
        k.n = k.before;
        return k;
    }
    while (!is_whole(a, a->outputs - 1 - k.after))
        k.after++;
    k.n = k.before + 1 + k.after;
    return k;
}

struct int_classes int_row_classes(const struct conv *c)
{
    const struct axis a = {c->oh, c->h, c->kh, c->stride_y, c->dilation_y, c->pad_top};

    return classes(&a);
}

struct int_classes int_column_classes(const struct conv *c)
{
    const struct axis a = {c->ow, c->w, c->kw, c->stride_x, c->dilation_x, c->pad_left};

    return classes(&a);
}

int32_t int_flip_of(const struct int_conv *c, enum int_form form)
{
    if (form == INT_DOT_SS && !c->in_signed)
        return -128;
    return form == INT_BYTES && c->in_signed ? 128 : 0;
}

int32_t int_form_zero(const struct int_conv *c, enum int_form form, int32_t in_zero)
{
    return in_zero + int_flip_of(c, form);
}

static const struct int_classes one_class = {.n = 1};

struct int_classes int_bias_rows(const struct int_conv *c, const struct conv *v)
{
    return c->even_bias ? one_class : int_row_classes(v);
}

struct int_classes int_bias_columns(const struct int_conv *c, const struct conv *v)
{
    return c->even_bias ? one_class : int_column_classes(v);
}

bool int_rows_have_taps(const struct conv *c)
{
    for (int64_t y = 0; y < c->oh; y++) {
        bool some = false;

        for (int64_t k = 0; k < c->kh && !some; k++) {
            const int64_t row = y * c->stride_y - c->pad_top + k * c->dilation_y;

            some = row >= 0 && row < c->h;
        }
        if (!some)
            return false;
    }
    return true;
}

int64_t int_class_of(const struct int_classes *k, int64_t outputs, int64_t at)
{
    const int64_t beyond = at - (outputs - k->after) + 1;

    return (at < k->before ? at : k->before) + (beyond > 0 ? beyond : 0);
}

int64_t int_class_output(const struct int_classes *k, int64_t outputs, int64_t class)
{
    return class <= k->before ? class : outputs - k->after + class - k->before - 1;
}

/* ---- blocks ------------------------------------------------------------------ */

int64_t int_block_width(const struct int_tiling *t)
{
    return (int64_t)t->vectors * t->lanes;
}

int64_t int_tail_width(const struct int_tiling *t)
{
    return t->tail_vectors ? (t->tail_vectors - 1) * (int64_t)t->lanes + t->tail_lanes
                           : 0;
}

int64_t int_whole_blocks(const struct int_conv *c, const struct int_tiling *t)
{
    return c->shape.c_out / int_block_width(t);
}

int64_t int_blocks(const struct int_conv *c, const struct int_tiling *t)
{
    return int_whole_blocks(c, t) + (t->tail_vectors > 0);
}

int64_t int_group_width(const struct int_conv *c, const struct int_tiling *t)
{
    return int_whole_blocks(c, t) * int_block_width(t) + int_tail_width(t);
}

int64_t int_woven_channel(int vector, int lane)
{
    return lane / 4 * 16 + vector * 4 + lane % 4;
}

int64_t int_channel_at(const struct int_conv *c, int lanes, int vectors, int vector,
                       int lane)
{
    const int mixed = c->result == INT_CODES ? vectors / 4 * 4 : 0;
    const int first = vector / 4 * 4;

    if (vector >= mixed)
        return (int64_t)vector * lanes + lane;
    return (int64_t)first * lanes + int_woven_channel(vector - first, lane);
}

int64_t int_steps_bytes(const struct int_conv *c, int64_t steps, int64_t width)
{
    return width * INT_STEP * (c->weight_bits == 8 ? steps : ceil_div(steps, 2));
}

struct int_step_place int_step_place(const struct int_conv *c, int64_t width,
                                     int64_t narrow, int depth, int64_t k)
{
    const int64_t steps_a_byte = c->weight_bits == 8 ? 1 : 2,
                  group = depth * steps_a_byte;
    const int64_t whole = width - narrow;
    const int64_t at = k / group * depth * width * INT_STEP, in_group = k % group;

    return (struct int_step_place){
        .whole = at + in_group / steps_a_byte * whole * INT_STEP,
        .narrow = at + depth * whole * INT_STEP,
    };
}

bool int_has_lines(const struct isa *isa, enum int_form form)
{
    return form == INT_PAIR && isa->vector_bytes == 32;
}

bool int_in_pixel_pairs(const struct isa *isa, enum int_form form)
{
    return (form == INT_PAIR || form == INT_BYTES) && isa->vector_bytes == 32;
}

bool int_needs_sums(const struct int_conv *c, enum int_form form)
{
    return c->weight_zeros || form == INT_DOT_SU;
}

bool int_conv_fits_4_bits(const struct int_conv *c)
{
    const struct conv *s = &c->shape;
    const int64_t most = INT64_C(16) * 8 * 255; /* a product, times 16 */

    return s->c_in * s->kh * s->kw < (INT64_C(1) << 31) / most;
}

int64_t int_conv_units(const struct int_conv *c, const struct int_tiling *t)
{
    const struct conv_tiling turn = {.swapped = t->swapped};
    const struct conv v = conv_view(&c->shape, &turn);

    return v.n * v.groups * int_blocks(c, t) * ceil_div(v.oh, t->rows) * t->chunks;
}

void int_tiling_fields(const struct int_tiling *t, int64_t out[INT_TILING_FIELDS])
{
    int n = 0;

    out[n++] = t->form;
    out[n++] = t->lanes;
    out[n++] = t->vectors;
    out[n++] = t->pixels;
    out[n++] = t->tail_vectors;
    out[n++] = t->tail_lanes;
    out[n++] = t->tail_pixels;
    out[n++] = t->tail_depth;
    out[n++] = t->unroll;
    out[n++] = t->swapped;
    out[n++] = t->rows;
    out[n++] = t->chunks;
    out[n++] = t->rows_outer;
    assert(n == INT_TILING_FIELDS);
}
