/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted integer depthwise convolutions against plain loops, byte for byte.
 * // links: codegen oracle
 */
#include "tests/int_conv_work.h"

static void check_on(const struct int_conv_work *w, const struct isa *isa)
{
    const struct int_learned learned = learned_of(w);
    const int64_t n_weights = int_depthwise_weight_bytes(&w->c, isa);
    const int64_t n_epilogue = int_depthwise_epilogue_bytes(&w->c, isa);
    uint8_t *weights = guarded(n_weights, 0), *epilogue = guarded(n_epilogue, 0);
    const struct int_run run = {w->in,
                                weights,
                                epilogue,
                                w->residual,
                                w->want,
                                w->n_want,
                                int_depthwise_units(&w->c, isa)};
    struct jit j = jit_open(isa);

    int_depthwise_pack(&w->c, isa, &learned, weights, epilogue);
    check_guards(weights, n_weights);
    check_guards(epilogue, n_epilogue);
    emit_int_depthwise(&j.emitter, &w->c, "core");
    jit_finish(&j);
    if (!int_run_on(&run, int_jit_find(&j, "core"))) {
        const struct int_tiling none = {0};

        describe_int(&w->c, &none, isa);
        CHECK(false);
    }
    release(weights);
    release(epilogue);
    jit_close(&j);
}

static void check_depthwise(struct int_conv c)
{
    struct int_conv_work w = make_int_work(c);

    for (int i = 0; i < INT_N_ISAS; i++)
        if (int_isa_runs(i))
            check_on(&w, &int_isas[i]);
    free_int_work(&w);
}

static struct int_conv square(int64_t channels, int64_t size, int64_t k, int64_t stride,
                              int64_t pad)
{
    struct int_conv c = {.shape = square_window(size, size, k, stride, 1, pad),
                         .weight_bits = 8};

    c.shape.groups = channels;
    set_strides(&c.shape, false, 0);
    return c;
}

TEST(int_depthwise_3x3_matches_plain_loops)
{
    check_depthwise(square(64, 14, 3, 1, 1));
    check_depthwise(square(96, 15, 3, 2, 1));
    check_depthwise(square(144, 7, 3, 1, 1));
    check_depthwise(square(16, 3, 3, 1, 1));
}

TEST(int_depthwise_of_odd_channels_touches_nothing_else)
{
    check_depthwise(square(7, 9, 3, 1, 1));
    check_depthwise(square(75, 9, 3, 2, 0));
    check_depthwise(square(1, 5, 3, 1, 1));
}

TEST(int_depthwise_of_larger_kernels)
{
    check_depthwise(square(40, 14, 5, 1, 2));
    check_depthwise(square(24, 13, 7, 2, 3));
    check_depthwise(square(24, 11, 9, 1, 4));
}

TEST(int_depthwise_of_signed_codes_and_weights_with_zero_points)
{
    struct int_conv c = square(70, 8, 3, 1, 1);

    c.in_signed = c.out_signed = true;
    check_depthwise(c);
    c.weight_zeros = true;
    check_depthwise(c);
    c.in_signed = false;
    check_depthwise(c);
}

TEST(int_depthwise_of_random_shapes_matches_plain_loops)
{
    for (int i = 0; i < 30; i++) {
        struct int_conv c = {
            .shape =
                {
                    .n = random_in(1, 2),
                    .h = random_in(1, 16),
                    .w = random_in(1, 20),
                    .groups = random_in(1, 150),
                    .c_in = 1,
                    .c_out = 1,
                    .kh = random_in(1, 5),
                    .kw = random_in(1, 6),
                    .stride_y = random_in(1, 3),
                    .stride_x = random_in(1, 3),
                    .dilation_y = random_in(1, 2),
                    .dilation_x = random_in(1, 2),
                    .pad_top = random_in(0, 4),
                    .pad_left = random_in(0, 4),
                    .has_residual = random_in(0, 3) == 0,
                },
            .in_signed = random_in(0, 1),
            .out_signed = random_in(0, 1),
            .residual_signed = random_in(0, 1),
            .weight_zeros = random_in(0, 2) == 0,
            .weight_bits = 8,
        };
        struct conv *s = &c.shape;
        const int64_t bottom = random_in(0, 4), right = random_in(0, 4);
        const int64_t oh =
            out_size(s->h, s->pad_top + bottom, s->kh, s->stride_y, s->dilation_y);
        const int64_t ow =
            out_size(s->w, s->pad_left + right, s->kw, s->stride_x, s->dilation_x);

        s->oh = oh > 0 ? oh : 1;
        s->ow = ow > 0 ? ow : 1;
        set_strides(s, false, random_in(0, 3));
        check_depthwise(c);
    }
}
