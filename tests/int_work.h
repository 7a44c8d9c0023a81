/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of integer kernels between guards, and running a kernel on them. */
#ifndef HADMC_TESTS_INT_WORK_H
#define HADMC_TESTS_INT_WORK_H

#include "tests/int_jit.h"
#include "tests/oracle/oracle.h"
#include "tests/test.h"

enum { GUARD = 64, GUARD_BYTE = 0xa5 };

static uint64_t work_seed = 1;

static inline int64_t random_in(int64_t lo, int64_t hi)
{
    work_seed = work_seed * 6364136223846793005u + 1442695040888963407u;
    return lo + (int64_t)((work_seed >> 33) % (uint64_t)(hi - lo + 1));
}

/* n bytes of `fill` that nothing may be written beyond. */
static inline uint8_t *guarded(int64_t n, int fill)
{
    uint8_t *all = malloc((size_t)n + 2 * GUARD);

    memset(all, GUARD_BYTE, (size_t)n + 2 * GUARD);
    memset(all + GUARD, fill, (size_t)n);
    return all + GUARD;
}

static inline void release(uint8_t *p)
{
    if (p)
        free(p - GUARD);
}

static inline void check_guards(const uint8_t *p, int64_t n)
{
    for (int i = 1; i <= GUARD; i++)
        CHECK(p[-i] == GUARD_BYTE && p[n + i - 1] == GUARD_BYTE);
}

/* Codes of one type, half of them anything, the others at the limits now and then. */
static inline void random_codes(uint8_t *p, int64_t n, int lo, int hi)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t kind = random_in(0, 9);

        p[i] = (uint8_t)(kind == 0 ? lo : kind == 1 ? hi : random_in(lo, hi));
    }
}

static inline int32_t code_at(const uint8_t *p, int64_t i, bool is_signed)
{
    return is_signed ? (int8_t)p[i] : p[i];
}

static inline struct oracle_output random_output(bool is_signed, float scale)
{
    const int32_t lo = is_signed ? -128 : 0, hi = lo + 255;
    struct oracle_output y = {scale, (int32_t)random_in(lo, hi), lo, hi};

    if (random_in(0, 2) == 0)
        y.zero = random_in(0, 1) ? lo : hi;
    if (random_in(0, 1))
        y.lo = y.zero; /* a Relu */
    if (random_in(0, 3) == 0)
        y.hi = (int32_t)random_in(y.lo, hi);
    return y;
}

static inline struct int_codes codes_of(const struct oracle_output *y)
{
    return (struct int_codes){y->zero, y->lo, y->hi};
}

/* A kernel and its operands, whose bytes around and between results stay. */
struct int_run {
    const uint8_t *in, *weights, *epilogue, *residual, *want;
    int64_t n_out, units;
};

/* The whole, then in two calls at a random unit: equal bytes both times. */
static inline bool int_run_on(const struct int_run *r, int_core_fn *core)
{
    const int64_t cut = random_in(0, r->units);
    uint8_t *out = guarded(r->n_out, 0x5a), *parts = guarded(r->n_out, 0x5a);
    bool same;

    core(r->in, r->weights, r->epilogue, r->residual, out, NULL, 0, r->units);
    core(r->in, r->weights, r->epilogue, r->residual, parts, NULL, cut, r->units);
    core(r->in, r->weights, r->epilogue, r->residual, parts, NULL, 0, cut);
    check_guards(out, r->n_out);
    CHECK_BYTES(out, parts, (size_t)r->n_out);
    same = memcmp(out, r->want, (size_t)r->n_out) == 0;
    for (int64_t i = 0; i < r->n_out && !same; i++)
        if (out[i] != r->want[i]) {
            print_error("byte %ld of %ld is %d, not %d\n", (long)i, (long)r->n_out,
                        out[i], r->want[i]);
            break;
        }
    release(out);
    release(parts);
    return same;
}

#endif /* HADMC_TESTS_INT_WORK_H */
