/* SPDX-License-Identifier: Apache-2.0 */
/* Speed of emitted kernels against what this core can do at that moment.
 *
 *     bench-kernels [resnet|mobile|random] [--only TEXT] [--rounds N] [--isa N]
 *                   [--tile PxV] [--rows N] [--winograd] [--int8] [--signed] [--bits 4]
 *                   [--conv h,w,groups,c_in,c_out,kh,kw,sy,sx,dy,dx,py,px]
 *
 * The machine may be shared and its clock moves, so every sample is taken between two
 * bursts of register-only multiply-adds, and what counts is the ratio.  Times are CPU
 * time of the thread.  Multiply-accumulates are nominal: padding counts.
 *
 * `random` compares with the roofline: the larger of arithmetic at peak and of moving
 * input, weights and output once at the read bandwidth of the cache level they fit.
 *
 * --int8: codes instead of floats; the burst is of the instructions that integer
 * kernels are made of (vpdpbusd where there is one).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codegen/conv_shape.h"
#include "codegen/emit_build.h"
#include "codegen/int_shape.h"
#include "codegen/emit_int_build.h"
#include "tests/int_jit.h"

enum { GROUP = 5, MAX_ROUNDS = 100 };

struct options {
    const char *set, *only;
    int rounds, pixels, vectors, rows;
    bool winograd; /* where it pays; all else is direct */
    bool int8, is_signed;
    int bits; /* of integer weights */
    const struct isa *isa;
};

/* ---- the machine ------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { PEAK_SUMS = 24, READ_BYTES = 512 };

/* As many sums as registers hold beside their two factors. */
static int peak_sums(const struct isa *isa)
{
    return isa->n_registers > 16 ? PEAK_SUMS : 12;
}

/* core: [begin, end) rounds of independent multiply-adds. */
static void emit_peak(struct emitter *e)
{
    LLVMValueRef f = emit_core(e, "peak"), sum[PEAK_SUMS];
    const int lanes = emit_lanes(e), n = peak_sums(e->isa);
    LLVMTypeRef type = emit_vector(e, lanes);
    LLVMValueRef a = emit_load(e, type, LLVMGetParam(f, CORE_IN));
    LLVMValueRef b = emit_load(e, type, LLVMGetParam(f, CORE_WEIGHTS));
    struct emit_loop l = {0};

    for (int i = 0; i < n; i++)
        sum[i] = emit_constant(e, (float)i, lanes);
    emit_loop_begin(e, &l, LLVMGetParam(f, CORE_BEGIN), LLVMGetParam(f, CORE_END), 1, sum,
                    n);
    for (int i = 0; i < n; i++)
        sum[i] = emit_multiply_add(e, a, b, sum[i]);
    emit_loop_end(e, &l, sum);
    for (int i = 0; i < n; i++)
        emit_store(e, sum[i], emit_at(e, LLVMGetParam(f, CORE_OUT), i * lanes * 4));
    LLVMBuildRetVoid(e->builder);
}

/* The same of codes. */
static void emit_int_peak(struct emitter *e)
{
    LLVMValueRef f = emit_core(e, "peak"), sum[PEAK_SUMS];
    const int lanes = emit_lanes(e), n = peak_sums(e->isa);
    LLVMTypeRef type = int_vector(e, e->i32, lanes);
    LLVMTypeRef words = int_vector(e, e->i16, 2 * lanes);
    LLVMValueRef a = int_load(e, type, LLVMGetParam(f, CORE_IN));
    LLVMValueRef b = int_load(e, type, LLVMGetParam(f, CORE_WEIGHTS));
    struct emit_loop l = {0};

    for (int i = 0; i < n; i++)
        sum[i] = int_splat(e, e->i32, i, lanes);
    emit_loop_begin(e, &l, LLVMGetParam(f, CORE_BEGIN), LLVMGetParam(f, CORE_END), 1, sum,
                    n);
    for (int i = 0; i < n; i++)
        sum[i] = e->isa->dot
                   ? int_dot(e, sum[i], a, b)
                   : LLVMBuildAdd(e->builder, sum[i],
                                  int_pair(e, int_cast(e, sum[i], words),
                                           int_cast(e, b, words)), "");
    emit_loop_end(e, &l, sum);
    for (int i = 0; i < n; i++)
        int_store(e, sum[i], emit_at(e, LLVMGetParam(f, CORE_OUT), i * lanes * 4));
    LLVMBuildRetVoid(e->builder);
}

