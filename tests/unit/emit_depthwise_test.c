/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted depthwise convolutions against a plain loop, at every level of this machine.
 * // links: codegen
 */
#include "tests/conv_work.h"

static void run_on(struct work *w, const struct isa *isa)
{
    const struct conv *c = &w->c;
    const int64_t units = depthwise_units(c, isa), cut = random_in(0, units);
    struct jit j = jit_open(isa);

    depthwise_pack(c, w->onnx, w->packed);
    store_packed(w);
    emit_depthwise(&j.emitter, c, "core");
    jit_finish(&j);
    core_fn *core = jit_find(&j, "core");
    float *first = guarded(w->n_out);
    const float *residual = c->has_residual ? w->residual : NULL;

    memcpy(first, w->out, (size_t)w->n_out * sizeof *first);
    core(w->in, w->packed, w->bias, residual, w->out, NULL, 0, units);
    check_close(w, isa);
    core(w->in, w->packed, w->bias, residual, first, NULL, cut, units);
    core(w->in, w->packed, w->bias, residual, first, NULL, 0, cut);
    CHECK_BYTES(first, w->out, (size_t)w->n_out * sizeof *first);
    release(first);
    jit_close(&j);
}

static void check_depthwise(struct conv c)
{
    struct work w = {.c = c};

    make_operands(&w);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++)
        run_on(&w, &jit_isas[i]);
    free_operands(&w);
}

static struct conv depthwise(int64_t channels, int64_t h, int64_t w, int64_t k,
                             int64_t stride, int64_t dilation, int64_t pad)
{
    struct conv c = square_window(h, w, k, stride, dilation, pad);

    c.groups = channels;
    c.has_bias = true;
    c.act = ACT_CLIP;
    c.act_a = -0.5f;
    c.act_b = 0.75f;
    set_strides(&c, false, 0);
    return c;
}

TEST(depthwise_3x3_matches_a_plain_loop)
{
    check_depthwise(depthwise(32, 14, 14, 3, 1, 1, 1));
    check_depthwise(depthwise(40, 7, 9, 3, 2, 1, 1));
    check_depthwise(depthwise(6, 5, 30, 3, 1, 1, 0));
}

TEST(depthwise_reads_weights_of_16_bits)
{
    struct conv small = depthwise(40, 7, 9, 3, 2, 1, 1);
    struct conv large = depthwise(21, 13, 12, 9, 1, 1, 4);

    small.half_weights = large.half_weights = true;
    check_depthwise(small);
    check_depthwise(large);
}

TEST(depthwise_with_a_large_kernel_loops_over_its_rows)
{
    check_depthwise(depthwise(20, 13, 12, 9, 1, 1, 4));
}

TEST(depthwise_with_more_padding_than_input_reads_none_of_it)
{
    check_depthwise(depthwise(16, 2, 2, 3, 1, 3, 3));
}

TEST(depthwise_adds_a_residual_to_an_odd_channel_count_once)
{
    struct conv c = depthwise(21, 8, 8, 3, 1, 1, 1);

    c.has_residual = true;
    c.act_before = ACT_RELU;
    check_depthwise(c);
}

TEST(depthwise_of_random_shapes_matches_a_plain_loop)
{
    for (int i = 0; i < 12; i++) {
        struct conv c = depthwise(random_in(1, 90), random_in(4, 20), random_in(4, 30),
                                  random_in(1, 4), random_in(1, 3), 1, random_in(0, 2));

        c.n = random_in(1, 2);
        c.has_residual = random_in(0, 1);
        check_depthwise(c);
    }
}
