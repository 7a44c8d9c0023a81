/* SPDX-License-Identifier: Apache-2.0 */
/* The tables kernels.def and eltwise.def as data.  There are some hundreds of
 * rows and every node looks up a few: a sorted index and bisection. */
#include "kernels/registry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

#include "kernels/params.h"

/* int64_t fields, then float fields, padded to 8 bytes. */
enum {
#define PARAMS(name, n_i64, n_f32) PARAMS_I64_##name = (n_i64), PARAMS_F32_##name = (n_f32),
#include "kernels/params.def"
};
#define PARAMS(name, n_i64, n_f32)                                                     \
    static_assert(sizeof(struct k_##name) == 8 * ((n_i64) + ((n_f32) + 1) / 2),        \
                  "params.def disagrees with params.h about k_" #name);
#include "kernels/params.def"

#define KERNEL(name, file, params) extern kernel_fn k_##name;
#include "kernels/kernels.def"
#define ELTWISE(name, file, n_f, arity, s0, s1, s2, out) extern kernel_fn k_##name;
#include "kernels/eltwise.def"

static const struct kernel_info table[] = {
#define KERNEL(kname, kfile, kparams)                                                  \
    {.name = #kname, .fn = k_##kname, .file = #kfile, .params = #kparams,              \
     .params_size = sizeof(struct k_##kparams), .n_i64 = PARAMS_I64_##kparams,         \
     .n_f32 = PARAMS_F32_##kparams},
#include "kernels/kernels.def"
#define LAST_1(s0, s1, s2) s0
#define LAST_2(s0, s1, s2) s1
#define LAST_3(s0, s1, s2) s2
#define ELTWISE(opname, opfile, opn_f, oparity, s0, s1, s2, opout)                     \
    {.name = #opname, .fn = k_##opname, .file = #opfile, .params = "eltwise",          \
     .params_size = sizeof(struct k_eltwise), .n_i64 = PARAMS_I64_eltwise,             \
     .n_f32 = PARAMS_F32_eltwise, .arity = (oparity), .n_f = (opn_f),                  \
     .in = LAST_##oparity(DT_##s0, DT_##s1, DT_##s2), .out = DT_##opout,               \
     .src = {DT_##s0, DT_##s1, DT_##s2}},
#define DT_none DT_NONE
#include "kernels/eltwise.def"
};

enum { N_KERNELS = sizeof table / sizeof *table };

static const struct kernel_info *by_name[N_KERNELS];
static once_flag sorted = ONCE_FLAG_INIT;

static int compare_names(const void *a, const void *b)
{
    const struct kernel_info *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static void sort_names(void)
{
    for (int i = 0; i < N_KERNELS; i++)
        by_name[i] = &table[i];
    qsort(by_name, N_KERNELS, sizeof *by_name, compare_names);
}

const struct kernel_info *kernel_find(const char *name)
{
    call_once(&sorted, sort_names);
    const struct kernel_info key = {.name = name}, *const key_at = &key;
    const struct kernel_info *const *hit =
        bsearch(&key_at, by_name, N_KERNELS, sizeof *by_name, compare_names);

    return hit ? *hit : NULL;
}

const struct kernel_info *kernel_find_typed(const char *op, enum dtype dtype)
{
    char name[64];

    snprintf(name, sizeof name, "%s_%s", op, dtype_info[dtype].name);
    return kernel_find(name);
}

int kernel_count(void)
{
    return N_KERNELS;
}

const struct kernel_info *kernel_at(int i)
{
    assert(i >= 0 && i < N_KERNELS);
    return &table[i];
}