/* core: reads READ_BYTES at each of the blocks [begin, end) of `in`. */
static void emit_read(struct emitter *e)
{
    LLVMValueRef f = emit_core(e, "read"), sum[4];
    const int lanes = emit_lanes(e);
    struct emit_loop l = {0};

    for (int i = 0; i < 4; i++)
        sum[i] = emit_constant(e, 0.0f, lanes);
    emit_loop_begin(e, &l, LLVMGetParam(f, CORE_BEGIN), LLVMGetParam(f, CORE_END), 1, sum,
                    4);
    LLVMValueRef p = emit_at_value(e, LLVMGetParam(f, CORE_IN),
                                   emit_mul(e, l.at, READ_BYTES));
    for (int i = 0; i < READ_BYTES / 4 / lanes; i++)
        sum[i % 4] = LLVMBuildFAdd(e->builder, sum[i % 4],
                                   emit_load(e, emit_vector(e, lanes),
                                             emit_at(e, p, i * lanes * 4)), "");
    emit_loop_end(e, &l, sum);
    for (int i = 0; i < 4; i++)
        emit_store(e, sum[i], emit_at(e, LLVMGetParam(f, CORE_OUT), i * lanes * 4));
    LLVMBuildRetVoid(e->builder);
}

struct machine {
    struct jit jit;
    core_fn *peak, *read;
    double flops_per_round;
    double l2_rate, l3_rate, memory_rate; /* bytes a second */
};

static double peak_rate(const struct machine *m)
{
    static float ones[64], out[64 * PEAK_SUMS];
    const int64_t rounds = 20000;
    const double start = cpu_seconds();

    m->peak(ones, ones, NULL, NULL, out, NULL, 0, rounds);
    return m->flops_per_round * (double)rounds / (cpu_seconds() - start);
}

static double read_rate(const struct machine *m, int64_t bytes)
{
    static float out[256];
    float *data = aligned_alloc(64, (size_t)bytes);
    double best = 0;

    memset(data, 0, (size_t)bytes);
    for (int i = 0; i < 7; i++) {
        const int64_t n = bytes / READ_BYTES;
        const double start = cpu_seconds();
        const int64_t repeat = 1 + (1 << 24) / bytes;

        for (int64_t r = 0; r < repeat; r++)
            m->read(data, NULL, NULL, NULL, out, NULL, 0, n);
        const double rate = (double)(bytes * repeat) / (cpu_seconds() - start);

        best = rate > best ? rate : best;
    }
    free(data);
    return best;
}

static struct machine machine_open(const struct isa *isa, bool int8)
{
    struct machine m = {.jit = jit_open(isa)};

    if (int8)
        emit_int_peak(&m.jit.emitter);
    else
        emit_peak(&m.jit.emitter);
    emit_read(&m.jit.emitter);
    jit_finish(&m.jit);
    m.peak = jit_find(&m.jit, "peak");
    m.read = jit_find(&m.jit, "read");
    m.flops_per_round = 2.0 * peak_sums(isa) * isa->vector_bytes / 4;
    if (int8)
        m.flops_per_round *= isa->dot ? 4 : 2;
    m.l2_rate = read_rate(&m, isa->l2_bytes / 2);
    m.l3_rate = read_rate(&m, 8 << 20);
    m.memory_rate = read_rate(&m, 96 << 20);
    return m;
}

/* ---- one kernel -------------------------------------------------------------- */

