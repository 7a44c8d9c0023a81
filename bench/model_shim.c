/* SPDX-License-Identifier: Apache-2.0 */
/* Gives any generated model the same four entry points, so that one bench program
 * can load it:  cc -shared -fPIC -DHEADER='"foo.h"' -DLOWER=foo -DUPPER=FOO
 *                  model_shim.c libfoo.a -o foo.so
 * The in and out structs of a model hold nothing but pointers, in order. */
#include HEADER

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

size_t shim_workspace_bytes(void);
int shim_open(const void *weights, size_t len, void *workspace);
int shim_use_workers(void *parallel_for, void *pool, uint64_t n);
void shim_run(const void *in, void *out);

static struct LOWER context;

size_t shim_workspace_bytes(void)
{
    return JOIN(UPPER, _WORKSPACE_BYTES);
}

int shim_open(const void *weights, size_t len, void *workspace)
{
    return (int)JOIN(LOWER, _open)(&context, weights, len, workspace,
                                   JOIN(UPPER, _WORKSPACE_BYTES), 0);
}

int shim_use_workers(void *parallel_for, void *pool, uint64_t n)
{
    JOIN(LOWER, _parallel_for) *function;

    *(void **)&function = parallel_for;
    return (int)JOIN(LOWER, _use_workers)(&context, function, pool, n);
}

void shim_run(const void *in, void *out)
{
    JOIN(LOWER, _run)(&context, in, out);
}
