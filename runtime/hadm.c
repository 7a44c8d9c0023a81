/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime core: see hadm.h.  Every check of a model's surroundings is in
 * hadm_open; hadm_run only walks the steps. */
#include "runtime/hadm.h"

#include "runtime/mem.h"
#include "runtime/sha256.h"
#include "runtime/weights_reader.h"

/* ---- the processor ---------------------------------------------------------- */

#if defined(__x86_64__) && defined(__GNUC__)

struct hadm_cpuid {
    uint32_t a, b, c, d;
};

static struct hadm_cpuid hadm_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct hadm_cpuid r;

    __asm__ volatile("cpuid"
                     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

/* Register state that the operating system saves (XCR0). */
static uint32_t hadm_saved_state(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

static int hadm_has(uint32_t reg, uint32_t bits)
{
    return (reg & bits) == bits;
}

/* Bit numbers: Intel SDM volume 2A, CPUID. */
#define HADM_BIT(n) ((uint32_t)1 << (n))

static uint64_t hadm_avx512_features(struct hadm_cpuid l7, struct hadm_cpuid l7_1)
{
    const uint32_t f_dq_cd_bw_vl =
        HADM_BIT(16) | HADM_BIT(17) | HADM_BIT(28) | HADM_BIT(30) | HADM_BIT(31);
    const uint32_t vbmi_vbmi2_gfni_bitalg_vpopcntdq =
        HADM_BIT(1) | HADM_BIT(6) | HADM_BIT(8) | HADM_BIT(12) | HADM_BIT(14);
    uint64_t found = HADM_CPU_AVX512;

    if (!hadm_has(l7.b, f_dq_cd_bw_vl))
        return 0;
    if (hadm_has(l7.c, HADM_BIT(11)))
        found |= HADM_CPU_AVX512_VNNI;
    if (hadm_has(l7_1.a, HADM_BIT(5)))
        found |= HADM_CPU_AVX512_BF16;
    if (hadm_has(l7.b, HADM_BIT(21)) && hadm_has(l7.c, vbmi_vbmi2_gfni_bitalg_vpopcntdq))
        found |= HADM_CPU_AVX512_ICELAKE;
    return found;
}

HADM_API uint64_t hadm_cpu_features(void)
{
    const uint32_t sse3_ssse3_fma_sse41_sse42_movbe_popcnt_f16c =
        HADM_BIT(0) | HADM_BIT(9) | HADM_BIT(12) | HADM_BIT(19) | HADM_BIT(20)
        | HADM_BIT(22) | HADM_BIT(23) | HADM_BIT(29);
    const uint32_t sse42 =
        HADM_BIT(0) | HADM_BIT(9) | HADM_BIT(19) | HADM_BIT(20) | HADM_BIT(23);
    const uint32_t osxsave_avx = HADM_BIT(27) | HADM_BIT(28);
    const uint32_t bmi1_avx2_bmi2 = HADM_BIT(3) | HADM_BIT(5) | HADM_BIT(8);
    const struct hadm_cpuid none = {0, 0, 0, 0};
    const uint32_t top = hadm_cpuid(0, 0).a;
    const struct hadm_cpuid l1 = hadm_cpuid(1, 0);
    const struct hadm_cpuid l7 = top >= 7 ? hadm_cpuid(7, 0) : none;
    const struct hadm_cpuid l7_1 = l7.a >= 1 ? hadm_cpuid(7, 1) : none;
    const uint32_t lzcnt = hadm_cpuid(0x80000001u, 0).c & HADM_BIT(5);
    uint64_t found = hadm_has(l1.c, sse42) ? HADM_CPU_SSE42 : 0;

    if (!hadm_has(l1.c, osxsave_avx))
        return found;

    const uint32_t saved = hadm_saved_state();

    if (!hadm_has(saved, 0x06) || !lzcnt || !hadm_has(l7.b, bmi1_avx2_bmi2)
        || !hadm_has(l1.c, sse3_ssse3_fma_sse41_sse42_movbe_popcnt_f16c))
        return found;
    found |= HADM_CPU_AVX2;
    if (hadm_has(l7_1.a, HADM_BIT(4)))
        found |= HADM_CPU_AVX_VNNI;
    if (hadm_has(saved, 0xe6))
        found |= hadm_avx512_features(l7, l7_1);
    return found;
}

#elif defined(__aarch64__) && defined(__GNUC__) && !defined(__APPLE__)

/* The identification registers: readable at EL1, and for Linux programs because
 * the kernel answers for them. */
HADM_API uint64_t hadm_cpu_features(void)
{
    uint64_t isar0, pfr0;
    uint64_t found = 0;

    __asm__ volatile("mrs %0, ID_AA64ISAR0_EL1" : "=r"(isar0));
    __asm__ volatile("mrs %0, ID_AA64PFR0_EL1" : "=r"(pfr0));
    if ((isar0 >> 44 & 15) >= 1)
        found |= HADM_CPU_NEON_DOTPROD;
    if ((pfr0 >> 16 & 15) == 1 && (pfr0 >> 20 & 15) == 1)
        found |= HADM_CPU_NEON_FP16;
    return found;
}

#else

HADM_API uint64_t hadm_cpu_features(void)
{
    return 0;
}

#endif

/* ---- opening ---------------------------------------------------------------- */

static enum hadm_status hadm_check_weights(const struct hadm_model *model,
                                           const void *weights, size_t weights_len,
                                           unsigned flags, struct hadm_weights *out)
{
    if (!weights || !hadm_weights_read(out, weights, weights_len))
        return HADM_BAD_WEIGHTS;
    if (!sha256_same(out->structure_hash, model->structure_hash)
        || out->payload_bytes < model->payload_bytes)
        return HADM_OTHER_MODEL;
    if ((uintptr_t)out->payload % 64 != 0)
        return HADM_BAD_ALIGNMENT;
    if ((flags & HADM_CHECK_PAYLOAD) && !hadm_weights_check_payload(out))
        return HADM_DAMAGED;
    return HADM_OK;
}

HADM_API enum hadm_status hadm_open(struct hadm_context *c,
                                    const struct hadm_model *model, const void *weights,
                                    size_t weights_len, void *workspace,
                                    size_t workspace_len, unsigned flags)
{
    struct hadm_weights w;

    if (model->abi != HADM_ABI)
        return HADM_OTHER_MODEL;
    if (model->cpu_features
        && (model->cpu_features & hadm_cpu_features()) != model->cpu_features)
        return HADM_WRONG_CPU;

    const enum hadm_status status =
        hadm_check_weights(model, weights, weights_len, flags, &w);

    if (status != HADM_OK)
        return status;
    if ((!workspace && model->workspace_bytes) || workspace_len < model->workspace_bytes
        || (uintptr_t)workspace % 64 != 0)
        return HADM_BAD_MEMORY;

    memset(c, 0, sizeof *c);
    c->model = model;
    c->payload = w.payload;
    c->workspace = (uint8_t *)workspace;
    c->n_workers = 1;
    return HADM_OK;
}

HADM_API enum hadm_status hadm_use_workers(struct hadm_context *c,
                                           hadm_parallel_for *parallel_for, void *pool,
                                           uint64_t n_workers)
{
    if (n_workers > c->model->max_workers)
        return HADM_BAD_WORKERS;

    const int alone = !parallel_for || n_workers == 0;

    c->parallel_for = alone ? NULL : parallel_for;
    c->pool = alone ? NULL : pool;
    c->n_workers = alone ? 1 : n_workers;
    return HADM_OK;
}

/* ---- running ---------------------------------------------------------------- */

struct hadm_range {
    const struct hadm_context *c;
    const struct hadm_step *step;
    void *const *io;
};

static void hadm_run_range(void *arg, int64_t begin, int64_t end, int64_t worker)
{
    const struct hadm_range *r = (const struct hadm_range *)arg;

    r->step->fn(r->c->workspace, r->c->payload, r->io, begin, end, worker);
}

static void hadm_run_step(const struct hadm_context *c, const struct hadm_step *s,
                          void *const *io)
{
    if (c->parallel_for && s->grain < s->n_units) {
        struct hadm_range range = {c, s, io};

        c->parallel_for(c->pool, hadm_run_range, &range, s->n_units, s->grain);
    } else if (s->n_units > 0) {
        s->fn(c->workspace, c->payload, io, 0, s->n_units, 0);
    }
}

HADM_API void hadm_run(const struct hadm_context *c, void *const *io)
{
    const struct hadm_model *model = c->model;

    for (uint32_t i = 0; i < model->n_steps;) {
        const struct hadm_step *s = &model->steps[i];
        const uint32_t next = i + 1, target = (uint32_t)s->target;

        switch (s->kind) {
        case HADM_BRANCH:
            i = c->workspace[s->at] ? next : target;
            break;
        case HADM_BRANCH_IO:
            i = ((const uint8_t *)io[s->n_units])[s->at] ? next : target;
            break;
        case HADM_JUMP:
            i = target;
            break;
        default:
            hadm_run_step(c, s, io);
            i = next;
        }
    }
}

HADM_API const char *hadm_strerror(enum hadm_status status)
{
    switch (status) {
    case HADM_OK:
        return "done";
    case HADM_BAD_WEIGHTS:
        return "not a weights file, truncated, or damaged";
    case HADM_OTHER_MODEL:
        return "the weights file belongs to another model or another build of it";
    case HADM_WRONG_CPU:
        return "this processor lacks a feature that the code needs";
    case HADM_BAD_MEMORY:
        return "the workspace is too small or not aligned";
    case HADM_BAD_ALIGNMENT:
        return "the weights are not aligned to 64 bytes";
    case HADM_DAMAGED:
        return "the weights do not match their digests";
    case HADM_BAD_WORKERS:
        return "more workers than the code was compiled for";
    }
    return "unknown status";
}
