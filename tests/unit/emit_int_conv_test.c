/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted integer convolutions against plain loops, byte for byte, at every level that
 * this machine has.
 * // links: codegen oracle
 */
#include "tests/int_conv_work.h"

static void check_on(const struct int_conv_work *w, const struct int_tiling *t,
                     const struct isa *isa)
{
    const struct int_conv c = as_seen_by(w, isa);
    const struct int_learned learned = learned_of(w);
    const int64_t n_weights = int_conv_weight_bytes(&c, t);
    const int64_t n_epilogue = int_conv_epilogue_bytes(&c, t);
    uint8_t *weights = guarded(n_weights, 0), *epilogue = guarded(n_epilogue, 0);
    const struct int_run run = {w->in,
                                weights,
                                epilogue,
                                w->residual,
                                w->want,
                                w->n_want,
                                int_conv_units(&c, t)};
    struct jit j = jit_open(isa);

    int_conv_pack(&c, t, &learned, weights, epilogue);
    check_guards(weights);
    check_guards(epilogue);
    emit_int_conv(&j.emitter, &c, t, "core");
    jit_finish(&j);
    if (!int_run_on(&run, int_jit_find(&j, "core"))) {
        describe_int(&c, t, isa);
        CHECK(false);
    }
    release(weights);
    release(epilogue);
    jit_close(&j);
}

static void check_work(const struct int_conv_work *w)
{
    for (int i = 0; i < INT_N_ISAS; i++) {
        if (!int_isa_runs(i))
            continue;
        const struct int_tiling t = int_tile(&w->c, &int_isas[i]);

        check_on(w, &t, &int_isas[i]);
    }
}

static void check_conv(struct int_conv c)
{
    struct int_conv_work w = make_int_work(c);

    check_work(&w);
    free_int_work(&w);
}

static struct int_conv square(int64_t c_in, int64_t size, int64_t c_out, int64_t k,
                              int64_t stride, int64_t pad)
{
    struct int_conv c = {.shape = square_window(size, size, k, stride, 1, pad),
                         .weight_bits = 8};

    c.shape.c_in = c_in;
    c.shape.c_out = c_out;
    set_strides(&c.shape, false, 0);
    return c;
}

TEST(int_conv_skips_padding_exactly)
{
    check_conv(square(16, 28, 64, 3, 1, 1));
    check_conv(square(8, 7, 64, 3, 1, 1));
    check_conv(square(12, 9, 80, 5, 2, 2));
    check_conv(square(4, 2, 16, 5, 1, 2));
}

TEST(int_conv_reads_runs_that_four_does_not_divide)
{
    check_conv(square(5, 9, 7, 3, 2, 1));
    check_conv(square(3, 30, 24, 7, 2, 3));
    check_conv(square(1, 28, 8, 3, 1, 1));
    check_conv(square(3, 11, 20, 1, 1, 0));
    check_conv(square(2, 6, 16, 1, 1, 0));
}

TEST(int_conv_reads_a_planar_first_layer_in_place)
{
    struct int_conv c = square(3, 30, 24, 7, 2, 3);

    set_strides(&c.shape, true, 0);
    check_conv(c);
    c = square(4, 17, 64, 3, 1, 1);
    set_strides(&c.shape, true, 2);
    check_conv(c);
    c.shape.dilation_x = 2;
    c.shape.ow -= 2;
    check_conv(c);
}

TEST(int_conv_1x1_is_one_long_row)
{
    check_conv(square(24, 17, 40, 1, 1, 0));
    check_conv(square(64, 9, 256, 1, 1, 0));
}

TEST(int_conv_with_one_pixel_is_a_matrix_vector_product)
{
    check_conv(square(100, 1, 300, 1, 1, 0));
    check_conv(square(1027, 1, 10, 1, 1, 0));
}

/* Half and quarter vectors of channels, alone and behind whole ones, whose steps go in
 * twos and fours: with cut windows, rows of pixels that do not fill what is finished
 * together, and everything else that sums have to go through. */
