/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted pools of codes against the oracle, byte for byte.
 * // links: codegen oracle
 */
#include "tests/int_conv_work.h"

/* A plane of one channel, as the oracle has it. */
static void read_plane(const struct conv *s, const uint8_t *in, bool is_signed,
                       int64_t n, int64_t channel, int32_t *plane)
{
    for (int64_t y = 0; y < s->h; y++)
        for (int64_t x = 0; x < s->w; x++)
            plane[y * s->w + x] = code_at(
                in, n * s->in_n + y * s->in_y + x * s->in_x + channel, is_signed);
}

static struct oracle_window window_of(const struct int_pool *c)
{
    const struct conv *s = &c->shape;

    return (struct oracle_window){
        1,           1,           s->h,          s->w,
        s->oh,       s->ow,       s->kh,         s->kw,
        s->stride_y, s->stride_x, s->dilation_y, s->dilation_x,
        s->pad_top,  s->pad_left, c->pad_bottom, c->pad_right};
}

static void compute_pool(const struct int_pool *c, const uint8_t *in,
                         struct oracle_quant x_as, const struct oracle_output *y_as,
                         uint8_t *want)
{
    const struct conv *s = &c->shape;
    const struct oracle_window at = window_of(c);
    int32_t *plane = malloc((size_t)(s->h * s->w) * sizeof *plane);
    int32_t *result = malloc((size_t)(s->oh * s->ow) * sizeof *result);

    for (int64_t n = 0; n < s->n; n++)
        for (int64_t channel = 0; channel < s->groups; channel++) {
            read_plane(s, in, c->in_signed, n, channel, plane);
            if (c->max)
                oracle_max_pool(plane, &at, x_as, y_as, result);
            else
                oracle_average_pool(plane, &at, c->count_pad, x_as, y_as, result);
            for (int64_t y = 0; y < s->oh; y++)
                for (int64_t x = 0; x < s->ow; x++)
                    want[n * s->out_n + y * s->out_y + x * s->out_x + channel] =
                        (uint8_t)result[y * s->ow + x];
        }
    free(plane);
    free(result);
}

static void check_pool(struct int_pool c)
{
    const struct conv *s = &c.shape;
    const int lo = c.in_signed ? -128 : 0;
    const struct oracle_quant x_as = {0.5f,
                                      c.max ? 3 : (int32_t)random_in(lo, lo + 255)};
    const struct oracle_output y_as =
        c.max ? (struct oracle_output){0.5f, 3, lo, lo + 255}
              : random_output(c.out_signed, 0.4f);
    const struct int_codes out = codes_of(&y_as);
    uint8_t *in = guarded(s->n * s->in_n, 0);
    uint8_t *want = guarded(s->n * s->out_n, 0x5a);
    uint8_t *epilogue = guarded(int_pool_epilogue_bytes(&c), 0);

    random_codes(in, s->n * s->in_n, 0, 255);
    compute_pool(&c, in, x_as, &y_as, want);
    int_pool_pack(&c, (double)x_as.scale, x_as.zero, (double)y_as.scale, &out,
                  epilogue);
    check_guards(epilogue);
    for (int i = 0; i < INT_N_ISAS; i++) {
        const struct int_run run = {in,
                                    NULL,
                                    epilogue,
                                    NULL,
                                    want,
                                    s->n * s->out_n,
                                    int_pool_units(&c, &int_isas[i])};
        struct jit j;

        if (!int_isa_runs(i))
            continue;
        j = jit_open(&int_isas[i]);
        emit_int_pool(&j.emitter, &c, "core");
        jit_finish(&j);
        if (!int_run_on(&run, int_jit_find(&j, "core"))) {
            print_error("level %d max %d: %ld channels of %ldx%ld, kernel %ldx%ld\n", i,
                        c.max, (long)s->groups, (long)s->h, (long)s->w, (long)s->kh,
                        (long)s->kw);
            CHECK(false);
        }
        jit_close(&j);
    }
    release(in);
    release(want);
    release(epilogue);
}

static struct int_pool square(int64_t channels, int64_t size, int64_t k, int64_t stride,
                              int64_t pad, bool max)
{
    struct int_pool c = {.shape = square_window(size, size, k, stride, 1, pad),
                         .max = max,
                         .pad_bottom = pad,
                         .pad_right = pad};

    c.shape.groups = channels;
    set_strides(&c.shape, false, 0);
    return c;
}

TEST(int_max_pool_leaves_padding_out)
{
    struct int_pool c = square(64, 14, 3, 2, 1, true);

    check_pool(c);
    c.in_signed = c.out_signed = true;
    check_pool(c);
    check_pool(square(19, 9, 2, 2, 0, true));
}

TEST(int_average_pool_divides_by_the_taps_there_are)
{
    struct int_pool c = square(70, 9, 3, 1, 1, false);

    check_pool(c);
    c.count_pad = true;
    check_pool(c);
    c.in_signed = true;
    check_pool(c);
}

TEST(int_global_average_pool)
{
    check_pool(square(320, 7, 7, 1, 0, false));
    check_pool(square(33, 12, 12, 1, 0, false));
}

TEST(int_pools_of_random_shapes_match_the_oracle)
{
    for (int i = 0; i < 30; i++) {
        const bool max = random_in(0, 1), in_signed = random_in(0, 1);
        struct int_pool c = {
            .shape =
                {
                    .n = random_in(1, 2),
                    .h = random_in(1, 14),
                    .w = random_in(1, 14),
                    .groups = random_in(1, 140),
                    .c_in = 1,
                    .c_out = 1,
                    .kh = random_in(1, 5),
                    .kw = random_in(1, 9),
                    .stride_y = random_in(1, 3),
                    .stride_x = random_in(1, 3),
                    .dilation_y = random_in(1, 2),
                    .dilation_x = random_in(1, 2),
                    .pad_top = random_in(0, 3),
                    .pad_left = random_in(0, 3),
                },
            .max = max,
            .in_signed = in_signed,
            .out_signed = max ? in_signed : random_in(0, 1),
            .count_pad = random_in(0, 1),
            .pad_bottom = random_in(0, 3),
            .pad_right = random_in(0, 3),
        };
        struct conv *s = &c.shape;
        const int64_t ceiled =
            random_in(0, 1); /* one output more, as ceil_mode gives */
        const int64_t oh = ceiled
                           + out_size(s->h, s->pad_top + c.pad_bottom, s->kh,
                                      s->stride_y, s->dilation_y);
        const int64_t ow = ceiled
                           + out_size(s->w, s->pad_left + c.pad_right, s->kw,
                                      s->stride_x, s->dilation_x);

        s->oh = oh > 0 ? oh : 1;
        s->ow = ow > 0 ? ow : 1;
        set_strides(s, false, random_in(0, 3));
        check_pool(c);
    }
}