struct job {
    char name[96];
    struct conv c;
    bool depthwise;
};

struct sample {
    double flops, of_peak, of_roof;
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The best median of GROUP neighbouring rounds: other work on the machine comes and
 * goes, and only ever takes away. */
static double best_median(const double *v, int n)
{
    double best = 0, group[GROUP];

    for (int at = 0; at + GROUP <= n; at += GROUP) {
        memcpy(group, v + at, sizeof group);
        qsort(group, GROUP, sizeof *group, compare);
        best = fmax(best, group[GROUP / 2]);
    }
    return best;
}

static float *operand(int64_t n)
{
    const size_t bytes = ((size_t)n * 4 + 64 + 63) / 64 * 64;
    float *p = aligned_alloc(64, bytes);

    for (size_t i = 0; i < bytes / 4; i++)
        p[i] = (float)((int)(i * 2654435761u >> 20) % 256 - 128) / 128;
    return p;
}

static double flops_of(const struct conv *c)
{
    return 2.0 * (double)(c->n * c->oh * c->ow * c->groups)
         * (double)(c->c_out * c->c_in * c->kh * c->kw);
}

static double bytes_of(const struct conv *c)
{
    return (double)(c->n * c->h * c->w) * (double)(c->groups * c->c_in)
         + (double)(c->groups * c->c_out) * (double)(c->c_in * c->kh * c->kw)
         + (double)(c->n * c->oh * c->ow) * (double)(c->groups * c->c_out);
}

/* Seconds below which nobody gets at `peak` operations a second. */
static double roof_seconds(const struct machine *m, const struct options *o,
                           const struct conv *c, double peak)
{
    const double bytes = bytes_of(c) * (o->int8 ? 1 : 4);
    const double l2 = (double)m->jit.emitter.isa->l2_bytes;
    const double rate = bytes < l2 ? m->l2_rate
                      : bytes < 16e6 ? m->l3_rate : m->memory_rate;
    const double move = bytes / rate, multiply = flops_of(c) / peak;

    return move > multiply ? move : multiply;
}

/* How a job is cut. */
struct cut {
    struct conv_tiling t;
    struct int_tiling i;
};

/* A kernel, compiled, and its operands. */
struct ready {
    struct jit jit;
    core_fn *core;
    float *in, *onnx, *weights, *bias, *out, *scratch;
    int64_t units;
};

static void prepare_floats(struct ready *r, const struct options *o,
                           const struct job *job, struct conv_tiling *t)
{
    const struct conv *c = &job->c;
    const int64_t n_weights = c->groups * c->c_out * c->c_in * c->kh * c->kw;

    r->in = operand(c->n * c->h * c->w * c->groups * c->c_in);
    r->onnx = operand(n_weights);
    r->weights = operand(n_weights);
    r->bias = operand(c->groups * c->c_out);
    r->out = operand(c->n * c->oh * c->ow * c->groups * c->c_out);
    *t = conv_tile(c, o->isa);
    if (o->pixels) {
        t->pixels = o->pixels;
        t->vectors = o->vectors;
        t->block = o->vectors * o->isa->vector_bytes / 4;
        t->n_tails = c->c_out % t->block > 0;
        t->tail[0] = (struct conv_piece){c->c_out % t->block, 1, o->pixels};
    }
    if (o->rows)
        t->rows = o->rows;
    if (o->winograd)
        conv_try_winograd(c, o->isa, INT64_MAX, t);
    if (job->depthwise) {
        depthwise_pack(c, r->onnx, r->weights);
        emit_depthwise(&r->jit.emitter, c, "core");
        r->units = depthwise_units(c, o->isa);
    } else {
        conv_pack(c, t, r->onnx, r->weights);
        emit_conv(&r->jit.emitter, c, t, "core");
        r->units = conv_units(c, t);
        r->scratch = operand(conv_scratch_bytes(c, t) / 4);
    }
}

/* Numbers of which results depend, but not times. */
static struct int_learned some_numbers(const struct conv *c, const float *weights)
{
    const int64_t channels = c->groups * c->c_out;
    float *m = malloc((size_t)channels * sizeof *m);

