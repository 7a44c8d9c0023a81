/* SPDX-License-Identifier: Apache-2.0 */
/* Integer kernels for AArch64, with and without products of bytes, under an emulator.
 * // links: codegen oracle
 */
#include "tests/cross/cross_run.h"
#include "tests/int_conv_work.h"

#define ARM_TRIPLE "aarch64-unknown-linux-gnu"

static const struct isa arm_isas[] = {
    {ARM_TRIPLE, "cortex-a76", "", 16, 32, true, true, false, true, false, true, true,
     64 << 10, 128 << 10},
    {ARM_TRIPLE, "cortex-a53", "", 16, 32, true, true, false, false, false, true, true,
     32 << 10, 128 << 10},
};

enum { N_ARM = sizeof arm_isas / sizeof arm_isas[0] };

static void add_conv(struct cross *x, const struct isa *isa, struct int_conv any)
{
    struct int_conv_work w = make_int_work(any);
    const struct int_conv c = as_seen_by(&w, isa);
    const struct int_tiling t = int_tile(&c, isa);
    const struct int_learned learned = learned_of(&w);
    const int64_t n_weights = int_conv_weight_bytes(&c, &t);
    const int64_t n_epilogue = int_conv_epilogue_bytes(&c, &t);
    uint8_t *weights = guarded(n_weights, 0), *epilogue = guarded(n_epilogue, 0);
    const struct int_run run = {
        w.in, weights, epilogue, w.residual, w.want, w.n_want, int_conv_units(&c, &t)};

    int_conv_pack(&c, &t, &learned, weights, epilogue);
    x->conv[x->n] = c;
    LLVMValueRef core = emit_int_conv(&x->emitter, &c, &t, cross_name(x));

    cross_add(x, core, &run, w.n_in, n_weights, n_epilogue, w.n_residual);
    release(weights);
    release(epilogue);
    free_int_work(&w);
}

static void add_depthwise(struct cross *x, const struct isa *isa, struct int_conv any)
{
    struct int_conv_work w = make_int_work(any);
    const struct int_conv c = as_depthwise_seen_by(&w, isa);
    const struct int_learned learned = learned_of(&w);
    const int64_t n_weights = int_depthwise_weight_bytes(&c, isa);
    const int64_t n_epilogue = int_depthwise_epilogue_bytes(&c, isa);
    uint8_t *weights = guarded(n_weights, 0), *epilogue = guarded(n_epilogue, 0);
    const struct int_run run = {w.in,
                                weights,
                                epilogue,
                                w.residual,
                                w.want,
                                w.n_want,
                                int_depthwise_units(&c, isa)};

    int_depthwise_pack(&c, isa, &learned, weights, epilogue);
    x->conv[x->n] = c;
    LLVMValueRef core = emit_int_depthwise(&x->emitter, &c, cross_name(x));

    cross_add(x, core, &run, w.n_in, n_weights, n_epilogue, w.n_residual);
    release(weights);
    release(epilogue);
    free_int_work(&w);
}

static void finish(struct cross *x, int i)
{
    const int wrong = cross_run(x, arm_isas[i].cpu);

    if (wrong >= 0) {
        const struct int_tiling t = int_tile(&x->conv[wrong], &arm_isas[i]);

        print_error("case %d\n", wrong);
        describe_int(&x->conv[wrong], &t, &arm_isas[i]);
    }
    CHECK_EQ(wrong, -1);
}

TEST(int_conv_on_arm_matches_plain_loops)
{
    for (int i = 0; i < N_ARM; i++) {
        struct cross x = cross_open(&arm_isas[i]);

        for (int k = 0; k < 24; k++)
            add_conv(&x, &arm_isas[i], random_int_conv());
        finish(&x, i);
    }
}

TEST(int_depthwise_on_arm_matches_plain_loops)
{
    for (int i = 0; i < N_ARM; i++) {
        struct cross x = cross_open(&arm_isas[i]);

        for (int k = 0; k < 16; k++)
            add_depthwise(&x, &arm_isas[i], random_int_depthwise());
        finish(&x, i);
    }
}

