/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted kernels: hot loops built as LLVM IR, one function per shape.
 *
 * Each emit_X takes a numeric description of the work and an instruction set and
 * adds one internal function to the module:
 *
 *     void core(const float *in, const float *weights, const float *bias,
 *               const float *residual, float *out, uint8_t *scratch,
 *               int64_t begin, int64_t end)
 *
 * Operands that a description does not have are passed as NULL and never read.
 * Work is units [begin, end); any partition gives the same bytes.  Equal
 * descriptions give one function (the caller keeps a map).
 */
#ifndef HADMC_CODEGEN_EMIT_H
#define HADMC_CODEGEN_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "support/status.h"

/* What the emitters need to know about a processor. */
struct isa {
    const char *triple, *cpu, *features; /* for LLVM */
    int vector_bytes;   /* 64 AVX-512, 32 AVX2, 16 SSE2 and NEON */
    int n_registers;    /* vector registers: 32 or 16 */
    bool fma;           /* fused multiply-add in vectors */
    bool lane_fma;      /* multiply by one lane of a register (NEON fmla v.s[i]) */
    bool masks;         /* masked loads and stores (AVX-512) */
    bool dot;           /* sums of four products of bytes (VNNI, AVX-VNNI, dotprod) */
    bool mxcsr;         /* a mode in which subnormal numbers count as zeros (x86) */
    bool half;          /* float16 becomes float32 in one instruction (F16C, NEON) */
    bool table;         /* a register of bytes indexed by another (AVX-512 VBMI, NEON) */
    int64_t l1_bytes, l2_bytes; /* data caches of one core, for blocking */
};

/* One module under construction, with the types that emitters use all the time. */
struct emitter {
    const struct isa *isa;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMTargetMachineRef machine;
    LLVMTypeRef void_t, ptr, i1, i8, i16, i32, i64, f32, f64;
};

/* An empty module `name` of a context of its own, with triple and data layout of
 * `isa`, which is borrowed until emitter_destroy(). */
struct status *emitter_create(const struct isa *isa, const char *name,
                              struct emitter *out);
void emitter_destroy(struct emitter *e);

/* The passes that emitted kernels want: their loops are already unrolled, vectorised
 * and blocked, and `default<O2>` only makes registers scarcer.  Runs on the whole
 * module, so specialised library code is optimised in a module of its own, before
 * both are linked.  Fails if the module does not verify. */
struct status *emitter_light_passes(struct emitter *e);

/* max(x, lo), min(x, hi) and friends, applied to the finished sum. */
enum activation {
    ACT_NONE,
    ACT_RELU,       /* x > 0 ? x : 0 */
    ACT_CLIP,       /* a = lower, b = upper limit */
    ACT_LEAKY,      /* x > 0 ? x : a * x */
    ACT_HARDSWISH,  /* x * clip(x / 6 + 0.5, 0, 1) */
    ACT_HARDSIGMOID,/* clip(a * x + b, 0, 1) */
};

/* Convolution, direct.  Input element (n, c, y, x) of group g lies at
 *   n*in_n + (g*c_in + c)*in_c + y*in_y + x*in_x        (strides in elements)
 * so that NHWC and NCHW inputs are the same code; outputs are NHWC with pixel
 * stride out_x (>= total channels when written into a slice of a Concat).
 * Padding taps are skipped, never read: no border is needed in memory.
 *
 * GEMM is a convolution: C[M,N] = A[M,K] B[K,N] is h = 1, w = M, c_in = K,
 * c_out = N, kernel 1 x 1.
 *
 * Weights are packed per conv_pack(): blocks of output channels, in each
 * [kh][kw][c_in][block]; the last blocks of a group are narrower, nothing is padded.
 * 16 more floats must be readable after the last weight.  With half_weights they are
 * IEEE binary16, finite, in the same order; sums stay float32.
 *
 * Unit: one (image, group, channel block, strip of rows, part of a row); see
 * conv_units().  A 1 x 1 convolution without stride or padding whose pixels are
 * evenly spaced is one long row.
 */
struct conv {
    int64_t n, h, w;             /* images, input height and width */
    int64_t oh, ow;              /* output height and width */
    int64_t groups, c_in, c_out; /* channels per group */
    int64_t kh, kw, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
    int64_t in_n, in_c, in_y, in_x;
    int64_t out_n, out_y, out_x; /* channel stride is 1 */
    int64_t res_n, res_y, res_x; /* residual operand, channel stride 1 */
    bool half_weights;           /* binary16 */
    bool has_bias, has_residual;
    enum activation act_before;  /* applied before the residual is added */
    enum activation act;         /* applied last */
    float act_a, act_b;          /* parameters of `act`; act_before takes none */
};