    for (int64_t i = 0; i < channels; i++)
        m[i] = 1e-4f;
    return (struct int_learned){
        .weights = (const int8_t *)weights,
        .m = m,
        .in_zero = 3,
        .out = {7, 7, 127},
    };
}

static void prepare_codes(struct ready *r, const struct options *o,
                          const struct job *job, struct int_tiling *t)
{
    const struct int_conv c = {
        .shape = job->c, .in_signed = o->is_signed, .out_signed = o->is_signed,
        .weight_bits = o->bits,
    };
    const struct conv *s = &c.shape;
    const struct int_learned from =
        some_numbers(s, r->onnx = operand(s->groups * s->c_out * s->c_in * s->kh * s->kw));

    r->in = operand(s->n * s->h * s->w * s->groups * s->c_in / 4 + 1);
    r->out = operand(s->n * s->oh * s->ow * s->groups * s->c_out / 4 + 1);
    if (job->depthwise) {
        r->weights = operand(int_depthwise_weight_bytes(&c, o->isa) / 4 + 1);
        r->bias = operand(int_depthwise_epilogue_bytes(&c, o->isa) / 4);
        int_depthwise_pack(&c, o->isa, &from, (uint8_t *)r->weights, (uint8_t *)r->bias);
        emit_int_depthwise(&r->jit.emitter, &c, "core");
        r->units = int_depthwise_units(&c, o->isa);
        free((float *)from.m);
        return;
    }
    *t = int_tile(&c, o->isa);
    if (o->pixels) {
        t->pixels = t->tail_pixels = o->pixels;
        t->vectors = o->vectors;
        t->tail_vectors = (int)((s->c_out % int_block_width(t) + t->lanes - 1) / t->lanes);
        t->tail_lanes = t->lanes;
    }
    if (o->rows)
        t->rows = o->rows;
    r->weights = operand(int_conv_weight_bytes(&c, t) / 4);
    r->bias = operand(int_conv_epilogue_bytes(&c, t) / 4);
    int_conv_pack(&c, t, &from, (uint8_t *)r->weights, (uint8_t *)r->bias);
    emit_int_conv(&r->jit.emitter, &c, t, "core");
    r->units = int_conv_units(&c, t);
    free((float *)from.m);
}

static void run_once(const struct ready *r)
{
    r->core(r->in, r->weights, r->bias, NULL, r->out, (uint8_t *)r->scratch, 0, r->units);
}

static struct sample time_kernel(const struct machine *m, const struct options *o,
                                 const struct ready *r, const struct conv *c)
{
    double of_peak[MAX_ROUNDS], of_roof[MAX_ROUNDS];
    const double flops = flops_of(c);
    const int repeat = 1 + (int)((o->int8 ? 2.4e8 : 6e7) / flops);
    struct sample s = {0};

    run_once(r);
    for (int i = 0; i < o->rounds; i++) {
        const double before = peak_rate(m), start = cpu_seconds();

        for (int k = 0; k < repeat; k++)
            run_once(r);
        const double seconds = (cpu_seconds() - start) / repeat;
        const double peak = fmax(before, peak_rate(m));

        of_peak[i] = flops / seconds / peak;
        of_roof[i] = roof_seconds(m, o, c, peak) / seconds;
        if (flops / seconds > s.flops)
            s.flops = flops / seconds;
    }
    s.of_peak = best_median(of_peak, o->rounds);
    s.of_roof = best_median(of_roof, o->rounds);
    return s;
}

static struct sample measure(const struct machine *m, const struct options *o,
                             const struct job *job, struct cut *cut)
{
    struct ready r = {.jit = jit_open(o->isa)};

    if (o->int8)
        prepare_codes(&r, o, job, &cut->i);
    else
        prepare_floats(&r, o, job, &cut->t);
    jit_finish(&r.jit);
    r.core = jit_find(&r.jit, "core");
    const struct sample s = time_kernel(m, o, &r, &job->c);

    jit_close(&r.jit);
    free(r.in);
    free(r.onnx);
    free(r.weights);
    free(r.bias);
    free(r.out);
    free(r.scratch);
    return s;
}

/* ---- the shapes -------------------------------------------------------------- */

static void set_strides(struct conv *c, bool planar)
{
    const int64_t in = c->groups * c->c_in, out = c->groups * c->c_out;

    c->in_x = planar ? 1 : in;
    c->in_c = planar ? c->h * c->w : 1;
    c->in_y = c->w * c->in_x;
    c->in_n = c->h * c->w * in;
    c->out_x = c->res_x = out;
    c->out_y = c->res_y = c->ow * out;
    c->out_n = c->res_n = c->oh * c->ow * out;
}

static struct job make_job(int64_t c_in, int64_t size, int64_t c_out, int64_t k,
                           int64_t stride, int64_t groups)
{
    const int64_t out = (size + stride - 1) / stride;
    struct job j = {
        .c = {
            .n = 1, .h = size, .w = size, .oh = out, .ow = out, .groups = groups,
            .c_in = c_in / groups, .c_out = c_out / groups, .kh = k, .kw = k,
            .stride_y = stride, .stride_x = stride, .dilation_y = 1, .dilation_x = 1,
            .pad_top = (k - 1) / 2, .pad_left = (k - 1) / 2, .has_bias = true,
            .act = ACT_RELU,
        },
        .depthwise = groups > 1 && groups == c_in && groups == c_out,
    };

    if (size == 1)
        j.c.pad_top = j.c.pad_left = 0;
    set_strides(&j.c, c_in == 3);
    snprintf(j.name, sizeof j.name, "%s%ldx%ld %ld->%ld %ldx%ld s%ld",
             j.depthwise ? "dw " : "", (long)size, (long)size, (long)c_in, (long)c_out,
             (long)k, (long)k, (long)stride);
    return j;
}

/* c_in, input size, c_out, kernel, stride, groups. */
static const int resnet[][6] = {
    {3, 224, 64, 7, 2, 1},     {64, 56, 64, 3, 1, 1},     {64, 56, 128, 3, 2, 1},
    {128, 28, 128, 3, 1, 1},   {64, 56, 128, 1, 2, 1},    {128, 28, 256, 3, 2, 1},
    {256, 14, 256, 3, 1, 1},   {128, 28, 256, 1, 2, 1},   {256, 14, 512, 3, 2, 1},
    {512, 7, 512, 3, 1, 1},    {256, 14, 512, 1, 2, 1},   {64, 56, 64, 1, 1, 1},
    {64, 56, 256, 1, 1, 1},    {256, 56, 64, 1, 1, 1},    {256, 56, 128, 1, 1, 1},
    {128, 56, 128, 3, 2, 1},   {128, 28, 512, 1, 1, 1},   {256, 56, 512, 1, 2, 1},
    {512, 28, 128, 1, 1, 1},   {512, 28, 256, 1, 1, 1},   {256, 28, 256, 3, 2, 1},
    {256, 14, 1024, 1, 1, 1},  {512, 28, 1024, 1, 2, 1},  {1024, 14, 256, 1, 1, 1},
    {1024, 14, 512, 1, 1, 1},  {512, 14, 512, 3, 2, 1},   {512, 7, 2048, 1, 1, 1},
    {1024, 14, 2048, 1, 2, 1}, {2048, 7, 512, 1, 1, 1},
};

static const int mobile[][6] = {
    {3, 224, 32, 3, 2, 1},     {32, 112, 32, 3, 1, 32},   {32, 112, 16, 1, 1, 1},
    {16, 112, 96, 1, 1, 1},    {96, 112, 96, 3, 2, 96},   {96, 56, 24, 1, 1, 1},
    {24, 56, 144, 1, 1, 1},    {144, 56, 144, 3, 1, 144}, {144, 56, 24, 1, 1, 1},
    {144, 56, 144, 3, 2, 144}, {144, 28, 32, 1, 1, 1},    {32, 28, 192, 1, 1, 1},
    {192, 28, 192, 3, 1, 192}, {192, 28, 32, 1, 1, 1},    {192, 28, 192, 3, 2, 192},
    {192, 14, 64, 1, 1, 1},    {64, 14, 384, 1, 1, 1},    {384, 14, 384, 3, 1, 384},
    {384, 14, 64, 1, 1, 1},    {576, 14, 576, 3, 2, 576}, {160, 7, 960, 1, 1, 1},
    {960, 7, 960, 3, 1, 960},  {960, 7, 160, 1, 1, 1},    {320, 7, 1280, 1, 1, 1},
    {1280, 1, 1000, 1, 1, 1},  {3, 96, 8, 3, 2, 1},       {8, 48, 8, 3, 1, 8},
    {8, 48, 16, 1, 1, 1},      {16, 48, 16, 3, 2, 16},    {16, 24, 32, 1, 1, 1},
    {3, 32, 16, 3, 1, 1},      {16, 32, 16, 3, 1, 1},     {32, 16, 32, 3, 1, 1},
    {64, 8, 64, 3, 1, 1},
};

static uint64_t seed = 20240607;

static double random_unit(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (double)(1 << 24);
}

static int64_t random_in(int64_t lo, int64_t hi)
{
    return lo + (int64_t)(random_unit() * (double)(hi - lo + 1));
}

/* Sizes are spread evenly over their logarithm. */
static int64_t random_log(int64_t lo, int64_t hi)
{
    return (int64_t)((double)lo * pow((double)(hi + 1) / (double)lo, random_unit()));
}

static struct conv random_gemm(void)
{
    struct conv c = {
        .n = 1, .h = 1, .w = random_log(1, 1024), .groups = 1,
        .c_in = random_log(16, 2048), .c_out = random_log(8, 2048), .kh = 1, .kw = 1,
        .stride_y = 1, .stride_x = 1, .dilation_y = 1, .dilation_x = 1,
    };

