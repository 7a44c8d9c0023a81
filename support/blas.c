/* SPDX-License-Identifier: Apache-2.0 */
/* OpenBLAS, loaded when it is first needed: see blas.h.
 *
 * It chooses its kernels while it is being loaded, and the version in Debian 12 takes a
 * processor that it does not know for an older one: Zen 5 becomes Haswell, at half the
 * speed.  So the choice is made here, before dlopen.
 */
#include <assert.h>
#include <cblas.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "support/blas.h"
#include "support/cpu_level.h"

#define LIBRARY "libopenblas.so.0"

static_assert(sizeof(blasint) == sizeof(int), "the library with 32-bit sizes");

/* A LAPACK routine on one triangle of a matrix, as Fortran passes it. */
typedef void triangle_fn(const char *triangle, const int *n, double *a, const int *lda,
                         int *info, size_t triangle_len);

/* Right sides for such a matrix. */
typedef void solve_fn(const char *triangle, const int *n, const int *m, const double *a,
                      const int *lda, double *b, const int *ldb, int *info,
                      size_t triangle_len);

/*        name in the library        its type */
#define FUNCTIONS(F)                                                                   \
    F(cblas_sgemm, __typeof__(cblas_sgemm))                                            \
    F(cblas_dgemm, __typeof__(cblas_dgemm))                                            \
    F(cblas_ssyrk, __typeof__(cblas_ssyrk))                                            \
    F(cblas_dsyrk, __typeof__(cblas_dsyrk))                                            \
    F(dpotrf_, triangle_fn)                                                            \
    F(dpotri_, triangle_fn)                                                            \
    F(dpotrs_, solve_fn)                                                               \
    F(openblas_set_num_threads, __typeof__(openblas_set_num_threads))                  \
    F(openblas_get_corename, __typeof__(openblas_get_corename))

static struct {
#define MEMBER(name, type) type *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
} blas;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char why_not[256]; /* empty after success */

static const char *core_type(void)
{
    return cpu_level() == CPU_V4 ? "SkylakeX" : NULL;
}

/* A user's choice whose kernels would end the program here. */
static bool needs_more(const char *core)
{
    static const char *const wide[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};

    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (core && strcasecmp(core, wide[i]) == 0)
            return cpu_level() < CPU_V4;
    return false;
}

/* dlsym gives data pointers; POSIX promises that they hold a function's address. */
static void find(void *library, const char *name, void *function)
{
    void *const address = dlsym(library, name);

    if (!address && !*why_not)
        snprintf(why_not, sizeof why_not, LIBRARY " has no %s", name);
    memcpy(function, &address, sizeof address);
}

/* The library keeps a buffer for calls, made by the first one, and without room for it
 * tries again for ever. */
static void make_buffer(void)
{
    enum { BUFFER_BYTES = (128 << 20) + (64 << 10) }; /* and its alignment */
    void *at = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const float a = 0;
    float c = 0;

    if (at == MAP_FAILED) {
        snprintf(why_not, sizeof why_not, "no memory for its buffer of 128 MiB");
        return;
    }
    munmap(at, BUFFER_BYTES);
    blas.cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, 1, 1, 1, &a, 1, 0, &c, 1);
}

static void load(void)
{
    if (needs_more(getenv("OPENBLAS_CORETYPE")))
        unsetenv("OPENBLAS_CORETYPE");
    if (core_type())
        setenv("OPENBLAS_CORETYPE", core_type(), 0);
    setenv("OPENBLAS_NUM_THREADS", "1", 1); /* or it starts threads while loading */

    void *const library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        snprintf(why_not, sizeof why_not, "%s", dlerror());
        return;
    }
#define FIND(name, type) find(library, #name, &blas.name);
    FUNCTIONS(FIND)
#undef FIND
    if (*why_not)
        return;
    blas.openblas_set_num_threads(1);
    make_buffer();
}

struct status *blas_open(void)
{
    pthread_once(&once, load);
    return *why_not ? FAIL(UNSUPPORTED, "OpenBLAS is needed: %s", why_not) : OK;
}