TEST(int_conv_has_depth_where_half_a_vector_is_left)
{
    static const int64_t shapes[][5] = {
        {16, 9, 8, 3, 1},  {32, 7, 24, 3, 1}, {16, 11, 4, 1, 1}, {16, 5, 52, 3, 2},
        {64, 1, 12, 1, 1}, {8, 13, 7, 5, 1},  {48, 6, 23, 3, 1}};
    const struct int_conv half = square(16, 9, 8, 3, 1, 1);

    CHECK_EQ(int_tile(&half, &int_isas[0]).tail_depth, 2);
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int k = 0; k < 6; k++) {
            const int64_t *s = shapes[i];
            struct int_conv c = square(s[0], s[1], s[2], s[3], s[4], s[3] / 2);

            c.in_signed = k % 2;
            c.out_signed = k == 3;
            c.weight_bits = k == 2 || k == 3 ? 4 : 8;
            c.weight_zeros = k == 3 || k == 4;
            c.shape.has_residual = k < 2;
            c.result = k == 4 ? INT_ACC : k == 5 ? INT_FLOAT : INT_CODES;
            check_conv(c);
        }
}

TEST(int_conv_of_signed_inputs)
{
    struct int_conv c = square(20, 9, 64, 3, 1, 1);

    c.in_signed = c.out_signed = true;
    check_conv(c);
    c = square(7, 9, 21, 3, 1, 1);
    c.in_signed = true;
    check_conv(c);
}

TEST(int_conv_of_weights_with_zero_points)
{
    struct int_conv c = square(20, 9, 64, 3, 1, 1);

    c.weight_zeros = true;
    check_conv(c);
    c.in_signed = true;
    check_conv(c);
    c = square(3, 12, 18, 3, 2, 1);
    c.weight_zeros = true;
    set_strides(&c.shape, true, 0);
    check_conv(c);
}

TEST(int_conv_of_4_bit_weights)
{
    struct int_conv c = square(12, 9, 64, 3, 1, 1);

    c.weight_bits = 4;
    check_conv(c);
    c.in_signed = true;
    check_conv(c);
    c = square(70, 1, 90, 1, 1, 0);
    c.weight_bits = 4;
    c.weight_zeros = true;
    check_conv(c);
}

/* Steps of 1 to 19: alone, an odd one first or last, several groups of eight. */
TEST(int_conv_of_4_bit_weights_sums_any_number_of_steps)
{
    for (int64_t c_in = 3; c_in <= 75; c_in += 4) {
        struct int_conv c = square(c_in, 7, 24, 1, 1, 0);

        c.weight_bits = 4;
        c.in_signed = c_in % 8 == 3;
        c.weight_zeros = c_in % 3 == 0;
        check_conv(c);
    }
    struct int_conv c = square(5, 9, 16, 3, 1, 1);

    c.weight_bits = 4;
    check_conv(c);
}

/* Eight steps of 255 and -8: -32 640 in sums of 16 bits. */
TEST(int_conv_of_4_bit_weights_holds_the_largest_sums)
{
    struct int_conv c = square(64, 3, 32, 3, 1, 1);

    c.weight_bits = 4;
    c.result = INT_ACC;
    struct int_conv_work w = make_int_work(c);

    memset(w.in, 255, (size_t)w.n_in);
    memset(w.weights, -8, (size_t)(w.channels * w.filter));
    compute_want(&w);
    check_work(&w);
    free_int_work(&w);
}

/* 2 000 inputs: more than the lines hold; pixels that share inputs, or an odd one. */
TEST(int_conv_spreads_long_runs_a_stretch_at_a_time)
{
    check_conv(square(2000, 3, 16, 1, 1, 0));
    check_conv(square(700, 6, 20, 3, 1, 1));
    check_conv(square(41, 8, 16, 3, 1, 1));
    struct int_conv c = square(1031, 5, 33, 1, 2, 0);

    c.in_signed = true;
    check_conv(c);
    c.weight_bits = 4;
    check_conv(c);
}

TEST(int_conv_adds_a_residual_after_rounding_once_more)
{
    struct int_conv c = square(16, 7, 80, 3, 1, 1);

    c.shape.has_residual = true;
    check_conv(c);
    c.residual_signed = c.out_signed = true;
    check_conv(c);
}

