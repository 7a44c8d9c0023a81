/* SPDX-License-Identifier: Apache-2.0 */
/* What the build put into hadmcc itself: the kernel library and the runtime as
 * bitcode, one file per triple, the runner program as an object per triple, and the
 * text of the sources for the C output. */
#ifndef HADMC_CODEGEN_EMBEDDED_H
#define HADMC_CODEGEN_EMBEDDED_H

#include <stddef.h>

struct embedded {
    const void *at; /* NULL when there is no such thing */
    size_t len;
};

/* `name` is "kernels" or "runtime"; `triple` as in HADMC_TRIPLES of the build. */
struct embedded embedded_bitcode(const char *name, const char *triple);

/* "runner": the program that is linked with a model to run it (runner_link.c), as an
 * object file per triple. */
struct embedded embedded_object(const char *name, const char *triple);

/* `path` relative to the source tree: "kernels/k_conv.c", "runtime/hadm.h". */
struct embedded embedded_source(const char *path);

#endif /* HADMC_CODEGEN_EMBEDDED_H */