/* 2 x 3 x 211 elements in a row; channels of 40 against a row of them. */
static void add_elements(struct cross *x, enum int_op op, bool is_signed,
                         bool by_channel)
{
    const int64_t columns = by_channel ? 40 : 211, n = 6 * columns;
    const struct int_elements c = {
        .op = op,
        .n = 1,
        .rows = 6,
        .columns = columns,
        .a_row = columns,
        .b_row = by_channel ? 0 : columns,
        .out_row = columns,
        .a_signed = is_signed,
        .out_signed = is_signed,
    };
    const struct oracle_output y =
        random_output(is_signed, op == INT_MUL ? 40.0f : 0.7f);
    const struct oracle_quant as = {0.5f, is_signed ? -5 : 100}, bs = {0.25f, 77};
    const struct int_operands from = {
        .a_factor = oracle_multiplier(0.5f, op == INT_MUL ? 0.25f : 1, y.scale),
        .b_factor = oracle_multiplier(0.25f, 1, y.scale),
        .a_zero = as.zero,
        .b_zero = bs.zero,
        .out = codes_of(&y),
    };
    uint8_t *a = guarded(n, 0), *b = guarded(n, 0), *want = guarded(n, 0),
            epilogue[256];
    const struct int_run run = {a, NULL, epilogue, b, want, n, int_elements_units(&c)};
    const int64_t dim[4] = {1, 1, 1, 1};
    int32_t table[256];

    random_codes(a, n, 0, 255);
    random_codes(b, n, 0, 255);
    for (int i = 0; i < 256; i++)
        table[i] = (i * 77 + 5) % 256;
    for (int64_t i = 0; i < n; i++) {
        const int32_t q = code_at(a, i, is_signed);
        const int32_t r = b[by_channel ? i % columns : i];
        int32_t code;

        if (op == INT_TABLE)
            code = table[is_signed ? q + 128 : q];
        else if (op == INT_SCALE)
            oracle_requantize(&q, 1, as, &y, &code);
        else
            oracle_binary((enum oracle_binary_op)op, &q, dim, as, &r, dim, bs, &y,
                          &code);
        want[i] = (uint8_t)code;
    }
    if (op == INT_TABLE)
        int_table_pack(&c, table, epilogue);
    else
        int_elements_pack(&c, &from, epilogue);
    LLVMValueRef core = emit_int_elements(&x->emitter, &c, cross_name(x));

    cross_add(x, core, &run, n, 0, int_elements_epilogue_bytes(&c), n);
    release(a);
    release(b);
    release(want);
}

TEST(int_elements_on_arm_match_the_oracle)
{
    for (int i = 0; i < N_ARM; i++) {
        struct cross x = cross_open(&arm_isas[i]);

        for (int op = INT_ADD; op <= INT_TABLE; op++)
            for (int k = 0; k < 4; k++)
                add_elements(&x, (enum int_op)op, k & 1, k & 2);
        finish(&x, i);
    }
}

/* 35 channels of 9 x 9, kernel 3 x 3, stride 2, padding 1. */
static void add_pool(struct cross *x, const struct isa *isa, bool max, bool is_signed)
{
    const int lo = is_signed ? -128 : 0;
    struct int_pool c = {.shape = square_window(9, 9, 3, 2, 1, 1),
                         .max = max,
                         .in_signed = is_signed,
                         .out_signed = is_signed};
    const struct oracle_window at = {1, 1, 9, 9, 5, 5, 3, 3, 2, 2, 1, 1, 1, 1, 0, 0};
    const struct oracle_quant as = {0.5f, lo + 90};
    const struct oracle_output y =
        max ? (struct oracle_output){0.5f, lo + 90, lo, lo + 255}
            : random_output(is_signed, 0.4f);
    const struct int_codes out = codes_of(&y);
    const int64_t n_in = 9 * 9 * 35, n_out = 5 * 5 * 35;
    uint8_t *in = guarded(n_in, 0), *want = guarded(n_out, 0), epilogue[512];
    int32_t plane[81], result[25];

    c.shape.groups = 35;
    set_strides(&c.shape, false, 0);
    random_codes(in, n_in, 0, 255);
    for (int ch = 0; ch < 35; ch++) {
        for (int i = 0; i < 81; i++)
            plane[i] = code_at(in, i * 35 + ch, is_signed);
        if (max)
            oracle_max_pool(plane, &at, as, &y, result);
        else
            oracle_average_pool(plane, &at, false, as, &y, result);
        for (int i = 0; i < 25; i++)
            want[i * 35 + ch] = (uint8_t)result[i];
    }
    CHECK(int_pool_epilogue_bytes(&c) <= (int64_t)sizeof epilogue);
    int_pool_pack(&c, 0.5, as.zero, (double)y.scale, &out, epilogue);
    const struct int_run run = {
        in, NULL, epilogue, NULL, want, n_out, int_pool_units(&c, isa)};
    LLVMValueRef core = emit_int_pool(&x->emitter, &c, cross_name(x));

    cross_add(x, core, &run, n_in, 0, int_pool_epilogue_bytes(&c), 0);
    release(in);
    release(want);
}

TEST(int_pools_on_arm_match_the_oracle)
{
    for (int i = 0; i < N_ARM; i++) {
        struct cross x = cross_open(&arm_isas[i]);

        for (int k = 0; k < 4; k++)
            add_pool(&x, &arm_isas[i], k & 1, k & 2);
        finish(&x, i);
    }
}
