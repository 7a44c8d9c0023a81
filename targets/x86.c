/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64 processors: what code for each may use, and the caches of one core.
 *
 * Code for a processor is generated with LLVM's model of it.  foo_open refuses to
 * run where a feature is missing that the code may use, so every feature that
 * LLVM's code generator uses by itself is either behind a HADM_CPU_* bit or
 * switched off here ("-sse4a", "-avx512fp16").
 */
#include <string.h>

#include "runtime/hadm.h"
#include "support/text.h"
#include "targets/targets.h"

enum {
    V1 = 0,
    V2 = HADM_CPU_SSE42,
    V3 = V2 | HADM_CPU_AVX2,
    V3_VNNI = V3 | HADM_CPU_AVX_VNNI,
    V4 = V3 | HADM_CPU_AVX512,
    V4_VNNI = V4 | HADM_CPU_AVX512_VNNI,
    V4_BF16 = V4_VNNI | HADM_CPU_AVX512_BF16,
    ICELAKE = V4_VNNI | HADM_CPU_AVX512_ICELAKE,
    ICELAKE_BF16 = ICELAKE | HADM_CPU_AVX512_BF16,
};

/* name and LLVM features; features that must be present; data caches of one core in
 * KiB, from the vendors' optimization manuals (generic levels: the smallest among
 * common processors of the level).  Gathers are slower than scalar loads on Zen. */
static const struct x86_cpu {
    const char *name, *features;
    uint64_t need;
    int l1_kib, l2_kib;
} x86_cpus[] = {
    {"x86-64", "", V1, 32, 256},
    {"x86-64-v2", "", V2, 32, 256},
    {"x86-64-v3", "", V3, 32, 256},
    {"x86-64-v4", "", V4, 32, 1024},
    {"nehalem", "", V2, 32, 256},
    {"haswell", "", V3, 32, 256},
    {"broadwell", "", V3, 32, 256},
    {"skylake", "", V3, 32, 256},
    {"alderlake", "-gfni", V3_VNNI, 48, 1280},
    {"raptorlake", "-gfni", V3_VNNI, 48, 2048},
    {"meteorlake", "-gfni", V3_VNNI, 48, 2048},
    {"skylake-avx512", "", V4, 32, 1024},
    {"cascadelake", "", V4_VNNI, 32, 1024},
    {"cooperlake", "", V4_BF16, 32, 1024},
    {"icelake-client", "", ICELAKE, 48, 512},
    {"icelake-server", "", ICELAKE, 48, 1280},
    {"tigerlake", "", ICELAKE, 48, 1280},
    {"rocketlake", "", ICELAKE, 48, 512},
    {"sapphirerapids", "-avx512fp16,-avxvnni", ICELAKE_BF16, 48, 2048},
    {"emeraldrapids", "-avx512fp16,-avxvnni", ICELAKE_BF16, 48, 2048},
    {"graniterapids", "-avx512fp16,-avxvnni", ICELAKE_BF16, 48, 2048},
    {"znver1", "-sse4a,+prefer-no-gather", V3, 32, 512},
    {"znver2", "-sse4a,+prefer-no-gather", V3, 32, 512},
    {"znver3", "-sse4a,+prefer-no-gather", V3, 32, 512},
    {"znver4", "-sse4a,+prefer-no-gather", ICELAKE_BF16, 32, 1024},
    {"znver5", "-sse4a,-avxvnni,+prefer-no-gather", ICELAKE_BF16, 48, 1024},
};

enum { N_X86_CPUS = sizeof x86_cpus / sizeof x86_cpus[0] };

static const struct x86_cpu *find(const char *name)
{
    for (int i = 0; i < N_X86_CPUS; i++)
        if (strcmp(x86_cpus[i].name, name) == 0)
            return &x86_cpus[i];
    return NULL;
}

static void describe(const struct x86_cpu *cpu, struct isa *out, uint64_t *cpu_features)
{
    const bool avx2 = cpu->need & HADM_CPU_AVX2, avx512 = cpu->need & HADM_CPU_AVX512;

    *out = (struct isa){
        .triple = "x86_64-unknown-linux-gnu",
        .cpu = cpu->name,
        .features = cpu->features,
        .vector_bytes = avx512 ? 64 : avx2 ? 32 : 16,
        .n_registers = avx512 ? 32 : 16,
        .fma = avx2,
        .masks = avx512,
        .dot = cpu->need & (avx512 ? HADM_CPU_AVX512_VNNI : HADM_CPU_AVX_VNNI),
        .mxcsr = true,
        .half = avx2,
        .table = cpu->need & HADM_CPU_AVX512_ICELAKE,
        .l1_bytes = cpu->l1_kib * INT64_C(1024),
        .l2_bytes = cpu->l2_kib * INT64_C(1024),
    };
    *cpu_features = cpu->need;
}

static struct status *unknown(const char *name)
{
    struct text list = {0};

    for (int i = 0; i < N_X86_CPUS; i++)
        text_printf(&list, "%s%s", i ? " " : "", x86_cpus[i].name);

    struct status *s = FAIL(BAD_USAGE, "--cpu %s is not a processor that this target"
                            " knows; it knows %s", name, list.bytes);

    text_free(&list);
    return s;
}

struct status *x86_resolve(struct arena *a, const char *cpu, struct isa *out,
                           uint64_t *cpu_features)
{
    (void)a;
    const struct x86_cpu *row = find(cpu);

    if (!row)
        return unknown(cpu);
    describe(row, out, cpu_features);
    return OK;
}

struct status *x86_resolve_here(struct arena *a, struct isa *out, uint64_t *cpu_features)
{
    static const char *const levels[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64"};
    const uint64_t here = hadm_cpu_features();
    char *name = LLVMGetHostCPUName();
    const struct x86_cpu *row = find(name);

    (void)a;
    LLVMDisposeMessage(name);
    for (int i = 0; !row || (row->need & here) != row->need; i++)
        row = find(levels[i]); /* the last one needs nothing */
    describe(row, out, cpu_features);
    return OK;
}