    c.oh = 1;
    c.ow = c.w;
    return c;
}

static struct conv random_conv(void)
{
    static const int kernels[] = {1, 1, 2, 3, 3, 3, 3, 4, 5, 7};
    const bool grouped = random_in(0, 3) == 0;
    struct conv c = {
        .n = random_in(0, 3) ? 1 : 2, .h = random_log(4, 112), .w = random_log(4, 112),
        .groups = grouped ? random_in(2, 32) : 1,
        .c_in = grouped ? random_log(4, 64) : random_log(3, 512),
        .c_out = grouped ? random_log(4, 64) : random_log(4, 512),
        .kh = kernels[random_in(0, 9)], .kw = kernels[random_in(0, 9)],
        .stride_y = random_in(0, 2) ? 1 : 2, .stride_x = random_in(0, 2) ? 1 : 2,
        .dilation_y = random_in(0, 3) ? 1 : random_in(2, 3),
        .dilation_x = random_in(0, 3) ? 1 : random_in(2, 3),
    };
    const int64_t pad_y = random_in(0, c.kh - 1), pad_x = random_in(0, c.kw - 1);

    c.pad_top = random_in(0, c.kh - 1);
    c.pad_left = random_in(0, c.kw - 1);
    c.oh = (c.h + c.pad_top + pad_y - (c.kh - 1) * c.dilation_y - 1) / c.stride_y + 1;
    c.ow = (c.w + c.pad_left + pad_x - (c.kw - 1) * c.dilation_x - 1) / c.stride_x + 1;
    return c;
}

static struct job random_job(void)
{
    for (;;) {
        struct job j = {.c = random_in(0, 3) ? random_conv() : random_gemm()};
        struct conv *c = &j.c;

        if (c->oh < 1 || c->ow < 1)
            continue;
        const double mmac = flops_of(c) / 2e6;

        if (mmac < 1 || mmac > 200)
            continue;
        c->has_bias = true;
        c->act = ACT_RELU;
        set_strides(c, false);
        snprintf(j.name, sizeof j.name,
                 "%ldx%ldx%ld g%ld %ld->%ld %ldx%ld s%ld,%ld d%ld,%ld p%ld,%ld", (long)c->n,
                 (long)c->h, (long)c->w, (long)c->groups, (long)c->c_in, (long)c->c_out,
                 (long)c->kh, (long)c->kw, (long)c->stride_y, (long)c->stride_x,
                 (long)c->dilation_y, (long)c->dilation_x, (long)c->pad_top,
                 (long)c->pad_left);
        return j;
    }
}

/* "h,w,groups,c_in,c_out,kh,kw,sy,sx,dy,dx,py,px", channels of a group, equal pads. */
static bool parse_job(const char *text, struct job *j)
{
    long v[13];

    for (int i = 0; i < 13; i++) {
        char *end;

        v[i] = strtol(text, &end, 10);
        if (end == text || *end != (i < 12 ? ',' : 0))
            return false;
        text = end + 1;
    }
    *j = (struct job){
        .c = {
            .n = 1, .h = v[0], .w = v[1], .groups = v[2], .c_in = v[3], .c_out = v[4],
            .kh = v[5], .kw = v[6], .stride_y = v[7], .stride_x = v[8],
            .dilation_y = v[9], .dilation_x = v[10], .pad_top = v[11], .pad_left = v[12],
            .oh = (v[0] + 2 * v[11] - (v[5] - 1) * v[9] - 1) / v[7] + 1,
            .ow = (v[1] + 2 * v[12] - (v[6] - 1) * v[10] - 1) / v[8] + 1,
            .has_bias = true, .act = ACT_RELU,
        },
        .depthwise = v[2] > 1 && v[3] == 1 && v[4] == 1,
    };
    set_strides(&j->c, false);
    snprintf(j->name, sizeof j->name, "%ldx%ld g%ld %ld->%ld", v[0], v[1], v[2], v[3],
             v[4]);
    return j->c.oh > 0 && j->c.ow > 0;
}

/* ---- the table --------------------------------------------------------------- */

struct total {
    double log_peak;
    int n, above_60;
};

static void print_tiling(const struct conv *c, const struct conv_tiling *t)
{
    if (t->winograd)
        printf(" winograd");
    if (t->winograd || conv_whole_blocks(c, t))
        printf(" %dx%d", t->pixels, t->vectors);
    for (int i = 0; i < t->n_tails; i++)
        printf(" +%dx(%ld,%d)", t->tail[i].pixels, (long)t->tail[i].width,
               t->tail[i].depth);
    printf(" rows %ld chunks %ld%s%s", (long)t->rows, (long)t->chunks,
           t->rows_outer ? " outer" : "", t->swapped ? " swapped" : "");
}

static void print_int_tiling(const struct int_tiling *t)
{
    printf(" %dx%d", t->pixels, t->vectors);
    if (t->tail_vectors)
        printf(" +%dx%d(%d)", t->tail_pixels, t->tail_vectors, t->tail_lanes);
    printf(" rows %ld chunks %ld%s%s", (long)t->rows, (long)t->chunks,
           t->rows_outer ? " outer" : "", t->swapped ? " swapped" : "");
}

static void run_job(const struct machine *m, const struct options *o,
                    const struct job *job, struct total *sum)
{
    struct cut cut;

    if (o->only && !strstr(job->name, o->only))
        return;
    const struct sample s = measure(m, o, job, &cut);

    printf("%-48s %8.2f %7.1f %6.1f %6.1f", job->name, flops_of(&job->c) / 2e6,
           s.flops * 1e-9, 100 * s.of_peak, 100 * s.of_roof);
    if (!job->depthwise && o->int8)
        print_int_tiling(&cut.i);
    else if (!job->depthwise)
        print_tiling(&job->c, &cut.t);
    printf("\n");
    fflush(stdout);
    sum->log_peak += log(s.of_peak);
    sum->n++;
    sum->above_60 += s.of_roof >= 0.6;
}

static void run_set(const struct machine *m, const struct options *o, const char *set)
{
    struct total sum = {0};

    if (o->set && strcmp(o->set, set))
        return;
    printf("\n%-48s %8s %7s %6s %6s\n", set, "MMAC", "GFLOP/s", "%peak", "%roof");
    if (!strcmp(set, "resnet") || !strcmp(set, "mobile")) {
        const bool big = set[0] == 'r';
        const size_t n = big ? sizeof resnet / sizeof *resnet
                             : sizeof mobile / sizeof *mobile;

        for (size_t i = 0; i < n; i++) {
            const int *v = big ? resnet[i] : mobile[i];
            const struct job job = make_job(v[0], v[1], v[2], v[3], v[4], v[5]);

            run_job(m, o, &job, &sum);
        }
    } else {
        for (int i = 0; i < 200; i++) {
            const struct job job = random_job();

            run_job(m, o, &job, &sum);
        }
    }
    if (sum.n)
        printf("%-48s geometric mean %.1f %% of peak; %d of %d reach 60 %% of the roofline\n",
               set, 100 * exp(sum.log_peak / sum.n), sum.above_60, sum.n);
}

/* The n-th level, or the best that this machine has. */
static const struct isa *choose_isa(bool int8, int n)
{
    if (!int8)
        return &jit_isas[n < 0 ? jit_first_isa() : n % JIT_N_ISAS];
    for (int i = 0; n < 0; i++)
        if (int_isa_runs(i))
            n = i;
    return &int_isas[n % INT_N_ISAS];
}

int main(int argc, char **argv)
{
    struct options o = {.rounds = 3 * GROUP, .bits = 8};
    struct total sum = {0};
    struct job one;
    int isa = -1;

    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--only") && i + 1 < argc)
            o.only = argv[++i];
        else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
            o.rounds = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--winograd"))
            o.winograd = true;
        else if (!strcmp(argv[i], "--rows") && i + 1 < argc)
            o.rows = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--tile") && i + 1 < argc)
            sscanf(argv[++i], "%dx%d", &o.pixels, &o.vectors);
        else if (!strcmp(argv[i], "--isa") && i + 1 < argc)
            isa = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--int8"))
            o.int8 = true;
        else if (!strcmp(argv[i], "--signed"))
            o.is_signed = true;
        else if (!strcmp(argv[i], "--bits") && i + 1 < argc)
            o.bits = atoi(argv[++i]) == 4 ? 4 : 8;
        else if (!strcmp(argv[i], "--conv") && i + 1 < argc)
            o.set = parse_job(argv[++i], &one) ? "conv" : "none";
        else
            o.set = argv[i];
    }
    if (o.rounds < GROUP || o.rounds > MAX_ROUNDS)
        o.rounds = 3 * GROUP;
    o.isa = choose_isa(o.int8, isa);
    struct machine m = machine_open(o.isa, o.int8);

    printf("%s: peak %.1f GFLOP/s, reads L2 %.0f L3 %.0f memory %.0f GB/s\n", o.isa->cpu,
           peak_rate(&m) * 1e-9, m.l2_rate * 1e-9, m.l3_rate * 1e-9,
           m.memory_rate * 1e-9);
    if (o.set && !strcmp(o.set, "conv"))
        run_job(&m, &o, &one, &sum);
    run_set(&m, &o, "resnet");
    run_set(&m, &o, "mobile");
    run_set(&m, &o, "random");
    jit_close(&m.jit);
    return 0;
}
