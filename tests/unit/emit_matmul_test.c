/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted matrix products against a plain loop, at every level of this machine.
 * // links: codegen
 */
#include "tests/conv_work.h"

static void naive(const struct matmul *m, const float *a, const float *b,
                  const float *bias, float *c)
{
    for (int64_t i = 0; i < m->batch; i++)
        for (int64_t y = 0; y < m->m; y++)
            for (int64_t x = 0; x < m->n; x++) {
                double sum = 0;

                for (int64_t k = 0; k < m->k; k++)
                    sum += (double)a[i * m->a_batch + y * m->a_row + k * m->a_col]
                           * (double)b[i * m->b_batch + k * m->b_row + x * m->b_col];
                sum *= (double)m->alpha;
                if (m->has_bias)
                    sum += (double)bias[x];
                c[i * m->c_batch + y * m->c_row + x] =
                    activate((float)sum, m->act, m->act_a, m->act_b);
            }
}

static void check_matmul(const struct matmul *m)
{
    const int64_t n_c = m->batch * m->c_batch;
    float *a = guarded(m->batch * m->m * m->k), *b = guarded(m->batch * m->k * m->n);
    float *bias = guarded(m->n), *want = guarded(n_c), *got = guarded(n_c);

    memcpy(got, want, (size_t)n_c * sizeof *got);
    naive(m, a, b, bias, want);
    for (int i = jit_first_isa(); i < JIT_N_ISAS; i++) {
        const struct isa *isa = &jit_isas[i];
        const int64_t units = matmul_units(m, isa), cut = random_in(0, units);
        const int64_t scratch = matmul_scratch_bytes(m, isa);
        float *packed = guarded(scratch / 4), *first = guarded(n_c);
        struct jit j = jit_open(isa);

        emit_matmul(&j.emitter, m, "core");
        jit_finish(&j);
        core_fn *core = jit_find(&j, "core");

        memcpy(first, got, (size_t)n_c * sizeof *got);
        core(a, b, bias, NULL, got, (uint8_t *)packed, 0, units);
        for (int64_t k = 0; k < n_c; k++)
            if (!(fabsf(got[k] - want[k]) <= 1e-4f * (1 + fabsf(want[k])))) {
                print_error(
                    "%s: c[%ld] is %g, not %g: %ldx%ldx%ld b_row %ld b_col %ld\n",
                    isa->cpu, (long)k, (double)got[k], (double)want[k], (long)m->m,
                    (long)m->n, (long)m->k, (long)m->b_row, (long)m->b_col);
                CHECK(false);
            }
        core(a, b, bias, NULL, first, (uint8_t *)packed, cut, units);
        core(a, b, bias, NULL, first, (uint8_t *)packed, 0, cut);
        CHECK_BYTES(first, got, (size_t)n_c * sizeof *got);
        for (int64_t k = 0; k < GUARD; k++)
            CHECK(isnan(packed[scratch / 4 + k]));
        jit_close(&j);
        release(packed);
        release(first);
    }
    release(a);
    release(b);
    release(bias);
    release(want);
    release(got);
}

/* `a_t`, `b_t`: stored transposed. */
static struct matmul product(int64_t batch, int64_t m, int64_t n, int64_t k, bool a_t,
                             bool b_t)
{
    return (struct matmul){
        .batch = batch,
        .m = m,
        .n = n,
        .k = k,
        .alpha = 1,
        .a_batch = m * k,
        .a_row = a_t ? 1 : k,
        .a_col = a_t ? m : 1,
        .b_batch = k * n,
        .b_row = b_t ? 1 : n,
        .b_col = b_t ? k : 1,
        .c_batch = m * n,
        .c_row = n,
    };
}

TEST(matmul_matches_a_plain_loop)
{
    const struct matmul m = product(2, 19, 48, 33, false, false);

    check_matmul(&m);
}

TEST(matmul_transposes_b_in_scratch)
{
    struct matmul m = product(2, 20, 53, 37, false, true);

    m.alpha = 0.125f;
    m.has_bias = true;
    m.act = ACT_RELU;
    check_matmul(&m);
}

TEST(matmul_reads_a_transposed_a)
{
    const struct matmul m = product(1, 30, 21, 40, true, false);

    check_matmul(&m);
}

TEST(matmul_shares_one_matrix_between_batches)
{
    struct matmul m = product(3, 7, 35, 12, false, true);

    m.b_batch = 0;
    check_matmul(&m);
}

TEST(matmul_of_random_shapes_matches_a_plain_loop)
{
    for (int i = 0; i < 12; i++) {
        struct matmul m = product(random_in(1, 3), random_in(1, 70), random_in(1, 300),
                                  random_in(1, 70), random_in(0, 1), random_in(0, 1));

        m.has_bias = random_in(0, 1);
        m.alpha = random_in(0, 1) ? 1.0f : 0.5f;
        check_matmul(&m);
    }
}
