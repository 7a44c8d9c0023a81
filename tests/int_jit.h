/* SPDX-License-Identifier: Apache-2.0 */
/* Instruction sets that integer kernels are written for, and kernels as functions. */
#ifndef HADMC_TESTS_INT_JIT_H
#define HADMC_TESTS_INT_JIT_H

#include <setjmp.h>
#include <signal.h>

#include "codegen/emit_int.h"
#include "tests/jit.h"

typedef void int_core_fn(const void *in, const void *weights, const void *epilogue,
                         const void *residual, void *out, uint8_t *scratch,
                         int64_t begin, int64_t end);

/* Best first: AVX-512 with and without VNNI, AVX2 with and without it, SSE2. */
static const struct isa int_isas[] = {
    {JIT_TRIPLE, "x86-64-v4", "+avx512vnni,+avx512vbmi", 64, 32, true, false, true,
     true, true, true, true, 48 << 10, 1 << 20},
    {JIT_TRIPLE, "x86-64-v4", "", 64, 32, true, false, true, false, true, true, false,
     48 << 10, 1 << 20},
    {JIT_TRIPLE, "x86-64-v3", "+avxvnni", 32, 16, true, false, false, true, true, true,
     false, 32 << 10, 512 << 10},
    {JIT_TRIPLE, "x86-64-v3", "", 32, 16, true, false, false, false, true, true, false,
     32 << 10, 512 << 10},
    {JIT_TRIPLE, "x86-64", "", 16, 16, false, false, false, false, true, false, false,
     32 << 10, 256 << 10},
};

enum {
    INT_N_ISAS = sizeof int_isas / sizeof int_isas[0],
    INT_ISA_AVX512 = 1,
    INT_ISA_AVX_VNNI,
    INT_ISA_AVX2,
};

static sigjmp_buf int_jit_no_such_instruction;

static inline void int_jit_on_signal(int number)
{
    (void)number;
    siglongjmp(int_jit_no_such_instruction, 1);
}

/* AVX-VNNI by trying: virtual machines hide it more often than not. */
static inline bool int_jit_has_avx_vnni(void)
{
    struct sigaction on = {.sa_handler = int_jit_on_signal}, before;
    bool has = false;

    if (!__builtin_cpu_supports("x86-64-v3"))
        return false;
    sigaction(SIGILL, &on, &before);
    if (sigsetjmp(int_jit_no_such_instruction, 1) == 0) {
        /* {vex} vpdpbusd %ymm0, %ymm0, %ymm0, which old assemblers do not know */
        __asm__ volatile(".byte 0xc4, 0xe2, 0x7d, 0x50, 0xc0" ::: "xmm0");
        has = true;
    }
    sigaction(SIGILL, &before, NULL);
    return has;
}

static inline bool int_isa_runs(int i)
{
    switch (i) {
    case 0:
        return __builtin_cpu_supports("x86-64-v4")
               && __builtin_cpu_supports("avx512vnni")
               && __builtin_cpu_supports("avx512vbmi");
    case INT_ISA_AVX512:
        return __builtin_cpu_supports("x86-64-v4");
    case INT_ISA_AVX_VNNI:
        return int_jit_has_avx_vnni();
    case INT_ISA_AVX2:
        return __builtin_cpu_supports("x86-64-v3");
    default:
        return true;
    }
}

static inline int_core_fn *int_jit_find(struct jit *j, const char *name)
{
    return (int_core_fn *)jit_find(j, name);
}

#endif /* HADMC_TESTS_INT_JIT_H */
