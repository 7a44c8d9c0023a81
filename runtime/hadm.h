/* SPDX-License-Identifier: Apache-2.0 */
/* The runtime core: opens a model over caller memory and runs its steps.
 *
 * It ships three ways from one source (hadm.c, weights_reader.c, sha256.c):
 * copied as static functions into the generated foo.c, linked as bitcode into
 * libfoo.a, and compiled natively into hadmcc.  Freestanding C11: no heap, no
 * stdio, no globals, nothing from libc but memcpy and memset.
 *
 * The generated code provides one constant `struct hadm_model`; the functions
 * here do the rest.  A generated header never shows these names: the model's own
 * foo_open, foo_run ... wrap them.
 */
#ifndef HADMC_RUNTIME_HADM_H
#define HADMC_RUNTIME_HADM_H

#include <stddef.h>
#include <stdint.h>

#define HADM_ABI 1

/* Set to `static` where these sources are copied into one C file. */
#ifndef HADM_API
#define HADM_API
#endif

/* The statuses of every generated foo_status enum, in this order. */
enum hadm_status {
    HADM_OK = 0,
    HADM_BAD_WEIGHTS,    /* not a weights file, truncated, or damaged            */
    HADM_OTHER_MODEL,    /* a sound weights file that belongs to other code      */
    HADM_WRONG_CPU,      /* this processor lacks a feature the code needs        */
    HADM_BAD_MEMORY,     /* workspace NULL, too small or not aligned             */
    HADM_BAD_ALIGNMENT,  /* weights not aligned to 64 bytes                      */
    HADM_DAMAGED,        /* payload digests do not match (FOO_CHECK_PAYLOAD)     */
    HADM_BAD_WORKERS,    /* more workers than the code was compiled for          */
};

/* One step's code.  `ws`: workspace, 64-byte aligned; `w`: weights payload, 64-
 * byte aligned; `io`: inputs then outputs (then dims of dynamic outputs) in the
 * caller's memory, aligned to their element; units [begin, end) of the step;
 * `worker` < n_workers picks the scratch area. */
typedef void hadm_kernel(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,
                         int64_t end, int64_t worker);

/* Caller-supplied parallelism: run body(arg, begin, end, worker) over disjoint
 * ranges that cover [0, n), on workers 0 .. n_workers-1, and return when all are
 * done.  Results never depend on how it splits. */
typedef void hadm_body(void *arg, int64_t begin, int64_t end, int64_t worker);
typedef void hadm_parallel_for(void *pool, hadm_body *body, void *arg, int64_t n,
                               int64_t grain);

enum hadm_step_kind {
    HADM_CALL,       /* run `fn` over its units                                   */
    HADM_BRANCH,     /* if the byte at ws + at is 0 continue at step `target`     */
    HADM_BRANCH_IO,  /* the same for the byte at io[n_units] + at                 */
    HADM_JUMP,       /* continue at step `target`                                 */
};

struct hadm_step {
    hadm_kernel *fn;
    int64_t n_units;
    int64_t grain;   /* least units worth giving to one worker; n_units: serial   */
    int64_t at;
    int32_t kind;
    int32_t target;
};

struct hadm_model {
    uint32_t abi;              /* HADM_ABI */
    uint32_t n_steps;
    const struct hadm_step *steps;
    uint8_t structure_hash[32];
    uint64_t payload_bytes;    /* what the weights file must hold, at least       */
    uint64_t workspace_bytes;  /* for max_workers workers                         */
    uint64_t cpu_features;     /* HADM_CPU_* bits that must be present            */
    uint32_t n_io;             /* pointers foo_run passes                         */
    uint32_t max_workers;
};

/* x86-64 and AArch64 features that generated code may rely on. */
enum {
    HADM_CPU_AVX2 = 1,         /* with FMA, F16C, BMI1/2, LZCNT, MOVBE            */
    HADM_CPU_AVX512 = 2,       /* F, BW, DQ, VL, CD                               */
    HADM_CPU_AVX512_VNNI = 4,
    HADM_CPU_AVX_VNNI = 8,
    HADM_CPU_NEON_DOTPROD = 16,
    HADM_CPU_NEON_FP16 = 32,
    HADM_CPU_AVX512_BF16 = 64,
    HADM_CPU_AVX512_ICELAKE = 128, /* IFMA, VBMI, VBMI2, BITALG, VPOPCNTDQ, GFNI  */
    HADM_CPU_SSE42 = 256,      /* with SSE3, SSSE3, SSE4.1, POPCNT                */
};

/* What the caller's `struct foo` holds; 64 bytes, opaque there. */
struct hadm_context {
    const struct hadm_model *model;
    const uint8_t *payload;
    uint8_t *workspace;
    hadm_parallel_for *parallel_for; /* NULL: the calling thread does everything  */
    void *pool;
    uint64_t n_workers;
    uint64_t reserved[2];
};

enum { HADM_CHECK_PAYLOAD = 1 }; /* flag of hadm_open */

/* Checks everything once: after HADM_OK, hadm_run cannot fail.  `weights` and
 * `workspace` are borrowed until the last hadm_run.  On failure *c is untouched. */
HADM_API enum hadm_status hadm_open(struct hadm_context *c,
                                    const struct hadm_model *model, const void *weights,
                                    size_t weights_len, void *workspace,
                                    size_t workspace_len, unsigned flags);
/* From now on steps are shared among n_workers; parallel_for NULL or n_workers 0:
 * the calling thread does everything again. */
HADM_API enum hadm_status hadm_use_workers(struct hadm_context *c,
                                           hadm_parallel_for *parallel_for, void *pool,
                                           uint64_t n_workers);
/* One inference: every step in order.  Re-entrant per context. */
HADM_API void hadm_run(const struct hadm_context *c, void *const *io);
HADM_API const char *hadm_strerror(enum hadm_status status);

/* Features of the processor this runs on (HADM_CPU_* bits); 0 elsewhere. */
HADM_API uint64_t hadm_cpu_features(void);

#endif /* HADMC_RUNTIME_HADM_H */
