/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted convolutions against a plain loop, at every level this machine has.
 * // links: codegen
 */
#include "tests/conv_work.h"

/* The whole, then in two calls at a random unit: equal bytes. */
static void run_on(struct work *w, const struct isa *isa)
{
    const struct conv *c = &w->c;
    const int64_t units = conv_units(c, &w->t), cut = random_in(0, units);
    const float *bias = c->has_bias ? w->bias : NULL;
    const float *residual = c->has_residual ? w->residual : NULL;
    const int64_t n_scratch = conv_scratch_bytes(c, &w->t) / 4;
    float *scratch = guarded(n_scratch), *first = guarded(w->n_out);
    struct jit j = jit_open(isa);

    conv_pack(c, &w->t, w->onnx, w->packed);
    store_packed(w);
    emit_conv(&j.emitter, c, &w->t, "core");
    jit_finish(&j);
    core_fn *core = jit_find(&j, "core");

    memcpy(first, w->out, (size_t)w->n_out * sizeof *first);
    core(w->in, w->packed, bias, residual, w->out, (uint8_t *)scratch, 0, units);
    check_close(w, isa);
    core(w->in, w->packed, bias, residual, first, (uint8_t *)scratch, cut, units);
    core(w->in, w->packed, bias, residual, first, (uint8_t *)scratch, 0, cut);
    CHECK_BYTES(first, w->out, (size_t)w->n_out * sizeof *first);
    for (int k = 0; k < GUARD; k++)
        CHECK(isnan(scratch[n_scratch + k]));
    release(first);
    release(scratch);
    jit_close(&j);
}

static void check_conv(struct conv c)
{
    struct work w = {.c = c};

    make_operands(&w);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++) {
        w.t = conv_tile(&w.c, &jit_isas[i]);
        run_on(&w, &jit_isas[i]);
    }
    free_operands(&w);
}

/* With weights of binary16, used as they are and widened once a unit. */
static void check_halves(struct conv c)
{
    struct work w = {.c = c};

    w.c.half_weights = true;
    make_operands(&w);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++)
        for (int widened = 0; widened < 2; widened++) {
            w.t = conv_tile(&w.c, &jit_isas[i]);
            w.t.widened = widened;
            run_on(&w, &jit_isas[i]);
        }
    free_operands(&w);
}

/* By Winograd's algorithm, in at most `scratch` bytes. */
static void check_winograd(struct conv c, int64_t scratch)
{
    struct work w = {.c = c, .tolerance = 1e-3f};

    make_operands(&w);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++) {
        w.t = conv_tile(&w.c, &jit_isas[i]);
        CHECK(conv_try_winograd(&w.c, &jit_isas[i], scratch, &w.t));
        CHECK(conv_scratch_bytes(&w.c, &w.t) <= scratch);
        run_on(&w, &jit_isas[i]);
    }
    free_operands(&w);
}

static struct conv square(int64_t c_in, int64_t size, int64_t c_out, int64_t k,
                          int64_t stride, int64_t pad)
{
    struct conv c = square_window(size, size, k, stride, 1, pad);

    c.c_in = c_in;
    c.c_out = c_out;
    c.has_bias = true;
    c.act = ACT_RELU;
    set_strides(&c, false, 0);
    return c;
}

TEST(conv_matches_a_plain_loop_on_3x3_with_borders)
{
    check_conv(square(16, 28, 48, 3, 1, 1));
    check_conv(square(8, 7, 64, 3, 1, 1));
    check_conv(square(5, 9, 7, 3, 2, 1));
}

TEST(conv_reads_a_planar_first_layer_in_place)
{
    struct conv c = square(3, 30, 24, 7, 2, 3);

    set_strides(&c, true, 0);
    check_conv(c);
}

TEST(conv_1x1_is_one_long_row)
{
    check_conv(square(24, 17, 40, 1, 1, 0));
}

