/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted integer depthwise convolutions against plain loops, byte for byte.
 * // links: codegen oracle
 */
#include "tests/int_conv_work.h"

static void check_on(const struct int_conv_work *w, const struct isa *isa)
{
    const struct int_conv c = as_depthwise_seen_by(w, isa);
    const struct int_learned learned = learned_of(w);
    const int64_t n_weights = int_depthwise_weight_bytes(&c, isa);
    const int64_t n_epilogue = int_depthwise_epilogue_bytes(&c, isa);
    uint8_t *weights = guarded(n_weights, 0), *epilogue = guarded(n_epilogue, 0);
    const struct int_run run = {w->in,
                                weights,
                                epilogue,
                                w->residual,
                                w->want,
                                w->n_want,
                                int_depthwise_units(&c, isa)};
    struct jit j = jit_open(isa);

    int_depthwise_pack(&c, isa, &learned, weights, epilogue);
    check_guards(weights);
    check_guards(epilogue);
    emit_int_depthwise(&j.emitter, &c, "core");
    jit_finish(&j);
    if (!int_run_on(&run, int_jit_find(&j, "core"))) {
        const struct int_tiling none = {0};

        describe_int(&c, &none, isa);
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

/* Two to eight neighbouring pixels in a vector, stride 1 and 2, borders that cut a
 * vector, a residual that is overwritten, and widths that do not divide. */
TEST(int_depthwise_of_few_channels_folds_pixels)
{
    struct int_conv c = square(8, 16, 3, 1, 1);

    check_depthwise(c);
    c.in_signed = c.out_signed = true;
    check_depthwise(c);
    c.shape.has_residual = true;
    set_strides(&c.shape, false, 0);
    check_depthwise(c);
    check_depthwise(square(16, 17, 3, 2, 1));
    check_depthwise(square(16, 16, 3, 2, 0));
    check_depthwise(square(24, 12, 5, 1, 2));
    check_depthwise(square(3, 20, 7, 2, 3));
    check_depthwise(square(32, 2, 5, 1, 2));
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

TEST(int_depthwise_sums_and_floats_come_in_order)
{
    struct int_conv c = square(70, 8, 3, 1, 1);

    c.result = INT_FLOAT;
    check_depthwise(c);
    c.in_signed = true;
    c.result = INT_ACC;
    check_depthwise(c);
}

/* Four columns in a group with VNNI, two without. */
TEST(int_depthwise_fields_tell_packings_apart)
{
    const struct int_conv c = square(64, 8, 3, 1, 1);
    int64_t vnni[INT_DEPTHWISE_FIELDS], pairs[INT_DEPTHWISE_FIELDS];

    int_depthwise_fields(&c, &int_isas[0], vnni);
    int_depthwise_fields(&c, &int_isas[INT_ISA_AVX512], pairs);
    CHECK(memcmp(vnni, pairs, sizeof vnni) != 0);
    CHECK_EQ(vnni[0], 4);
    CHECK_EQ(pairs[0], 2);
}

TEST(int_depthwise_of_random_shapes_matches_plain_loops)
{
    for (int i = 0; i < 24; i++)
        check_depthwise(random_int_depthwise());
}