const char *blas_core(void)
{
    return blas.openblas_get_corename();
}

static int size(int64_t n)
{
    assert(n >= 0 && n <= INT_MAX);
    return (int)n;
}

/* The library refuses a distance of 0, which matrices without columns have. */
static int stride(int64_t ld)
{
    return size(ld > 0 ? ld : 1);
}

static enum CBLAS_TRANSPOSE transpose(enum blas_form form)
{
    return form == BLAS_TRANSPOSED ? CblasTrans : CblasNoTrans;
}

void blas_sgemm(enum blas_form form_a, enum blas_form form_b, int64_t m, int64_t n,
                int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                int64_t ldb, float beta, float *c, int64_t ldc)
{
    blas.cblas_sgemm(CblasRowMajor, transpose(form_a), transpose(form_b), size(m),
                     size(n), size(k), alpha, a, stride(lda), b, stride(ldb), beta, c,
                     stride(ldc));
}

void blas_dgemm(enum blas_form form_a, enum blas_form form_b, int64_t m, int64_t n,
                int64_t k, double alpha, const double *a, int64_t lda, const double *b,
                int64_t ldb, double beta, double *c, int64_t ldc)
{
    blas.cblas_dgemm(CblasRowMajor, transpose(form_a), transpose(form_b), size(m),
                     size(n), size(k), alpha, a, stride(lda), b, stride(ldb), beta, c,
                     stride(ldc));
}

void blas_ssyrk(enum blas_form form, int64_t n, int64_t k, float alpha, const float *a,
                int64_t lda, float beta, float *c, int64_t ldc)
{
    blas.cblas_ssyrk(CblasRowMajor, CblasUpper, transpose(form), size(n), size(k),
                     alpha, a, stride(lda), beta, c, stride(ldc));
}

void blas_dsyrk(enum blas_form form, int64_t n, int64_t k, double alpha,
                const double *a, int64_t lda, double beta, double *c, int64_t ldc)
{
    blas.cblas_dsyrk(CblasRowMajor, CblasUpper, transpose(form), size(n), size(k),
                     alpha, a, stride(lda), beta, c, stride(ldc));
}

void blas_smirror(int64_t n, float *c, int64_t ldc)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            c[i * ldc + j] = c[j * ldc + i];
}

void blas_dmirror(int64_t n, double *c, int64_t ldc)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            c[i * ldc + j] = c[j * ldc + i];
}

/* Fortran's lower triangle is the upper one of rows.  A NaN among the pivots of a
 * factor may pass the library's test, but leaves one on the last pivot. */
static bool factor(int64_t n, double *a, int64_t lda)
{
    const int size_n = size(n), size_lda = stride(lda);
    int info = 0;

    blas.dpotrf_("L", &size_n, a, &size_lda, &info, 1);
    return info == 0 && (n == 0 || a[(n - 1) * lda + n - 1] > 0);
}

bool blas_cholesky(int64_t n, double *a, int64_t lda)
{
    if (!factor(n, a, lda))
        return false;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < i; j++)
            a[i * lda + j] = 0;
    return true;
}

bool blas_inverse(int64_t n, double *a, int64_t lda)
{
    const int size_n = size(n), size_lda = stride(lda);
    int info = 0;

    if (!factor(n, a, lda))
        return false;
    blas.dpotri_("L", &size_n, a, &size_lda, &info, 1);
    blas_dmirror(n, a, lda);
    return info == 0;
}

bool blas_solve(int64_t n, double *a, int64_t lda, int64_t m, double *b, int64_t ldb)
{
    const int size_n = size(n), size_m = size(m), size_lda = stride(lda);
    const int size_ldb = stride(ldb);
    int info = 0;

    if (!factor(n, a, lda))
        return false;
    blas.dpotrs_("L", &size_n, &size_m, a, &size_lda, b, &size_ldb, &info, 1);
    return info == 0;
}
