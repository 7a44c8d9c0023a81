/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of integer kernels between guards, and running a kernel on them. */
#ifndef HADMC_TESTS_INT_WORK_H
#define HADMC_TESTS_INT_WORK_H

#include <sys/mman.h>
#include <unistd.h>

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

/* n bytes of `fill` between pages that cannot be read, at the end or the start of what
 * lies between these; nothing may be written to the rest of it. */
struct guarded_memory {
    uint8_t *pages, *at;
    size_t between;
    int64_t n;
};

enum { MAX_GUARDED = 64 };

static struct guarded_memory guarded_memories[MAX_GUARDED];

static inline uint8_t *guarded(int64_t n, int fill)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guarded_memory *m = guarded_memories;

    while (m->pages)
        m++;
    CHECK(m < guarded_memories + MAX_GUARDED);
    m->between = ((size_t)n + GUARD + page - 1) / page * page;
    m->n = n;
    m->pages = mmap(NULL, m->between + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                    -1, 0);
    CHECK(m->pages != MAP_FAILED);
    CHECK(mprotect(m->pages + page, m->between, PROT_READ | PROT_WRITE) == 0);
    m->at = m->pages + page + (random_in(0, 1) ? 0 : m->between - (size_t)n);
    memset(m->pages + page, GUARD_BYTE, m->between);
    memset(m->at, fill, (size_t)n);
    return m->at;
}

static inline struct guarded_memory *guarded_memory_of(const uint8_t *p)
{
    struct guarded_memory *m = guarded_memories;

    while (m->at != p)
        m++;
    return m;
}

static inline void release(uint8_t *p)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    if (!p)
        return;
    struct guarded_memory *m = guarded_memory_of(p);

    munmap(m->pages, m->between + 2 * page);
    *m = (struct guarded_memory){0};
}

static inline void check_guards(const uint8_t *p)
{
    const struct guarded_memory *m = guarded_memory_of(p);
    const uint8_t *first = m->pages + sysconf(_SC_PAGESIZE), *end = first + m->between;

    for (const uint8_t *q = first; q < end; q++)
        CHECK((q >= p && q < p + m->n) || *q == GUARD_BYTE);
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
    check_guards(out);
    check_guards(parts);
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
