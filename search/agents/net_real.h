/* SPDX-License-Identifier: Apache-2.0 */
/* The element type of networks, and what differs between floats and doubles.
 *
 * All of this folder computes in `real`.  It is compiled twice (CMakeLists.txt): as
 * floats for use, as doubles for the tests that compare every gradient with finite
 * differences.  So the code that is checked is the code that runs.
 */
#ifndef HADMC_SEARCH_AGENTS_NET_REAL_H
#define HADMC_SEARCH_AGENTS_NET_REAL_H

#include <math.h>

#include "support/blas.h"

#ifdef AGENTS_DOUBLE
typedef double real;
#define real_gemm blas_dgemm
#define real_exp  exp
#define real_log  log
#define real_tanh tanh
#define real_sqrt sqrt
#else
typedef float real;
#define real_gemm blas_sgemm
#define real_exp  expf
#define real_log  logf
#define real_tanh tanhf
#define real_sqrt sqrtf
#endif

/* Elements of the widest vector, of 64 bytes; arrays that are read as vectors are
 * padded to whole ones. */
enum { REAL_LANES = 64 / (int)sizeof(real) };

/* n rounded up to whole vectors. */
static inline int real_padded(int n)
{
    return (n + REAL_LANES - 1) / REAL_LANES * REAL_LANES;
}

static inline real real_clamp(real x, real low, real high)
{
    return x < low ? low : x > high ? high : x;
}

static inline real real_sigmoid(real x)
{
    return 1 / (1 + real_exp(-x));
}

#endif /* HADMC_SEARCH_AGENTS_NET_REAL_H */
