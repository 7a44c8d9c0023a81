/* SPDX-License-Identifier: Apache-2.0 */
/* AArch64 processors: what code for each may use, and the caches of one core.  As
 * in x86.c, what LLVM uses by itself is behind a HADM_CPU_* bit or switched off. */
#include <string.h>

#include "runtime/hadm.h"
#include "support/text.h"
#include "targets/targets.h"

enum { V8_2 = HADM_CPU_NEON_DOTPROD | HADM_CPU_NEON_FP16 };

/* name and LLVM features; features that must be present; data caches of one core
 * in KiB, from Arm's technical reference manuals (where a size is the implementer's
 * choice, the smallest one). */
static const struct aarch64_cpu {
    const char *name, *features;
    uint64_t need;
    int l1_kib, l2_kib;
} aarch64_cpus[] = {
    {"generic", "+neon", 0, 32, 256},
    {"cortex-a53", "", 0, 32, 128},
    {"cortex-a55", "", V8_2, 32, 64},
    {"cortex-a57", "", 0, 32, 512},
    {"cortex-a72", "", 0, 32, 512},
    {"cortex-a76", "", V8_2, 64, 128},
    {"cortex-a78", "", V8_2, 32, 256},
    {"cortex-a78ae", "", V8_2, 64, 256},
    {"neoverse-n1", "", V8_2, 64, 512},
};

enum { N_AARCH64_CPUS = sizeof aarch64_cpus / sizeof aarch64_cpus[0] };

static const struct aarch64_cpu *find(const char *name)
{
    for (int i = 0; i < N_AARCH64_CPUS; i++)
        if (strcmp(aarch64_cpus[i].name, name) == 0)
            return &aarch64_cpus[i];
    return NULL;
}

static void describe(const struct aarch64_cpu *cpu, struct isa *out,
                     uint64_t *cpu_features)
{
    *out = (struct isa){
        .triple = "aarch64-unknown-linux-gnu",
        .cpu = cpu->name,
        .features = cpu->features,
        .vector_bytes = 16,
        .n_registers = 32,
        .fma = true,
        .lane_fma = true,
        .dot = cpu->need & HADM_CPU_NEON_DOTPROD,
        .half = true,
        .table = true,
        .l1_bytes = cpu->l1_kib * INT64_C(1024),
        .l2_bytes = cpu->l2_kib * INT64_C(1024),
    };
    *cpu_features = cpu->need;
}

struct status *aarch64_resolve(struct arena *a, const char *cpu, struct isa *out,
                               uint64_t *cpu_features)
{
    const struct aarch64_cpu *row = find(cpu);
    struct text list = {0};

    (void)a;
    if (row) {
        describe(row, out, cpu_features);
        return OK;
    }
    for (int i = 0; i < N_AARCH64_CPUS; i++)
        text_printf(&list, "%s%s", i ? " " : "", aarch64_cpus[i].name);

    struct status *s = FAIL(BAD_USAGE, "--cpu %s is not a processor that this target"
                            " knows; it knows %s", cpu, list.bytes);

    text_free(&list);
    return s;
}

struct status *aarch64_resolve_here(struct arena *a, struct isa *out,
                                    uint64_t *cpu_features)
{
    const uint64_t here = hadm_cpu_features();
    char *name = LLVMGetHostCPUName();
    const struct aarch64_cpu *row = find(name);

    (void)a;
    LLVMDisposeMessage(name);
    if (!row || (row->need & here) != row->need)
        row = &aarch64_cpus[0];
    describe(row, out, cpu_features);
    return OK;
}