TEST(conv_with_one_pixel_is_a_matrix_vector_product)
{
    check_conv(square(100, 1, 300, 1, 1, 0));
}

TEST(conv_with_few_output_channels_fills_lanes_with_inputs)
{
    struct conv dilated = square(18, 12, 2, 3, 1, 2);

    check_conv(square(9, 20, 4, 3, 1, 1));
    check_conv(square(33, 18, 1, 3, 1, 1));
    check_conv(square(19, 9, 21, 5, 2, 2));
    check_conv(square(21, 30, 6, 1, 1, 0));
    dilated.dilation_x = 2;
    dilated.ow -= 2;
    set_strides(&dilated, false, 1);
    check_conv(dilated);
}

TEST(conv_on_a_narrow_map_runs_down_its_columns)
{
    struct conv c = square(12, 40, 16, 3, 1, 1);

    c.w = 3;
    c.ow = 3;
    set_strides(&c, false, 0);
    CHECK(conv_tile(&c, &jit_isas[0]).swapped);
    check_conv(c);
}

TEST(winograd_matches_a_plain_loop)
{
    struct conv c = square(20, 19, 37, 3, 1, 1);

    check_winograd(c, 1 << 20);
    c.has_residual = true;
    c.act_before = ACT_RELU;
    c.act = ACT_NONE;
    c.n = 2;
    check_winograd(c, 1 << 20);
    check_winograd(square(32, 18, 32, 3, 1, 0), 1 << 20);
}

TEST(winograd_takes_smaller_strips_when_scratch_is_short)
{
    const struct conv c = square(32, 32, 32, 3, 1, 1);
    struct conv_tiling ample, tight;

    CHECK(conv_try_winograd(&c, &jit_isas[0], 1 << 20, &ample));
    CHECK(conv_try_winograd(&c, &jit_isas[0], 150 << 10, &tight));
    CHECK(tight.rows < ample.rows);
    CHECK(!conv_try_winograd(&c, &jit_isas[0], 1 << 10, &tight));
    check_winograd(c, 150 << 10);
}

TEST(conv_reads_weights_of_16_bits)
{
    struct conv image = square(3, 30, 24, 7, 2, 3), grouped = square(6, 9, 10, 3, 1, 1);

    set_strides(&image, true, 0);
    grouped.groups = 3;
    set_strides(&grouped, false, 0);
    check_halves(square(16, 14, 48, 3, 1, 1));
    check_halves(square(9, 20, 4, 3, 1, 1));
    check_halves(square(19, 9, 21, 5, 2, 2));
    check_halves(square(100, 1, 300, 1, 1, 0));
    check_halves(image);
    check_halves(grouped);
}

/* All finite halves, in the mode that takes subnormal floats for zeros. */
TEST(every_weight_of_16_bits_keeps_its_value_when_subnormal_floats_are_zeros)
{
    enum { N = 63488 };
    struct conv c = square(1, 1, N, 1, 1, 0);
    struct work w = {.c = c};

    w.c.half_weights = true;
    w.c.has_bias = false;
    w.c.act = ACT_NONE;
    make_operands(&w);
    w.in[0] = 1.0f;
    for (int i = 0; i < N; i++)
        w.want[i] = w.onnx[i] = f32_of_f16((uint16_t)(i + (i >= N / 2 ? 0x400 : 0)));
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++) {
        struct jit j = jit_open(&jit_isas[i]);
        const unsigned mode = __builtin_ia32_stmxcsr();

        w.t = conv_tile(&w.c, &jit_isas[i]);
        conv_pack(&w.c, &w.t, w.onnx, w.packed);
        store_packed(&w);
        emit_conv(&j.emitter, &w.c, &w.t, "core");
        jit_finish(&j);
        core_fn *core = jit_find(&j, "core");

        __builtin_ia32_ldmxcsr(mode | 0x8040);
        core(w.in, w.packed, NULL, NULL, w.out, NULL, 0, conv_units(&w.c, &w.t));
        __builtin_ia32_ldmxcsr(mode);
        for (int k = 0; k < N; k++)
            CHECK(w.out[k] == w.want[k]);
        jit_close(&j);
    }
    free_operands(&w);
}

