/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* A float graph quantized, written in integers, and compared with itself. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compress/quantize.h"
#include "compress/relax.h"
#include "compress/unit_losses.h"
#include "frontend/interpret.h"
#include "frontend/pass.h"
#include "plan/units.h"

enum { N_SAMPLES = 8, N_PIXELS = 32 }; /* samples of 2 x 4 x 4 */

static const char graph_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[2,2,3,3] {0.5,-0.25,0,1,0.125,-1,0.75,0.5,-0.5,0.25,1,-0.75,0.5,"
    "0,0.25,-0.125,1,0.5,-1,0.5,0.25,0.75,-0.5,0,1,0.125,-0.25,0.5,-1,0.75,0,0.25,1,"
    "-0.5,0.5,0.125}\n"
    "  %v = const f32[3,2] {1,-1,0.5,0.25,-0.75,1}\n"
    "  %b = const f32[2] {0.5,-0.5}\n"
    "  %c = Conv(%x, %w, %b) {kernel_shape=[3,3], pads=[1,1,1,1]} : f32[1,2,4,4]\n"
    "  %r = Relu(%c) : f32[1,2,4,4]\n"
    "  %s = Add(%r, %x) : f32[1,2,4,4]\n"
    "  %m = MaxPool(%s) {kernel_shape=[2,2], strides=[2,2], pads=[0,0,0,0], "
    "dilations=[1,1]} : f32[1,2,2,2]\n"
    "  %a = ReduceMean(%m) {axes=[2,3], keepdims=0} : f32[1,2]\n"
    "  %y = Gemm(%a, %v) {transB=1} : f32[1,3]\n"
    "  return %y\n"
    "}\n";

/* The operands of a Concat in a Concat: x itself, and twice another branch. */
static const char concat_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[1,2,1,1] {3,-2}\n"
    "  %v = const f32[2,5,1,1] {1,0.5,-1,0.25,1,0.5,-0.5,1,-1,0.75}\n"
    "  %c = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
    "  %d = Concat(%x, %c) {axis=1} : f32[1,3,4,4]\n"
    "  %e = Concat(%d, %x) {axis=1} : f32[1,5,4,4]\n"
    "  %y = Conv(%e, %v) {kernel_shape=[1,1]} : f32[1,2,4,4]\n"
    "  return %y\n"
    "}\n";

/* Between -1 and 1, without a pattern. */
static void fill(float *x)
{
    uint32_t state = 1;

    for (int i = 0; i < N_SAMPLES * N_PIXELS; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

static void write_npy(const char *path, const float *x)
{
    char header[128];
    FILE *f = fopen(path, "wb");
    const int n = snprintf(header, sizeof header,
                           "{'descr': '<f4', 'fortran_order': False, "
                           "'shape': (%d, 2, 4, 4), }",
                           N_SAMPLES);

    CHECK(f);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fprintf(f, "%s%*s\n", header, 117 - n, "");
    fwrite(x, sizeof *x, N_SAMPLES * N_PIXELS, f);
    fclose(f);
}

static const float *scores(struct arena *a, const struct ir_graph *g, float *x)
{
    struct tensor in = {.dtype = DT_f32, .rank = 4, .dim = {1, 2, 4, 4}, .data = x};
    struct interpretation run;

    CHECK_OK(interpret(a, g, &in, &run));
    return run.by_id[g->out[0]->id].data;
}

static int count(const struct ir_graph *g, enum ir_op op)
{
    int n = 0;

    for (const struct ir_node *node = g->first; node; node = node->next)
        n += node->op == op;
    return n;
}

/* Both graphs from one text; `g` quantized on all samples and through the passes. */
struct pair {
    struct compile *c, *other;
    struct arena *a;
    struct ir_graph *g, *original;
    struct dataset *data;
    struct plan *plan;
    struct quantize_options o;
    struct quantization *result;
    float x[N_SAMPLES * N_PIXELS];
};

/* The samples, and a plan of 8 bits. */
static void begin(struct pair *p, const char *text)
{
    static const int64_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    char path[] = "/tmp/hadmc-quantize-XXXXXX.npy";
    struct dataset_options want = {0};

    *p = (struct pair){.c = compile_create(), .other = compile_create()};
    p->a = arena_create();
    fill(p->x);
    CHECK(close(mkstemps(path, 4)) == 0);
    write_npy(path, p->x);
    CHECK_OK(ir_parse(p->c, text, strlen(text), &p->g));
    CHECK_OK(ir_parse(p->other, text, strlen(text), &p->original));
    CHECK_OK(dataset_inputs_of(p->g, p->a, &want));
    CHECK_OK(dataset_open(path, &want, p->a, &p->data));
    unlink(path);
    p->plan = plan_float(p->g, "host");
    for (int i = 0; i < p->plan->n_units; i++)
        p->plan->units[i].weight_bits = p->plan->units[i].activation_bits = 8;
    p->o = (struct quantize_options){
        .plan = p->plan, .data = p->data, .n_samples = N_SAMPLES, .sample = all};
}

static struct status *decide(struct pair *p)
{
    return quantize_decide(p->c, p->g, &p->o, p->a, &p->result);
}

static struct status *write_codes(struct pair *p)
{
    const struct pass_options passes = {0};

    RETURN_IF_FAIL(quantize_apply(p->c, p->g, p->result));
    return passes_run(p->c, p->g, &passes);
}

static void finish(struct pair *p)
{
    CHECK_OK(decide(p));
    CHECK_OK(write_codes(p));
}

static void quantize(struct pair *p, const char *text, int weight_bits)
{
    begin(p, text);
    for (int i = 0; i < p->plan->n_units; i++)
        p->plan->units[i].weight_bits = weight_bits;
    finish(p);
}

/* On the first samples. */
static void check_close_on(struct pair *p, int n_samples, float tolerance)
{
    const int64_t n = ir_count(p->g->out[0]);

    for (int i = 0; i < n_samples; i++) {
        const float *got = scores(p->a, p->g, p->x + i * N_PIXELS);
        const float *exact = scores(p->a, p->original, p->x + i * N_PIXELS);

        for (int64_t k = 0; k < n; k++)
            CHECK(fabsf(got[k] - exact[k]) < tolerance);
    }
}

static void check_close(struct pair *p, float tolerance)
{
    check_close_on(p, N_SAMPLES, tolerance);
}

static void end(struct pair *p)
{
    dataset_close(p->data);
    arena_destroy(p->a);
    compile_destroy(p->other);
    compile_destroy(p->c);
}

TEST(a_quantized_graph_has_its_products_in_integers_and_close_results)
{
    struct pair p;

    quantize(&p, graph_text, 8);
    CHECK_EQ(p.result->n_units, 2);
    CHECK_EQ(p.result->units[0].weight_bits, 8);
    CHECK_EQ(p.result->units[0].macs, 16 * 2 * 18);
    CHECK_EQ(count(p.g, OP_QLinearConv), 1);
    CHECK_EQ(count(p.g, OP_MatMulInteger), 1);
    CHECK_EQ(count(p.g, OP_Conv) + count(p.g, OP_Gemm), 0);
    CHECK(!p.c->left_in_floats.len);
    check_close(&p, 0.05f);
    end(&p);
}

/* The classifier then has seen one row: its inputs vary by rounding at most. */
TEST(one_sample_is_enough)
{
    struct pair p;

    begin(&p, graph_text);
    p.o.n_samples = 1;
    finish(&p);
    check_close_on(&p, 1, 0.05f);
    end(&p);
}

TEST(four_bits_are_int4_constants_until_the_graph_is_in_integers)
{
    struct pair p;

    quantize(&p, graph_text, 4);
    CHECK_EQ(p.result->units[0].weight_bits, 4);
    CHECK_EQ(p.result->units[0].activation_bits, 8);
    for (int64_t i = 0; i < p.result->units[0].n_codes; i++)
        CHECK(abs(p.result->units[0].codes[i]) <= 7);
    CHECK_EQ(count(p.g, OP_QLinearConv), 1);
    check_close(&p, 0.2f);
    end(&p);
}

/* SiLU between two convolutions, as exporters spell it. */
static const char silu_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[2,2,1,1] {3,-2,1,2}\n"
    "  %v = const f32[2,2,1,1] {1,0.5,-1,0.25}\n"
    "  %c = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,2,4,4]\n"
    "  %s = Sigmoid(%c) : f32[1,2,4,4]\n"
    "  %m = Mul(%c, %s) : f32[1,2,4,4]\n"
    "  %y = Conv(%m, %v) {kernel_shape=[1,1]} : f32[1,2,4,4]\n"
    "  return %y\n"
    "}\n";

TEST(a_product_of_functions_of_one_tensor_is_a_function_of_its_codes)
{
    struct pair p;

    quantize(&p, silu_text, 8);
    CHECK_EQ(count(p.g, OP_QLinearConv), 1);
    CHECK_EQ(count(p.g, OP_QuantizeLinear), 2); /* x, and the product */
    for (const struct ir_node *n = p.g->first; n; n = n->next)
        if (n->op == OP_Sigmoid)
            CHECK(n->next->op == OP_Mul && n->next->in[1] == n->out[0]);
    CHECK(!p.c->left_in_floats.len);
    check_close(&p, 0.05f);
    end(&p);
}

/* A transformer's middle, its biases behind the products. */
static const char gelu_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[4,3] {1,-0.5,0.25,0.75,-1,0.5,0.125,-0.25,0.5,1,-0.75,0.25}\n"
    "  %b = const f32[3] {0.25,-0.5,0.125}\n"
    "  %v = const f32[3,2] {1,-1,0.5,0.25,-0.75,1}\n"
    "  %p = MatMul(%x, %w) : f32[1,2,4,3]\n"
    "  %s = Add(%b, %p) : f32[1,2,4,3]\n"
    "  %g = Gelu(%s) : f32[1,2,4,3]\n"
    "  %y = MatMul(%g, %v) : f32[1,2,4,2]\n"
    "  return %y\n"
    "}\n";

TEST(a_polynomial_behind_a_product_and_its_bias_reads_codes)
{
    struct pair p;

    quantize(&p, gelu_text, 8);
    CHECK_EQ(count(p.g, OP_QLinearMatMul), 1);
    CHECK_EQ(count(p.g, OP_Add), 0);
    for (const struct ir_node *n = p.g->first; n; n = n->next)
        if (n->op == OP_Gelu)
            CHECK(n->in[0]->def && n->in[0]->def->op == OP_DequantizeLinear);
    CHECK_EQ(count(p.g, OP_Gelu), 1);
    check_close(&p, 0.05f);
    end(&p);
}

/* Rows of x as a sequence of eight steps of four numbers; gates by a unit. */
static const char recurrent_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[6,4] {1,-0.5,0.25,0.75,-1,0.5,0.125,-0.25,0.5,1,-0.75,0.25,"
    "-0.5,0.25,1,-1,0.75,-0.25,0.5,1,-0.125,0.5,-1,0.25}\n"
    "  %r = const f32[1,2,6] {0.5,-1,0.25,0.75,-0.5,1,-0.25,0.5,1,-0.75,0.125,-1}\n"
    "  %i = Reshape(%x) {shape=[8,4]} : f32[8,4]\n"
    "  %p = Gemm(%i, %w) {transB=1} : f32[8,6]\n"
    "  %g = Reshape(%p) {shape=[8,1,6]} : f32[8,1,6]\n"
    "  %y, %h = GRU(%g, %r) {activations=strings[\"Sigmoid\",\"Tanh\"]}\n"
    "  return %h\n"
    "}\n";

TEST(a_recurrent_layer_has_codes_where_its_gates_are_made_by_codes)
{
    struct pair p;
    int n;

    begin(&p, recurrent_text);
    const struct unit *u = units_find(p.g, &n);

    CHECK_EQ(n, 1);
    CHECK_EQ(unit_recurrent_bytes(u, 32), 2 * 6 * 4);
    CHECK_EQ(unit_recurrent_bytes(u, 4), 2 * 6 + 6 * 5); /* codes; step and zero */
    finish(&p);
    for (const struct ir_node *node = p.g->first; node; node = node->next)
        if (node->op == OP_GRU)
            CHECK_EQ(node->in[1]->dtype, DT_u8);
    CHECK_EQ(count(p.g, OP_GRU), 1);
    CHECK_EQ(count(p.g, OP_MatMulInteger), 1);
    check_close(&p, 0.02f);
    end(&p);

    begin(&p, recurrent_text);
    p.plan->units[0].weight_bits = p.plan->units[0].activation_bits = 32;
    finish(&p);
    check_close(&p, 1e-6f);
    end(&p);
}

/* Unit 0 stays float, so its input is not quantized, but its result is. */
TEST(units_of_32_bits_stay_float_among_others)
{
    struct pair p;

    begin(&p, graph_text);
    p.plan->units[0].weight_bits = p.plan->units[0].activation_bits = 32;
    finish(&p);
    CHECK_EQ(p.result->units[0].weight_bits, 32);
    CHECK_EQ(p.result->units[1].weight_bits, 8);
    CHECK_EQ(count(p.g, OP_Conv), 1);
    CHECK_EQ(count(p.g, OP_MatMulInteger), 1);
    check_close(&p, 0.05f);
    end(&p);
}

/* The first unit's weights are exact in binary16, the second one's codes are not asked
 * for: only the Cast is new, and no pass folds it. */
TEST(units_of_16_bits_have_halves_behind_a_cast_that_stays)
{
    struct pair p;

    begin(&p, graph_text);
    for (int i = 0; i < 2; i++) {
        p.plan->units[i].weight_bits = i ? 32 : 16;
        p.plan->units[i].activation_bits = 32;
    }
    finish(&p);
    CHECK_EQ(p.result->units[0].weight_bits, 16);
    CHECK_EQ(p.result->units[0].activation_bits, 32);
    CHECK_EQ(count(p.g, OP_Cast), 1);
    for (const struct ir_node *n = p.g->first; n; n = n->next)
        if (n->op == OP_Conv)
            CHECK_EQ(n->in[1]->def->in[0]->dtype, DT_f16);
    check_close(&p, 1e-6f);
    end(&p);
}

/* The same graph: what the device makes of activations is not written into it. */
TEST(activations_of_16_bits_are_said_and_stay_float32_here)
{
    struct pair p;

    begin(&p, graph_text);
    for (int i = 0; i < 2; i++)
        p.plan->units[i].weight_bits = p.plan->units[i].activation_bits = 16;
    finish(&p);
    CHECK_EQ(p.result->units[0].activation_bits, 16);
    CHECK_EQ(p.result->units[0].calibrator, CALIBRATOR_none);
    CHECK_EQ(count(p.g, OP_Cast), 2); /* of weights */
    CHECK_EQ(count(p.g, OP_QuantizeLinear), 0);
    check_close(&p, 0.01f);
    end(&p);
}

TEST(units_of_16_and_of_8_bits_stand_side_by_side)
{
    struct pair p;

    begin(&p, graph_text);
    p.plan->units[0].weight_bits = 16;
    p.plan->units[0].activation_bits = 32;
    finish(&p);
    CHECK_EQ(count(p.g, OP_Conv), 1);
    CHECK_EQ(count(p.g, OP_Cast), 1);
    CHECK_EQ(count(p.g, OP_MatMulInteger), 1);
    check_close(&p, 0.05f);
    end(&p);
}

/* Too large, and so small that 4 or 5 bits of it are left. */
TEST(a_unit_with_weights_beyond_float16_keeps_32_bits)
{
    static const char *const texts[] = {
        "graph g(%x: f32[1,2,4,4]) {\n"
        "  %w = const f32[1,2,1,1] {65519,1}\n"
        "  %y = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,2,4,4]) {\n"
        "  %w = const f32[1,2,1,1] {65520,1}\n"
        "  %y = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
        "  return %y\n"
        "}\n",
        "graph g(%x: f32[1,2,4,4]) {\n"
        "  %w = const f32[1,2,1,1] {1.5e-6,1.1e-6}\n"
        "  %y = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
        "  return %y\n"
        "}\n"};

    for (int i = 0; i < 3; i++) {
        struct pair p;

        begin(&p, texts[i]);
        p.plan->units[0].weight_bits = 16;
        p.plan->units[0].activation_bits = 32;
        CHECK_OK(decide(&p));
        CHECK_EQ(p.result->units[0].weight_bits, i ? 32 : 16);
        end(&p);
    }
}

TEST(widths_without_code_are_refused_by_the_name_of_their_unit)
{
    struct pair p;

    begin(&p, graph_text);
    p.plan->units[0].weight_bits = 16;
    CHECK_FAILS(decide(&p), UNSUPPORTED,
                "has 16 bits for weights and 8 for activations");
    end(&p);
}

TEST(a_unit_that_must_have_the_widths_of_its_plan_is_refused_without_them)
{
    struct pair p;

    begin(&p, "graph g(%x: f32[1,2,4,4]) {\n"
              "  %w = const f32[1,2,1,1] {65520,1}\n"
              "  %y = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
              "  return %y\n"
              "}\n");
    p.plan->units[0].weight_bits = 16;
    p.plan->units[0].activation_bits = 32;
    p.o.keep_widths = true;
    CHECK_FAILS(decide(&p), UNSUPPORTED,
                "unit 'y' is to have 16 bits for weights and 32 for activations");
    end(&p);
}

/* The interpreter on the graph of QuantizeLinear and DequantizeLinear, and quantize_run
 * on the graph before. */
TEST(the_quantized_graph_in_floats_gives_what_the_written_one_gives)
{
    struct pair p;
    void *inputs[N_SAMPLES];
    float floats[N_SAMPLES][3];
    struct flow *f;

    begin(&p, graph_text);
    CHECK_OK(decide(&p));
    for (int i = 0; i < N_SAMPLES; i++)
        inputs[i] = p.x + i * N_PIXELS;
    CHECK_OK(flow_create_from(p.g, N_SAMPLES, inputs, &f));
    CHECK_OK(quantize_run(p.result, p.g, f));
    for (int i = 0; i < N_SAMPLES; i++)
        memcpy(floats[i], flow_at(f, p.g->out[0], i), sizeof floats[i]);
    flow_destroy(f);
    CHECK_OK(write_codes(&p));
    for (int i = 0; i < N_SAMPLES; i++) {
        const float *integers = scores(p.a, p.g, p.x + i * N_PIXELS);

        for (int k = 0; k < 3; k++)
            CHECK(fabsf(integers[k] - floats[i][k]) < 0.02f);
    }
    end(&p);
}

TEST(a_plan_keeps_its_calibrators)
{
    struct pair p;

    begin(&p, graph_text);
    for (int i = 0; i < p.plan->n_units; i++)
        p.plan->units[i].calibrator = CALIBRATOR_percentile;
    p.o.keep_calibrators = true;
    finish(&p);
    CHECK_EQ(p.result->units[0].calibrator, CALIBRATOR_percentile);
    CHECK_EQ(p.result->units[1].calibrator, CALIBRATOR_percentile);
    end(&p);
}

TEST(single_units_lose_more_with_fewer_bits_and_nothing_with_32)
{
    static const int bits[] = {32, 8, 4};
    struct pair p;
    double *loss;

    begin(&p, graph_text);
    const struct unit_losses_options o = {
        .data = p.o.data,
        .n_calibration = p.o.n_samples,
        .calibration = p.o.sample,
        .n_scored = p.o.n_samples,
        .scored = p.o.sample,
        .n_levels = 3,
        .weight_bits = bits,
    };

    CHECK_OK(unit_losses_measure(p.c, p.g, &o, p.a, &loss));
    for (int i = 0; i < 2; i++) {
        CHECK(loss[3 * i] == 0.0);
        CHECK(loss[3 * i + 1] > 0.0);
        CHECK(loss[3 * i + 2] > loss[3 * i + 1]);
        CHECK(loss[3 * i + 2] < 0.1);
    }
    end(&p);
}

/* One scale for a channel of 1000 and one of 0.01 leaves nothing of the latter, on
 * which all depends. */
static const char spoilt_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %m = const f32[1,2,1,1] {1000,0.01}\n"
    "  %w = const f32[2,2,1,1] {0,1,0,-1}\n"
    "  %s = Mul(%x, %m) : f32[1,2,4,4]\n"
    "  %c = Conv(%s, %w) {kernel_shape=[1,1]} : f32[1,2,4,4]\n"
    "  return %c\n"
    "}\n";

/* The same beside so many products that pairs do not make the model slower. */
static const char roomy_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %m = const f32[1,2,1,1] {1000,0.01}\n"
    "  %w = const f32[2,2,1,1] {0,1,0,-1}\n"
    "  %u = const f32[512,32] {*0.01}\n"
    "  %s = Mul(%x, %m) : f32[1,2,4,4]\n"
    "  %c = Conv(%s, %w) {kernel_shape=[1,1]} : f32[1,2,4,4]\n"
    "  %r = Reshape(%x) {shape=[1,32]} : f32[1,32]\n"
    "  %h = Gemm(%r, %u) {transB=1} : f32[1,512]\n"
    "  return %c, %h\n"
    "}\n";

static const char two_readers_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[1,2,1,1] {3,-2}\n"
    "  %v = const f32[1,2,1,1] {1,0.5}\n"
    "  %t = Transpose(%x) {perm=[0,1,3,2]} : f32[1,2,4,4]\n"
    "  %a = Conv(%x, %w) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
    "  %b = Conv(%t, %v) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
    "  %y = Add(%a, %b) : f32[1,1,4,4]\n"
    "  return %y\n"
    "}\n";

static const char sum_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %v = const f32[1,2,1,1] {1,0.5}\n"
    "  %r = Transpose(%x) {perm=[0,1,3,2]} : f32[1,2,4,4]\n"
    "  %s = Add(%r, %x) : f32[1,2,4,4]\n"
    "  %y = Conv(%s, %v) {kernel_shape=[1,1]} : f32[1,1,4,4]\n"
    "  return %y\n"
    "}\n";

static struct status *relax(struct pair *p, enum relax_to to,
                            struct relax_result *result)
{
    return relax_decide(p->c, p->g, &p->o, to, p->plan, p->a, &p->result, result);
}

TEST(a_unit_that_alone_spoils_the_model_is_raised)
{
    struct pair p;
    struct relax_result result;

    begin(&p, spoilt_text);
    CHECK_OK(relax(&p, RELAX_TO_FLOATS, &result));
    CHECK_EQ(result.n_raised, 1);
    CHECK_EQ(p.plan->units[0].weight_bits, 32);
    CHECK(!p.result->units[0].has_codes);
    CHECK(result.loss < 1e-3);
    end(&p);
}

TEST(where_nothing_is_spoilt_nothing_is_raised)
{
    struct pair p;
    struct relax_result result;

    begin(&p, graph_text);
    CHECK_OK(relax(&p, RELAX_TO_FLOATS, &result));
    CHECK_EQ(result.n_raised, 0);
    CHECK(result.loss > 0.0 && result.loss < 1e-3);
    end(&p);
}

/* Two products in integers, whose results are added. */
TEST(pairs_of_codes_save_what_one_code_spoils)
{
    struct pair p;
    struct relax_result result;

    begin(&p, roomy_text);
    CHECK_OK(relax(&p, RELAX_TO_PAIRS, &result));
    CHECK_EQ(result.n_raised, 1);
    CHECK_EQ(p.result->units[0].calibrator, CALIBRATOR_pair);
    CHECK_EQ(p.result->units[0].weight_bits, 8);
    CHECK_OK(write_codes(&p));
    CHECK_EQ(count(p.g, OP_ConvInteger), 2);
    CHECK_EQ(count(p.g, OP_Conv), 0);
    end(&p);
}

TEST(pairs_of_codes_do_not_make_a_model_slower_than_floats)
{
    struct pair p;
    struct relax_result result;

    begin(&p, spoilt_text);
    CHECK_OK(relax(&p, RELAX_TO_PAIRS, &result));
    CHECK_EQ(result.n_raised, 0);
    CHECK(p.result->units[0].calibrator != CALIBRATOR_pair);
    end(&p);
}

/* Also through what moves elements, with a bias, and in a Gemm. */
TEST(a_graph_of_pairs_is_close_to_its_original)
{
    struct pair p;

    begin(&p, graph_text);
    for (int i = 0; i < p.plan->n_units; i++)
        p.plan->units[i].calibrator = CALIBRATOR_pair;
    finish(&p);
    CHECK_EQ(count(p.g, OP_ConvInteger), 2);
    CHECK_EQ(count(p.g, OP_MatMulInteger), 2);
    CHECK_EQ(count(p.g, OP_Conv) + count(p.g, OP_Gemm), 0);
    check_close(&p, 0.02f);
    end(&p);
}

/* Each where it reads, so that what moves may be a MaxPool. */
TEST(who_reads_the_tensor_of_a_pair_reads_pairs)
{
    struct pair p;

    begin(&p, two_readers_text);
    p.plan->units[0].calibrator = CALIBRATOR_pair;
    finish(&p);
    CHECK_EQ(p.result->units[1].calibrator, CALIBRATOR_pair);
    CHECK_EQ(count(p.g, OP_QuantizeLinear), 4);
    end(&p);
}

/* The sum is made of floats, so its operands need no codes. */
TEST(operands_of_a_sum_that_becomes_a_pair_stay_float)
{
    struct pair p;

    begin(&p, sum_text);
    finish(&p);
    CHECK(p.result->tensors[p.g->in[0]->id].is_source);
    end(&p);
    begin(&p, sum_text);
    p.plan->units[0].calibrator = CALIBRATOR_pair;
    finish(&p);
    CHECK(!p.result->tensors[p.g->in[0]->id].is_source);
    CHECK_EQ(count(p.g, OP_QuantizeLinear), 2);
    end(&p);
}

TEST(operands_of_a_concat_share_a_scale)
{
    struct pair p;
    int on_codes = 0;

    quantize(&p, concat_text, 8);
    for (const struct ir_node *n = p.g->first; n; n = n->next)
        on_codes += n->op == OP_Concat && n->out[0]->dtype == DT_i8;
    CHECK_EQ(on_codes, count(p.g, OP_Concat));
    CHECK(on_codes > 0);
    CHECK_EQ(count(p.g, OP_Conv), 0);
    CHECK(!p.c->left_in_floats.len);
    check_close(&p, 0.2f);
    end(&p);
}
