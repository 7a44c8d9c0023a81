/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of every library kernel: what an operator means, in plain C.
 *
 * One source serves as reference interpreter (compiled natively), as portable C
 * output (copied into a bundle) and as bitcode that hadmcc specialises.  So the
 * files of this folder are freestanding C11: no libc, no libm, no heap, no
 * globals that are written, and this header includes nothing but <stdint.h>.
 *
 *     void k_add_f32(const void *params, void *const *buf, int64_t begin, int64_t end)
 *
 * `params` points to the kernel's struct k_<params> (params.h); `buf` holds one
 * pointer per operand, inputs first, then outputs, then scratch, in the order
 * that the kernel's comment states; work is the units [begin, end), and any
 * partition of [0, n_units) over calls gives the same bytes.  Operands are
 * aligned to their element size, nothing more.
 *
 * Rules for authors
 *   1. The typed body is a `K_IN` function with `restrict` parameters where
 *      operands may never share memory; element-by-element kernels go without,
 *      because the planner may give output and input the same address.
 *   2. Only + - * / sqrt, comparisons with ?:, integer bit operations, in the
 *      written order; never fma; no libm (math.h of this folder has exp, log...).
 *   3. Float sums have 16 lanes: lane = flattened reduced index mod 16, starting
 *      at +0, then the tree 8-4-2-1 (numerics: class E).
 *   4. Index arithmetic is in `ix` (64 bits, 32 on small machines).
 *   5. Convert float to integer only after clamping into range.
 */
#ifndef HADMC_KERNELS_KERNEL_H
#define HADMC_KERNELS_KERNEL_H

#include <stdint.h>

#if UINTPTR_MAX > 0xffffffffu
typedef int64_t ix;
#else
typedef int32_t ix;
#endif

enum { K_MAX_RANK = 8, K_MAX_BUFS = 16 };

typedef void kernel_fn(const void *params, void *const *buf, int64_t begin, int64_t end);

#define K_IN static inline __attribute__((always_inline))

/* K_LINKAGE is set to `static` where kernels are copied into one C file. */
#ifndef K_LINKAGE
#define K_LINKAGE
#endif
#define KERNEL_FN(name)                                                                \
    K_LINKAGE kernel_fn k_##name;                                                      \
    K_LINKAGE void k_##name(const void *params, void *const *buf, int64_t begin,       \
                            int64_t end)

K_IN ix ix_min(ix a, ix b)
{
    return a < b ? a : b;
}

K_IN ix ix_max(ix a, ix b)
{
    return a > b ? a : b;
}

K_IN uint32_t bits_of_f32(float f)
{
    union { float f; uint32_t u; } v = {.f = f};
    return v.u;
}

K_IN float f32_of_bits(uint32_t u)
{
    union { uint32_t u; float f; } v = {.u = u};
    return v.f;
}

K_IN uint64_t bits_of_f64(double f)
{
    union { double f; uint64_t u; } v = {.f = f};
    return v.u;
}

K_IN double f64_of_bits(uint64_t u)
{
    union { uint64_t u; double f; } v = {.u = u};
    return v.f;
}

#endif /* HADMC_KERNELS_KERNEL_H */