TEST(winograd_reads_weights_of_16_bits)
{
    struct conv c = square(20, 19, 37, 3, 1, 1);

    c.half_weights = true;
    check_winograd(c, 1 << 20);
}

/* 56 x 56 pixels read the same weights again and again, one pixel reads them once; and
 * widening needs its scratch. */
TEST(weights_of_16_bits_are_widened_where_many_tiles_read_them)
{
    struct conv image = square(64, 56, 64, 3, 1, 1),
                row = square(1000, 1, 1000, 1, 1, 0);
    struct conv_tiling t = {0};

    image.half_weights = row.half_weights = true;
    conv_try_widening(&image, &jit_isas[0], 1 << 20, &t);
    CHECK(t.widened);
    t = (struct conv_tiling){0};
    conv_try_widening(&image, &jit_isas[0], 1 << 10, &t);
    CHECK(!t.widened);
    conv_try_widening(&row, &jit_isas[0], 1 << 20, &t);
    CHECK(!t.widened);
}

/* 19 channels: the last vector overlaps its neighbour, whose residual is already
 * overwritten by then. */
TEST(conv_adds_a_residual_in_place_once)
{
    struct conv c = square(8, 6, 19, 1, 1, 0);
    struct work w = {.c = c};

    w.c.has_residual = true;
    w.c.res_x = w.c.out_x;
    w.c.res_y = w.c.out_y;
    w.c.res_n = w.c.out_n;
    make_operands(&w);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++) {
        struct jit j = jit_open(&jit_isas[i]);

        w.t = conv_tile(&w.c, &jit_isas[i]);
        conv_pack(&w.c, &w.t, w.onnx, w.packed);
        emit_conv(&j.emitter, &w.c, &w.t, "core");
        jit_finish(&j);
        memcpy(w.out, w.residual, (size_t)w.n_out * sizeof *w.out);
        jit_find(&j, "core")(w.in, w.packed, w.bias, w.out, w.out, NULL, 0,
                             conv_units(&w.c, &w.t));
        check_close(&w, &jit_isas[i]);
        jit_close(&j);
    }
    free_operands(&w);
}

TEST(conv_of_random_shapes_matches_a_plain_loop)
{
    for (int i = 0; i < 24; i++) {
        struct conv c = {
            .n = random_in(1, 2),
            .h = random_in(1, 20),
            .w = random_in(1, 40),
            .groups = random_in(0, 2) ? 1 : random_in(2, 4),
            .c_in = random_in(1, 20),
            .c_out = random_in(0, 2) ? random_in(1, 70) : random_in(1, 8),
            .kh = random_in(1, 4),
            .kw = random_in(1, 5),
            .stride_y = random_in(1, 3),
            .stride_x = random_in(1, 3),
            .dilation_y = random_in(1, 2),
            .dilation_x = random_in(1, 3),
            .pad_top = random_in(0, 4),
            .pad_left = random_in(0, 4),
            .has_bias = random_in(0, 1),
            .has_residual = random_in(0, 1),
            .act_before = random_in(0, 1) ? ACT_NONE : ACT_RELU,
            .act = (enum activation)random_in(0, 5),
            .act_a = 0.25f,
            .act_b = 0.75f,
            .half_weights = random_in(0, 2) == 0,
        };
        const int64_t oh =
            out_size(c.h, c.pad_top + random_in(0, 4), c.kh, c.stride_y, c.dilation_y);
        const int64_t ow =
            out_size(c.w, c.pad_left + random_in(0, 4), c.kw, c.stride_x, c.dilation_x);

        c.oh = oh > 0 ? oh : 1;
        c.ow = ow > 0 ? ow : 1;
        set_strides(&c, random_in(0, 3) == 0, random_in(0, 3));
        check_conv(c);
    }
}