static inline int64_t conv_weight_bytes(const struct conv *c)
{
    return c->half_weights ? 2 : 4;
}

/* Output channels that share a kind of tile.  With depth d, lanes hold d consecutive
 * inputs of every channel and are added up at the end: 8 channels of depth 2 fill 16
 * lanes.  Depth 1: `width` is one or more vectors. */
struct conv_piece {
    int64_t width;   /* output channels */
    int depth;
    int pixels;      /* output pixels per tile, along a row */
};

enum { CONV_TAILS = 3, CONV_TILING_FIELDS = 24 };

/* How a convolution is cut on an isa: the documented cost rule (docs/kernels.md).
 * A group's channels are as many blocks of `block` as fit, then the tails. */
struct conv_tiling {
    int64_t block;   /* output channels of a whole weight block: vectors of depth 1 */
    int vectors;     /* of a block */
    int pixels;      /* output pixels per tile */
    int n_tails;
    struct conv_piece tail[CONV_TAILS];
    int unroll;      /* input channels per iteration */
    bool swapped;    /* tiles lie along y: rows and columns change places */
    int64_t rows;    /* output rows per unit */
    int64_t chunks;  /* parts of a row that are units of their own */
    bool rows_outer; /* units: rows, then blocks (else blocks, then rows) */
    bool widened;    /* weights of binary16 become float32 once a unit, in scratch */
    bool winograd;   /* by F(4x4, 3x3), winograd.h: rows and chunks are of its tiles */
};

struct conv_tiling conv_tile(const struct conv *c, const struct isa *isa);
/* Replaces *t by Winograd's algorithm if it is worth it and needs at most `scratch`
 * bytes a worker (conv_scratch_bytes then says how many). */
bool conv_try_winograd(const struct conv *c, const struct isa *isa, int64_t scratch,
                       struct conv_tiling *t);
/* Replaces *t by one whose units widen halves in scratch, rather than at every use, if
 * that is faster and they fit into `scratch` bytes a worker. */
void conv_try_widening(const struct conv *c, const struct isa *isa, int64_t scratch,
                       struct conv_tiling *t);
int64_t conv_scratch_bytes(const struct conv *c, const struct conv_tiling *t);
/* All that code and packed weights depend on, as numbers: for keys and hashes. */
void conv_tiling_fields(const struct conv_tiling *t, int64_t out[CONV_TILING_FIELDS]);
int64_t conv_units(const struct conv *c, const struct conv_tiling *t);
/* `from` is ONNX order [groups*c_out][c_in][kh][kw]; `to` has as many floats. */
void conv_pack(const struct conv *c, const struct conv_tiling *t, const float *from,
               float *to);
LLVMValueRef emit_conv(struct emitter *e, const struct conv *c,
                       const struct conv_tiling *t, const char *name);

/* Depthwise convolution (c_in == 1 and c_out == 1 per group), NHWC, `groups`
 * channels.  Weights [kh][kw][channels].  Unit: one strip of rows of an image. */
LLVMValueRef emit_depthwise(struct emitter *e, const struct conv *c, const char *name);
int64_t depthwise_units(const struct conv *c, const struct isa *isa);
void depthwise_pack(const struct conv *c, const float *from, float *to);

/* Matrix product with both operands in activations: C[b] = A[b] B[b].
 * core(A, B, bias, residual, C, scratch, begin, end). */
struct matmul {
    int64_t batch, m, n, k;
    int64_t a_batch, a_row, a_col;  /* strides in elements; batch strides may be 0 */
    int64_t b_batch, b_row, b_col;
    int64_t c_batch, c_row;         /* column stride is 1 */
    bool has_bias;                  /* [n] */
    float alpha;                    /* scales the product */
    enum activation act;
    float act_a, act_b;
};

int64_t matmul_units(const struct matmul *m, const struct isa *isa);
int64_t matmul_scratch_bytes(const struct matmul *m, const struct isa *isa); /* a worker */
LLVMValueRef emit_matmul(struct emitter *e, const struct matmul *m, const char *name);

/* Max and average pooling over NHWC, padding skipped (average divides by the
 * number of taps inside, or by kh*kw when count_pad).  Uses groups = channels,
 * kernel, stride, pads and strides of `c`.  Unit: one row of an image. */
LLVMValueRef emit_pool(struct emitter *e, const struct conv *c, bool max, bool count_pad,
                       const char *name);
int64_t pool_units(const struct conv *c);

#endif /* HADMC_CODEGEN_EMIT_H */
