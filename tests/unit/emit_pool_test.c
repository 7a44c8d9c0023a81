/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted pools against a plain loop in the same order: equal bytes.
 * // links: codegen
 */
#include "tests/conv_work.h"

static float pool_window(const struct work *w, int64_t n, int64_t y, int64_t x,
                         int64_t ch, bool max, bool count_pad)
{
    const struct conv *c = &w->c;
    float sum = max ? -INFINITY : 0;
    int count = 0;

    for (int64_t ky = 0; ky < c->kh; ky++)
        for (int64_t kx = 0; kx < c->kw; kx++) {
            const int64_t row = y * c->stride_y - c->pad_top + ky * c->dilation_y;
            const int64_t column = x * c->stride_x - c->pad_left + kx * c->dilation_x;

            if (row < 0 || row >= c->h || column < 0 || column >= c->w)
                continue;
            const float v = w->in[n * c->in_n + row * c->in_y + column * c->in_x + ch];

            sum = max ? (v > sum ? v : sum) : sum + v;
            count++;
        }
    if (max)
        return sum;
    return sum / (float)(count_pad ? c->kh * c->kw : count ? count : 1);
}

static void check_pool(struct conv c, bool max, bool count_pad)
{
    struct work w = {.c = c};

    make_operands(&w);
    for (int64_t n = 0; n < c.n; n++)
        for (int64_t y = 0; y < c.oh; y++)
            for (int64_t x = 0; x < c.ow; x++)
                for (int64_t ch = 0; ch < c.groups; ch++)
                    w.want[n * c.out_n + y * c.out_y + x * c.out_x + ch] =
                        pool_window(&w, n, y, x, ch, max, count_pad);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++) {
        struct jit j = jit_open(&jit_isas[i]);

        memset(w.out, 0, (size_t)w.n_out * sizeof *w.out);
        emit_pool(&j.emitter, &c, max, count_pad, "core");
        jit_finish(&j);
        jit_find(&j, "core")(w.in, NULL, NULL, NULL, w.out, NULL, 0, pool_units(&c));
        CHECK_BYTES(w.out, w.want, (size_t)w.n_out * sizeof *w.out);
        jit_close(&j);
    }
    free_operands(&w);
}

static struct conv pool(int64_t channels, int64_t h, int64_t w, int64_t k,
                        int64_t stride, int64_t pad)
{
    struct conv c = square_window(h, w, k, stride, 1, pad);

    c.n = 2;
    c.groups = channels;
    set_strides(&c, false, 0);
    return c;
}

TEST(max_pool_skips_padding)
{
    check_pool(pool(20, 9, 13, 3, 2, 1), true, false);
    check_pool(pool(64, 8, 8, 2, 2, 0), true, false);
}

TEST(average_pool_divides_by_taps_inside_or_by_all)
{
    check_pool(pool(33, 7, 11, 3, 1, 1), false, false);
    check_pool(pool(33, 7, 11, 3, 1, 1), false, true);
}

TEST(global_average_pool_is_one_window)
{
    struct conv c = pool(70, 7, 7, 7, 1, 0);

    check_pool(c, false, false);
    c.kh = c.h = 12;
    c.kw = c.w = 20;
    set_strides(&c, false, 0);
    check_pool(c, false, false);
}
