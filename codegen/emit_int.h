/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted integer kernels: convolution, depthwise convolution, pools and element
 * operators on 8-bit codes.  docs/numerics.md has the arithmetic; the bytes are equal
 * on every instruction set.
 *
 * As in emit.h a description and an isa become one function
 *
 *     void core(const void *in, const void *weights, const void *epilogue,
 *               const void *residual, void *out, uint8_t *scratch,
 *               int64_t begin, int64_t end)
 *
 * over units [begin, end), any partition of which gives the same bytes.  No kernel here
 * uses scratch.  `weights` and `epilogue` are what int_X_pack() wrote.  Shapes are in
 * the code; every learned number (scales, zero points, limits, tables) is in those two
 * operands, so that they can be replaced together.  The epilogue's alignment is 4.
 *
 * Strides are in elements of the tensor in question: bytes for codes.
 */
#ifndef HADMC_CODEGEN_EMIT_INT_H
#define HADMC_CODEGEN_EMIT_INT_H

#include "codegen/emit.h"

/* ---- what every epilogue starts with ------------------------------------------ */

/* 64 bytes.  Codes are seen as uint8 throughout: those of int8 tensors, and their zero
 * points and limits, have 128 added. */
struct int_header {
    float most;          /* hi - z of the result */
    int32_t zero, least; /* z and lo of the result */
    float mid_most,
        mid_least;            /* hi - z, lo - z of a sum before its residual is added */
    float a_factor, b_factor; /* of in (after a product: of its result), of residual */
    int32_t a_zero, b_zero;
    float after; /* what an activation's result is multiplied with */
    int32_t unused[6];
};

/* A tensor of codes: real = scale (q - zero), lo <= q <= hi, in the terms of its own
 * type; lo and hi are the type's limits narrowed by a fused Relu or Clip. */
struct int_codes {
    int32_t zero, lo, hi;
};

/* ---- convolution and products with constant weights --------------------------- */

enum int_result {
    INT_CODES, /* z + rne(clamp(act((float)acc m) after)), one byte */
    INT_FLOAT, /* act((float)acc m) */
    INT_ACC,   /* acc, int32; m is not used */
};

struct int_conv {
    struct conv shape; /* has_bias and act_before are not used; act is done to the
                          scaled sum, and has_residual is the fused Add after it, whose
                          operand has one byte an element */
    bool has_after;    /* act is done in other steps than the result's */
    bool has_slopes;   /* act is ACT_LEAKY with a slope for each channel */
    bool in_signed, out_signed, residual_signed; /* int8, else uint8 */
    bool weight_zeros; /* weights have zero points other than 0 */
    bool even_bias;    /* int_conv_zero() is 0: one bias serves all outputs */
    int weight_bits;   /* 8, or 4: codes -8..7, two a byte */
    enum int_result result;
};

/* How four neighbouring inputs of a channel and their weights are multiplied. */
enum int_form {
    INT_DOT_US, /* one instruction, inputs unsigned, weights signed (x86 VNNI) */
    INT_DOT_SU, /* the same for signed inputs: weights have 128 added, which is taken
                   back with the sum of the window */
    INT_DOT_SS, /* both signed (NEON dotprod); unsigned inputs are flipped */
    INT_PAIR,   /* two at a time in 16 bits (x86 pmaddwd) */
    INT_LANE,   /* one at a time, by lane, in 16 bits (NEON smlal) */
    INT_BYTES,  /* two bytes at a time, summed in 16 bits over a few steps: weights of 4
                   bits only (AVX2 vpmaddubsw); signed inputs are flipped */
};

/* How an integer convolution is cut: int_tile().  A block is `vectors` vectors of
 * `lanes` output channels.  What is left of a group's channels is one more block, whose
 * last vector may be narrower.  Channels that do not exist have zeros as weights, so a
 * group of any size is padded to a multiple of four. */
