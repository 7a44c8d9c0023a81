/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting and packing element operators and pools on codes; no LLVM. */
#include "codegen/int_elements.h"

#include <string.h>

#include "codegen/int_shape.h"
#include "codegen/whole.h"

enum { UNIT_BYTES = 1 << 14 }; /* worth handing to a thread; whole vectors */

static bool has_second(const struct int_elements *c)
{
    return c->op != INT_SCALE && c->op != INT_TABLE;
}

/* ---- elements ---------------------------------------------------------------- */

/* A dimension of `outer` steps joins the one inside of it, of `inner` elements. */
static bool joins(const struct int_elements *c, int64_t inner, int64_t a, int64_t b,
                  int64_t out)
{
    return a == inner && out == inner
           && (!has_second(c) || (c->b_one ? b == 0 : b == inner));
}

struct int_elements int_elements_flatten(const struct int_elements *c)
{
    struct int_elements f = *c;

    if (f.rows == 1 || joins(c, f.columns, f.a_row, f.b_row, f.out_row)) {
        f.columns *= f.rows;
        f.rows = 1;
    }
    if (f.rows == 1 && (f.n == 1 || joins(c, f.columns, f.a_n, f.b_n, f.out_n))) {
        f.columns *= f.n;
        f.n = 1;
    }
    return f;
}

struct int_elements_cut int_elements_cut(const struct int_elements *flat)
{
    struct int_elements_cut cut = {.rows = 1, .columns = flat->columns};

    if (flat->rows == 1)
        cut.columns = UNIT_BYTES;
    else if (flat->columns < UNIT_BYTES)
        cut.rows = UNIT_BYTES / flat->columns;
    cut.strips = ceil_div(flat->rows, cut.rows);
    cut.chunks = ceil_div(flat->columns, cut.columns);
    return cut;
}

int64_t int_elements_units(const struct int_elements *c)
{
    const struct int_elements flat = int_elements_flatten(c);
    const struct int_elements_cut cut = int_elements_cut(&flat);

    return flat.n * cut.strips * cut.chunks;
}

static int32_t unsigned_view(int32_t code, bool is_signed)
{
    return is_signed ? code + 128 : code;
}

int64_t int_elements_epilogue_bytes(const struct int_elements *c)
{
    return c->op == INT_TABLE ? 256 : (int64_t)sizeof(struct int_header);
}

void int_elements_pack(const struct int_elements *c, const struct int_operands *from,
                       uint8_t *epilogue)
{
    const struct int_header h = {
        .most = (float)(from->out.hi - from->out.zero),
        .zero = unsigned_view(from->out.zero, c->out_signed),
        .least = unsigned_view(from->out.lo, c->out_signed),
        .a_factor = from->a_factor,
        .b_factor = from->b_factor,
        .a_zero = unsigned_view(from->a_zero, c->a_signed),
        .b_zero = unsigned_view(from->b_zero, c->b_signed),
    };

    memcpy(epilogue, &h, sizeof h);
}

/* Indexed by the byte that a code is stored as. */
void int_table_pack(const struct int_elements *c, const int32_t table[256],
                    uint8_t *epilogue)
{
    for (int i = 0; i < 256; i++)
        epilogue[c->a_signed ? i ^ 0x80 : i] = (uint8_t)table[i];
}

/* ---- pools ------------------------------------------------------------------- */

int64_t int_pool_epilogue_bytes(const struct int_pool *c)
{
    const int64_t classes =
        int_row_classes(&c->shape).n * int_column_classes(&c->shape).n;

    return c->max ? 0 : (int64_t)sizeof(struct int_header) + classes * 8;
}

/* Taps of an output between `first` and `end`. */
static int64_t taps_between(int64_t output, int64_t stride, int64_t pad, int64_t taps,
                            int64_t dilation, int64_t first, int64_t end)
{
    int64_t n = 0;

    for (int64_t k = 0; k < taps; k++) {
        const int64_t at = output * stride - pad + k * dilation;

        n += at >= first && at < end;
    }
    return n;
}

/* Taps of output (y, x) inside of the input, or of its padding too. */
static int64_t count(const struct int_pool *c, int64_t y, int64_t x, bool padding)
{
    const struct conv *s = &c->shape;
    const int64_t top = padding ? s->pad_top : 0, left = padding ? s->pad_left : 0;
    const int64_t bottom = padding ? c->pad_bottom : 0;
    const int64_t right = padding ? c->pad_right : 0;

    return taps_between(y, s->stride_y, s->pad_top, s->kh, s->dilation_y, -top,
                        s->h + bottom)
           * taps_between(x, s->stride_x, s->pad_left, s->kw, s->dilation_x, -left,
                          s->w + right);
}

static uint8_t *pack_class(const struct int_pool *c, int64_t y, int64_t x, int32_t zero,
                           double in_scale, double out_scale, uint8_t *to)
{
    const int64_t counted = count(c, y, x, c->count_pad);
    const int32_t bias = (int32_t)(-zero * count(c, y, x, false));
    const float m = counted ? (float)(in_scale / (out_scale * (double)counted)) : 0.0f;

    memcpy(to, &bias, sizeof bias);
    memcpy(to + 4, &m, sizeof m);
    return to + 8;
}

void int_pool_pack(const struct int_pool *c, double in_scale, int32_t in_zero,
                   double out_scale, const struct int_codes *out, uint8_t *epilogue)
{
    const struct conv *s = &c->shape;
    const struct int_classes rows = int_row_classes(s), columns = int_column_classes(s);
    const struct int_header h = {
        .most = (float)(out->hi - out->zero),
        .zero = unsigned_view(out->zero, c->out_signed),
        .least = unsigned_view(out->lo, c->out_signed),
    };

    if (c->max)
        return;
    memcpy(epilogue, &h, sizeof h);
    epilogue += sizeof h;
    for (int64_t y = 0; y < rows.n; y++)
        for (int64_t x = 0; x < columns.n; x++)
            epilogue = pack_class(c, int_class_output(&rows, s->oh, y),
                                  int_class_output(&columns, s->ow, x),
                                  unsigned_view(in_zero, c->in_signed), in_scale,
                                  out_scale, epilogue);
}