/* 19 channels: all of a pixel's residual is read before its results are written. */
TEST(int_conv_adds_a_residual_in_place)
{
    struct int_conv c = square(8, 6, 83, 1, 1, 0);

    c.shape.has_residual = true;
    struct int_conv_work w = make_int_work(c);

    for (int i = 0; i < INT_N_ISAS; i++) {
        if (!int_isa_runs(i))
            continue;
        const struct int_tiling t = int_tile(&c, &int_isas[i]);
        const struct int_learned learned = learned_of(&w);
        uint8_t *weights = guarded(int_conv_weight_bytes(&c, &t), 0);
        uint8_t *epilogue = guarded(int_conv_epilogue_bytes(&c, &t), 0);
        uint8_t *both = guarded(w.n_want, 0);
        struct jit j = jit_open(&int_isas[i]);

        int_conv_pack(&c, &t, &learned, weights, epilogue);
        emit_int_conv(&j.emitter, &c, &t, "core");
        jit_finish(&j);
        memcpy(both, w.residual, (size_t)w.n_want);
        int_jit_find(&j, "core")(w.in, weights, epilogue, both, both, NULL, 0,
                                 int_conv_units(&c, &t));
        CHECK_BYTES(both, w.want, (size_t)w.n_want);
        release(weights);
        release(epilogue);
        release(both);
        jit_close(&j);
    }
    free_int_work(&w);
}

TEST(int_conv_gives_floats_and_accumulators)
{
    struct int_conv c = square(30, 5, 70, 1, 1, 0);

    c.result = INT_FLOAT;
    check_conv(c);
    c.result = INT_ACC;
    check_conv(c);
    c.in_signed = c.weight_zeros = true;
    check_conv(c);
}

TEST(int_conv_on_a_narrow_map_runs_down_its_columns)
{
    struct int_conv c = square(12, 40, 16, 3, 1, 1);

    c.shape.w = 3;
    c.shape.ow = 3;
    set_strides(&c.shape, false, 0);
    CHECK(int_tile(&c, &int_isas[0]).swapped);
    check_conv(c);
}

/* One output column, all of whose taps are padding: bias alone. */
TEST(int_conv_of_nothing_but_padding)
{
    struct int_conv c = square(15, 12, 90, 3, 1, 0);

    c.shape.w = c.shape.ow = 1;
    c.shape.stride_x = c.shape.dilation_x = 3;
    c.shape.pad_left = 4;
    c.shape.oh = 14;
    set_strides(&c.shape, false, 0);
    check_conv(c);
}

/* 65 000 products of 255 and -8, times 16: close to what 32 bits hold. */
TEST(int_conv_of_4_bits_refuses_sums_that_could_wrap)
{
    struct int_conv c = square(65000, 1, 4, 1, 1, 0);

    CHECK(int_conv_fits_4_bits(&c));
    c.shape.c_in = 66000;
    CHECK(!int_conv_fits_4_bits(&c));
}

TEST(int_conv_of_random_shapes_matches_plain_loops)
{
    for (int i = 0; i < 24; i++)
        check_conv(random_int_conv());
}

/* What the cost rule would not choose is right too. */
TEST(int_conv_is_the_same_with_any_tile)
{
    for (int i = 0; i < 8; i++) {
        const struct int_conv c = random_int_conv();
        struct int_conv_work w = make_int_work(c);

        for (int k = 0; k < INT_N_ISAS; k++) {
            struct int_tiling t = int_tile(&c, &int_isas[k]);

            if (!int_isa_runs(k))
                continue;
            t.pixels = t.pixels > 1 ? (int)random_in(1, t.pixels) : t.pixels;
            t.tail_pixels =
                t.tail_pixels > 1 ? (int)random_in(1, t.tail_pixels) : t.tail_pixels;
            t.rows = random_in(1, 3);
            t.chunks = random_in(1, 3);
            t.rows_outer = random_in(0, 1);
            check_on(&w, &t, &int_isas[k]);
        }
        free_int_work(&w);
    }
}