struct int_tiling {
    enum int_form form;
    int lanes;
    int vectors, pixels;                       /* of whole blocks */
    int tail_vectors, tail_lanes, tail_pixels; /* tail_lanes: of its last vector, */
    int tail_depth; /* which, above 1, is as wide as the others: lanes hold so many
                       steps of every channel; 1: it is narrow */
    int unroll;     /* steps of four inputs */
    bool swapped;   /* as in struct conv_tiling */
    int64_t rows, chunks;
    bool rows_outer;
};

enum { INT_TILING_FIELDS = 13 };

/* The learned numbers of a convolution, in the model's order and types. */
struct int_learned {
    const int8_t *weights; /* [groups * c_out][c_in][kh][kw]; codes of uint8 weights
                              less 128, and their zero points too */
    const int32_t *weight_zero; /* NULL, or one for each of n_weight_zero channels: */
    int64_t n_weight_zero;      /* 1, or all */
    const int32_t *bias;        /* NULL, or one a channel */
    const float *m;             /* one a channel; not read for INT_ACC */
    float after;                /* with has_after */
    const float *slope;         /* one a channel, with has_slopes */
    int32_t in_zero;
    struct int_codes out;  /* of the result; only for INT_CODES */
    struct int_codes mid;  /* fused Add: of the convolution's own result ... */
    float mid_factor;      /* ... (float)(s_mid / s_out) */
    float residual_factor; /* (float)(s_residual / s_out) */
    int32_t residual_zero;
};

/* Unsigned inputs cost less than signed ones: INT_DOT_SU corrects, INT_BYTES flips. */
bool int_prefers_unsigned(const struct isa *isa);

struct int_tiling int_tile(const struct int_conv *c, const struct isa *isa);
/* All that code and packed bytes depend on, as numbers: for keys and hashes. */
void int_tiling_fields(const struct int_tiling *t, int64_t out[INT_TILING_FIELDS]);
int64_t int_conv_units(const struct int_conv *c, const struct int_tiling *t);
/* 4-bit sums are kept times 16 and must not wrap: false if these could, and the weights
 * have to be unpacked to 8 bits first. */
bool int_conv_fits_4_bits(const struct int_conv *c);

/* The zero point of inputs, in_zero in the model's terms, as the form of multiplication
 * has it: what padding is worth.  Of a depthwise convolution: int_depthwise_zero(). */
int32_t int_conv_zero(const struct int_conv *c, const struct isa *isa, int32_t in_zero);
int32_t int_depthwise_zero(const struct int_conv *c, const struct isa *isa,
                           int32_t in_zero);

/* Bytes of the two packed operands, and the packer.  The epilogue is
 *
 *     struct int_header
 *     float   m[channels]                  unless INT_ACC
 *     float   slope[channels]              with has_slopes
 *     int32_t weight_zero[channels]        with weight_zeros
 *     int32_t bias[row classes][column classes][channels]
 *
 * with channels in the order of the vectors' lanes (int_channel_at(), int_shape.h).  A
 * bias is b - z_x sum(w - z_w) over the taps inside of the input: padding has the code
 * z_x, counts nothing and is skipped.  There is a class for every row and column of
 * outputs that lacks taps, and one for all others; with even_bias one in all. */
int64_t int_conv_weight_bytes(const struct int_conv *c, const struct int_tiling *t);
int64_t int_conv_epilogue_bytes(const struct int_conv *c, const struct int_tiling *t);
void int_conv_pack(const struct int_conv *c, const struct int_tiling *t,
                   const struct int_learned *from, uint8_t *weights, uint8_t *epilogue);

/* Inputs have any strides (planar images too), outputs and residual channel stride 1.
 * core(in, weights, epilogue, residual, out, ...); residual and out may be the same
 * memory, with the same strides. */
LLVMValueRef emit_int_conv(struct emitter *e, const struct int_conv *c,
                           const struct int_tiling *t, const char *name);

/* ---- depthwise convolution ---------------------------------------------------- */

/* c_in and c_out are 1 a group, inputs and outputs NHWC, weights of 8 bits, results
 * codes (weight_bits and result say so).  Otherwise as above; the epilogue is header,
 * m, slopes and bias, and weight_zeros are subtracted by the packer. */
