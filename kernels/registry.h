/* SPDX-License-Identifier: Apache-2.0 */
/* The list of library kernels as data: for the interpreter (function pointers),
 * for the C output (source files, parameter layouts) and for codegen (names of
 * the bitcode functions).  Not freestanding; never copied into a bundle. */
#ifndef HADMC_KERNELS_REGISTRY_H
#define HADMC_KERNELS_REGISTRY_H

#include <stddef.h>

#include "kernels/dtype.h"
#include "kernels/kernel.h"

/* Rows of kernels.def and of the element-operator table eltwise.def. */
struct kernel_info {
    const char *name;   /* without k_ */
    kernel_fn *fn;
    const char *file;   /* kernels/<file>.c holds it, e.g. "k_reduce" */
    const char *params; /* its struct is k_<params> */
    size_t params_size; /* of its struct */
    int n_i64, n_f32;   /* layout of the struct: params.def */

    /* Element operators only (arity > 0): the scalar function is
     *     out e_<name>(in..., float f0, ... n_f of them)
     * with the C types of dtypes.def (bool: uint8_t that holds 0 or 1). */
    int arity;
    int n_f;             /* how many of k_eltwise.f the scalar function takes */
    enum dtype in, out;  /* `in`: of the last input */
    enum dtype src[3];   /* of every input: the first one of where_* is bool */
};

/* NULL when there is no such kernel, e.g. "add_f32". */
const struct kernel_info *kernel_find(const char *name);
/* kernel_find("<op>_<dtype>"). */
const struct kernel_info *kernel_find_typed(const char *op, enum dtype dtype);

int kernel_count(void);
const struct kernel_info *kernel_at(int i);

#endif /* HADMC_KERNELS_REGISTRY_H */