enum { INT_DEPTHWISE_FIELDS = 7 };
/* What packed bytes depend on beside the description: for hashes. */
void int_depthwise_fields(const struct int_conv *c, const struct isa *isa,
                          int64_t out[INT_DEPTHWISE_FIELDS]);
int64_t int_depthwise_units(const struct int_conv *c, const struct isa *isa);
int64_t int_depthwise_weight_bytes(const struct int_conv *c, const struct isa *isa);
int64_t int_depthwise_epilogue_bytes(const struct int_conv *c, const struct isa *isa);
void int_depthwise_pack(const struct int_conv *c, const struct isa *isa,
                        const struct int_learned *from, uint8_t *weights,
                        uint8_t *epilogue);
LLVMValueRef emit_int_depthwise(struct emitter *e, const struct int_conv *c,
                                const char *name);

/* ---- element operators -------------------------------------------------------- */

enum int_op {
    INT_ADD, /* (float)(q_a - z_a) a + (float)(q_b - z_b) b */
    INT_SUB,
    INT_MUL,   /* (float)((q_a - z_a)(q_b - z_b)) a */
    INT_SCALE, /* (float)(q_a - z_a) a: a copy in another scale */
    INT_TABLE, /* entry q_a of a table of 256 */
};

/* `n` blocks of `rows` rows of `columns` elements.  Element (i, y, x) of a tensor is at
 * i * t_n + y * t_row + x; strides of 0 repeat a block or a row (of the second operand:
 * one code a channel), and so does b_one a single element. */
struct int_elements {
    enum int_op op;
    int64_t n, rows, columns;
    int64_t a_n, a_row, b_n, b_row, out_n, out_row;
    bool b_one;
    bool a_signed, b_signed, out_signed;
};

struct int_operands {
    float a_factor, b_factor; /* a: s_a / s_y, of INT_MUL s_a s_b / s_y; b: s_b / s_y */
    int32_t a_zero, b_zero;
    struct int_codes out;
};

int64_t int_elements_units(const struct int_elements *c);
/* The epilogue is a struct int_header, of INT_TABLE 256 bytes. */
int64_t int_elements_epilogue_bytes(const struct int_elements *c);
void int_elements_pack(const struct int_elements *c, const struct int_operands *from,
                       uint8_t *epilogue);
/* table[i] is the result for code i, or i - 128 where a is signed. */
void int_table_pack(const struct int_elements *c, const int32_t table[256],
                    uint8_t *epilogue);
/* core(a, NULL, epilogue, b, out, ...); a, b and out may be the same memory, with the
 * same strides. */
LLVMValueRef emit_int_elements(struct emitter *e, const struct int_elements *c,
                               const char *name);

/* ---- pools ---------------------------------------------------------------------- */

/* Over NHWC as emit_pool(); groups of `shape` are the channels.  The largest code,
 * which padding never is (of no codes: the type's least one), or z_y +
 * rne(clamp((float)(sum of q - z_x) m)) with m = (float)(s_x / (s_y count)). */
struct int_pool {
    struct conv shape;
    bool max, in_signed, out_signed; /* max: out_signed is in_signed */
    bool count_pad;                  /* average: padding counts, as far as it goes: */
    int64_t pad_bottom, pad_right;
};

int64_t int_pool_units(const struct int_pool *c, const struct isa *isa);
/* Of an average: a struct int_header and for every class of outputs, rows outermost,
 * its bias (-z_x times the taps inside of the input) and its m.  None of a maximum: 0.
 */
int64_t int_pool_epilogue_bytes(const struct int_pool *c);
void int_pool_pack(const struct int_pool *c, double in_scale, int32_t in_zero,
                   double out_scale, const struct int_codes *out, uint8_t *epilogue);
/* core(in, NULL, epilogue, NULL, out, ...). */
LLVMValueRef emit_int_pool(struct emitter *e, const struct int_pool *c,
                           const char *name);

#endif /* HADMC_CODEGEN_EMIT_INT_H */
