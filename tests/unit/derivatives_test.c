/* SPDX-License-Identifier: Apache-2.0 */
// links: traindouble frontend kernels
/* Every row of train/derivatives.def against finite differences, in double: the sum of
 * the results times fixed random factors, differentiated by every input and weight.
 * The same graphs' results against the reference interpreter. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#include "support/random.h"
#include "train/tape.h"

enum { MOST_SAMPLES = 18 }; /* 16 shards, two samples each, the last of them empty */

struct check {
    const char *graph;
    double least, most; /* of inputs */
    bool train_norms;
};

#define UNARY_CHECK(op, attributes, least, most)                                       \
    {"graph g(%x: f32[1,7]) { %y = " #op "(%x) {" attributes "} return %y }", least,   \
     most, false}
#define BINARY_CHECK(op, least, most)                                                  \
    {"graph g(%a: f32[2,3,4], %b: f32[3,1]) { %y = " #op "(%a, %b) %z = " #op          \
     "(%b, %y) return %z }",                                                           \
     least, most, false}
#define CONV_CHECK(x, w, attributes)                                                   \
    {"graph g(%x: f32[" x "]) { %w = const f32[" w "] {*0} %v = const f32[" w          \
     "] {*0} "                                                                         \
     "%b = const f32[4] {*0} %s = Sigmoid(%x) "                                        \
     "%y = Conv(%s, %w, %b) {" attributes "} %z = Conv(%s, %v) {" attributes "} "      \
     "%q = Mul(%y, %z) return %q }",                                                   \
     -1, 1, false}

#define TRANSPOSE_CHECK(x, w, o, attributes)                                           \
    {"graph g(%x: f32[" x "]) { %w = const f32[" w "] {*0} %b = const f32[" o          \
     "] {*0} %s = Sigmoid(%x) %y = ConvTranspose(%s, %w, %b) {" attributes "} "        \
     "%z = ConvTranspose(%s, %w) {" attributes "} %q = Mul(%y, %z) return %q }",       \
     -1, 1, false}

/* Constants {*0} become random numbers, {*1} random positive ones. */
static const struct check checks[] = {
    UNARY_CHECK(Abs, "", -1, 1),
    UNARY_CHECK(Celu, "alpha=0.7", -2, 2),
    UNARY_CHECK(Cos, "", -2, 2),
    UNARY_CHECK(Elu, "alpha=1.3", -2, 2),
    UNARY_CHECK(Erf, "", -2, 2),
    UNARY_CHECK(Exp, "", -2, 2),
    UNARY_CHECK(Gelu, "approximate=\"none\"", -2, 2),
    UNARY_CHECK(Gelu, "approximate=\"tanh\"", -2, 2),
    UNARY_CHECK(HardSigmoid, "alpha=0.3, beta=0.4", -2, 2),
    UNARY_CHECK(HardSwish, "", -4, 4),
    UNARY_CHECK(LeakyRelu, "alpha=0.2", -1, 1),
    UNARY_CHECK(Log, "", 0.5, 3),
    UNARY_CHECK(LogSoftmax, "axis=1", -2, 2),
    UNARY_CHECK(Mish, "", -3, 3),
    UNARY_CHECK(Neg, "", -1, 1),
    UNARY_CHECK(Reciprocal, "", 0.5, 3),
    UNARY_CHECK(Relu, "", -1, 1),
    UNARY_CHECK(Selu, "", -2, 2),
    UNARY_CHECK(Sigmoid, "", -3, 3),
    UNARY_CHECK(Sin, "", -2, 2),
    UNARY_CHECK(Softmax, "axis=1", -2, 2),
    UNARY_CHECK(Softplus, "", -3, 3),
    UNARY_CHECK(Softsign, "", -3, 3),
    UNARY_CHECK(Sqrt, "", 0.5, 3),
    UNARY_CHECK(Tanh, "", -2, 2),
    UNARY_CHECK(Identity, "", -1, 1),

    BINARY_CHECK(Add, -1, 1),
    BINARY_CHECK(Sub, -1, 1),
    BINARY_CHECK(Mul, -1, 1),
    BINARY_CHECK(Div, 0.5, 2),
    BINARY_CHECK(Pow, 0.5, 2),
    BINARY_CHECK(Max, -1, 1),
    BINARY_CHECK(Min, -1, 1),
    {"graph g(%x: f32[1,3,4]) { %s = const f32[3,1] {*0} %y = PRelu(%x, %s) return %y "
     "}",
     -1, 1, false},
    {"graph g(%x: f32[1,3,4]) { %b = const f32[3,1] {*0} %s = const f32[4] {*0} "
     "%y = Add(%x, %b) %z = Mul(%s, %y) %q = Relu(%z) return %q }",
     -1, 1, false},
    {"graph g(%a: f32[2,3], %b: f32[3]) { %z = const f32[] {0.1} %c = Greater(%a, %z) "
     "%y = Where(%c, %a, %b) %m = Mul(%y, %y) return %m }",
     -1, 1, false},
    {"graph g(%x: f32[2,5]) { %l = const f32[] {-0.5} %h = const f32[] {0.25} "
     "%n = Neg(%x) %y = Clip(%n, %l, %h) %z = Neg(%y) return %z }",
     -1, 1, false},
    /* The same value twice, and one that several read. */
    {"graph g(%x: f32[2,5]) { %t = Tanh(%x) %y = Mul(%t, %t) %z = Add(%y, %t) "
     "%q = Add(%z, %z) %r = Relu(%q) return %r }",
     -1, 1, false},

    CONV_CHECK("1,3,6,5", "4,3,3,3",
               "kernel_shape=[3,3], strides=[1,1], dilations=[1,1], pads=[1,1,1,1]"),
    CONV_CHECK("1,3,7,6", "4,3,3,2",
               "kernel_shape=[3,2], strides=[2,2], dilations=[1,1], pads=[1,0,0,1]"),
    CONV_CHECK("1,3,9,8", "4,3,2,3",
               "kernel_shape=[2,3], strides=[1,2], dilations=[3,2], pads=[2,1,0,3]"),
    CONV_CHECK(
        "1,4,6,5", "4,1,3,3",
        "kernel_shape=[3,3], strides=[2,1], dilations=[1,1], pads=[1,1,1,1], group=4"),
    CONV_CHECK(
        "1,6,5,5", "4,3,1,1",
        "kernel_shape=[1,1], strides=[3,3], dilations=[1,1], pads=[0,0,0,0], group=2"),
    CONV_CHECK("1,2,23", "4,2,5",
               "kernel_shape=[5], strides=[3], dilations=[2], pads=[4,3]"),
    {"graph g(%x: f32[1,9,17,17]) { %w = const f32[11,9,3,3] {*0} "
     "%y = Conv(%x, %w) {kernel_shape=[3,3], strides=[1,1], dilations=[1,1], "
     "pads=[1,1,1,1]} return %y }",
     -1, 1, false},

    {"graph g(%x: f32[2,3]) { %w = const f32[4,3] {*0} %c = const f32[4] {*0} "
     "%y = Gemm(%x, %w, %c) {transB=1, alpha=0.5, beta=2.0} return %y }",
     -1, 1, false},
    {"graph g(%x: f32[3,2]) { %w = const f32[3,4] {*0} %v = const f32[5,2] {*0} "
     "%y = Gemm(%x, %w) {transA=1} %z = Gemm(%y, %v) {transA=1, transB=1} return %z }",
     -1, 1, false},
    {"graph g(%a: f32[2,1,3,4], %b: f32[5,4,2]) { %w = const f32[2,3] {*0} "
     "%y = MatMul(%a, %b) %z = MatMul(%y, %w) return %z }",
     -1, 1, false},

    {"graph g(%x: f32[1,3,4,2]) { %s = const f32[3] {*0} %b = const f32[3] {*0} "
     "%m = const f32[3] {*0} %v = const f32[3] {*1} "
     "%y = BatchNormalization(%x, %s, %b, %m, %v) {epsilon=0.01} %z = Sin(%y) return "
     "%z }",
     -1, 1, true},
    {"graph g(%x: f32[1,3,4,2]) { %s = const f32[3] {*0} %b = const f32[3] {*0} "
     "%m = const f32[3] {*0} %v = const f32[3] {*1} "
     "%y = BatchNormalization(%x, %s, %b, %m, %v) {epsilon=0.01} %z = Sin(%y) return "
     "%z }",
     -1, 1, false},
    {"graph g(%x: f32[1,2,6]) { %s = const f32[6] {*0} %b = const f32[6] {*0} "
     "%y = LayerNormalization(%x, %s, %b) {axis=2, epsilon=0.01} return %y }",
     -1, 1, false},
    {"graph g(%x: f32[1,2,6]) { %s = const f32[6] {*0} "
     "%y = RMSNormalization(%x, %s) {axis=2, epsilon=0.01} return %y }",
     -1, 1, false},
    {"graph g(%x: f32[1,4,3,2]) { %s = const f32[4] {*0} %b = const f32[4] {*0} "
     "%y = GroupNormalization(%x, %s, %b) {num_groups=2, epsilon=0.01} return %y }",
     -1, 1, false},
    {"graph g(%x: f32[1,4,3,2]) { %s = const f32[4] {*0} %b = const f32[4] {*0} "
     "%y = InstanceNormalization(%x, %s, %b) {epsilon=0.01} return %y }",
     -1, 1, false},

    {"graph g(%x: f32[2,3,4]) { %y = Softmax(%x) {axis=1} %z = LogSoftmax(%x) {axis=0} "
     "%q = Add(%y, %z) return %q }",
     -1, 1, false},
    {"graph g(%x: f32[2,3,4]) { %a = ReduceMean(%x) {axes=[1,2], keepdims=1} "
     "%b = ReduceSum(%x) {axes=[0,2], keepdims=1} %c = ReduceMax(%x) {axes=[1], "
     "keepdims=1} "
     "%d = ReduceMin(%x) {axes=[2], keepdims=1} %e = ReduceL2(%x) {axes=[0,1], "
     "keepdims=1} "
     "%f = ReduceSumSquare(%x) {axes=[0,1,2], keepdims=1} "
     "%g = Mul(%a, %b) %h = Mul(%c, %d) %i = Mul(%e, %f) %j = Add(%g, %h) "
     "%k = Mul(%i, %j) return %k }",
     -1, 1, false},
    {"graph g(%x: f32[1,2,7,6]) { %y = MaxPool(%x) {kernel_shape=[3,2], strides=[2,1], "
     "dilations=[1,2], pads=[1,1,0,0], ceil_mode=1} return %y }",
     -1, 1, false},
    {"graph g(%x: f32[1,2,7,6]) { %y = AveragePool(%x) {kernel_shape=[3,3], "
     "strides=[2,2], dilations=[1,1], pads=[1,1,1,1], ceil_mode=1} "
     "%z = AveragePool(%x) {kernel_shape=[2,2], strides=[1,1], dilations=[1,1], "
     "pads=[1,1,0,0], count_include_pad=1} return %y, %z }",
     -1, 1, false},

    {"graph g(%x: f32[2,3,4]) { %a = Transpose(%x) {perm=[2,0,1]} "
     "%b = Reshape(%a) {shape=[4,6]} %c = Slice(%b) {starts=[3,1], steps=[-2,1], "
     "sizes=[2,4]} %d = Flatten(%c) {shape=[1,8]} %e = Relu(%d) return %e, %b }",
     -1, 1, false},
    {"graph g(%x: f32[1,3,1]) { %s = Squeeze(%x) {shape=[3]} %u = Unsqueeze(%s) "
     "{shape=[1,3]} %e = Expand(%u) {shape=[2,3]} %t = Tile(%e) {repeats=[2,1]} "
     "%m = Mul(%t, %t) return %m }",
     -1, 1, false},
    {"graph g(%x: f32[1,4,2,2]) { %a = DepthToSpace(%x) {blocksize=2} "
     "%b = SpaceToDepth(%a) {blocksize=2} %c = Mul(%b, %b) return %c }",
     -1, 1, false},
    {"graph g(%x: f32[2,5]) { %p, %q = Split(%x) {axis=1, split=[2,3]} "
     "%a = Concat(%q, %p, %q) {axis=1} %b = Mul(%a, %a) return %b }",
     -1, 1, false},
    {"graph g(%x: f32[2,5]) { %p = Pad(%x) {pads=[1,0,0,2], mode=\"constant\"} "
     "%q = Pad(%x) {pads=[0,2,0,3], mode=\"reflect\"} %a = Mul(%p, %p) "
     "%b = Mul(%q, %q) return %a, %b }",
     -1, 1, false},
    {"graph g(%x: f32[1,2,3,4]) { %y = Resize(%x) {mode=\"linear\", "
     "coordinate_transformation_mode=\"half_pixel\", sizes=[1,2,5,7], "
     "scales=floats[1,1,1.6666666,1.75]} %z = Resize(%x) {mode=\"nearest\", "
     "coordinate_transformation_mode=\"asymmetric\", nearest_mode=\"floor\", "
     "sizes=[1,2,6,8], scales=floats[1,1,2,2]} return %y, %z }",
     -1, 1, false},
    {"graph g(%t: i64[1,4]) { %w = const f32[6,3] {*0} %y = Gather(%w, %t) {axis=0} "
     "%z = Tanh(%y) return %z }",
     0, 6, false},
    {"graph g(%x: f32[2,5,3], %t: i64[2]) { %y = Gather(%x, %t) {axis=1} return %y }",
     0, 5, false},

    {"graph g(%x: f32[3,1,16], %h: f32[2,1,2], %c: f32[2,1,2]) { "
     "%r = const f32[2,2,8] {*0} %y, %a, %b = LSTM(%x, %r, _, %h, %c) "
     "{direction=\"bidirectional\", activations=strings[\"Sigmoid\", \"Tanh\", "
     "\"Tanh\", \"Sigmoid\", \"Tanh\", \"Tanh\"]} return %y, %a, %b }",
     -1, 1, false},
    {"graph g(%x: f32[3,1,8]) { %r = const f32[1,2,8] {*0} "
     "%y = LSTM(%x, %r) {direction=\"reverse\", activations=strings[\"Sigmoid\", "
     "\"Tanh\", \"Tanh\"]} return %y }",
     -1, 1, false},
    {"graph g(%x: f32[3,1,12], %h: f32[2,1,2]) { %r = const f32[2,2,6] {*0} "
     "%y, %a = GRU(%x, %r, _, %h) {direction=\"bidirectional\", "
     "activations=strings[\"Sigmoid\", \"Tanh\", \"Sigmoid\", \"Tanh\"]} return %y, %a "
     "}",
     -1, 1, false},
    {"graph g(%x: f32[3,1,6]) { %r = const f32[1,2,6] {*0} %b = const f32[1,2] {*0} "
     "%y = GRU(%x, %r, _, _, _, _, %b) {linear_before_reset=1, "
     "activations=strings[\"Sigmoid\", \"Tanh\"]} return %y }",
     -1, 1, false},

    CONV_CHECK("1,2,5,4,3", "4,2,3,2,2",
               "kernel_shape=[3,2,2], strides=[2,1,1], dilations=[1,2,1], "
               "pads=[1,1,0,0,1,1]"),
    CONV_CHECK("1,4,3,4,3", "4,2,2,2,3",
               "kernel_shape=[2,2,3], strides=[1,2,1], dilations=[1,1,1], "
               "pads=[0,0,1,0,0,1], group=2"),
    TRANSPOSE_CHECK("1,3,4,3", "3,4,3,3", "4",
                    "kernel_shape=[3,3], strides=[2,2], dilations=[1,1], "
                    "pads=[1,1,1,1], output_padding=[1,0]"),
    TRANSPOSE_CHECK("1,4,3,5", "4,2,2,3", "4",
                    "kernel_shape=[2,3], strides=[1,3], dilations=[2,1], "
                    "pads=[0,1,1,2], output_padding=[0,2], group=2"),
    TRANSPOSE_CHECK("1,2,7", "2,3,4", "3",
                    "kernel_shape=[4], strides=[2], dilations=[1], pads=[1,1]"),
    TRANSPOSE_CHECK("1,2,3,2,4", "2,2,2,3,2", "2",
                    "kernel_shape=[2,3,2], strides=[2,1,2], dilations=[1,1,1], "
                    "pads=[0,1,0,0,1,1]"),
};

enum { N_CHECKS = sizeof checks / sizeof *checks };

/* ---- making --------------------------------------------------------------------- */

struct trial {
    const struct check *check;
    struct compile *c;
    struct ir_graph *g;
    struct tape *t;
    int64_t n;
    struct random r;
    double *factor[8]; /* of output k: [n][count] */
    double *input[4];
};

static double between(struct random *r, double least, double most)
{
    return least + (most - least) * random_unit(r);
}

static void fill_constant(struct trial *t, struct ir_value *v)
{
    float *data = arena_new_array(t->c->perm, float, ir_count(v));
    const float first = ir_count(v) && v->data ? *(const float *)v->data : 0;

    if (v->rank == 0)
        return;
    for (int64_t i = 0; i < ir_count(v); i++)
        data[i] = (float)between(&t->r, first > 0 ? 0.5 : -1, first > 0 ? 1.5 : 1);
    v->data = data;
}

static void fill_inputs(struct trial *t)
{
    for (int k = 0; k < t->g->n_in; k++) {
        const struct ir_value *v = t->g->in[k];
        const int64_t count = ir_count(v);

        t->input[k] = arena_new_array(t->c->perm, double, t->n *count);
        for (int64_t i = 0; i < t->n * count; i++)
            t->input[k][i] = between(&t->r, t->check->least, t->check->most);
        for (int64_t s = 0; s < t->n; s++)
            for (int64_t i = 0; i < count; i++)
                if (v->dtype == DT_f32) {
                    /* float32 exactly, for the interpreter */
                    const float x = (float)t->input[k][s * count + i];

                    ((real *)tape_input(t->t, s, k))[i] = (real)x;
                } else {
                    ((int64_t *)tape_input(t->t, s, k))[i] =
                        (int64_t)t->input[k][s * count + i];
                }
    }
}

static struct trial trial_begin(const struct check *check, int64_t n, int n_threads)
{
    struct trial t = {
        .check = check, .c = compile_create(), .n = n, .r = random_seeded(11)};
    const struct tape_options o = {.batch = n,
                                   .n_threads = n_threads,
                                   .backward = true,
                                   .train_norms = check->train_norms,
                                   .differentiate_inputs = true};

    CHECK_OK(ir_parse(t.c, check->graph, strlen(check->graph), &t.g));
    for (struct ir_node *node = t.g->first; node; node = node->next)
        for (int i = 0; i < node->n_in; i++)
            if (node->in[i] && node->in[i]->data && node->in[i]->dtype == DT_f32)
                fill_constant(&t, node->in[i]);
    CHECK_OK(tape_build(t.g, &o, &t.t));
    t.t->stat_share = 1e-30; /* statistics do not move between differences */
    fill_inputs(&t);
    for (int k = 0; k < t.t->n_outputs; k++) {
        const int64_t count = t.t->output[k]->count;

        t.factor[k] = arena_new_array(t.c->perm, double, n *count);
        for (int64_t i = 0; i < n * count; i++)
            t.factor[k][i] = between(&t.r, -1, 1);
    }
    return t;
}

static void trial_end(struct trial *t)
{
    tape_destroy(t->t);
    compile_destroy(t->c);
}

static double loss(struct trial *t)
{
    double sum = 0;

    tape_forward(t->t, t->n);
    for (int k = 0; k < t->t->n_outputs; k++)
        for (int64_t s = 0; s < t->n; s++)
            for (int64_t i = 0; i < t->t->output[k]->count; i++)
                sum += t->factor[k][s * t->t->output[k]->count + i]
                       * (double)tape_output(t->t, s, k)[i];
    return sum;
}

static void differentiate(struct trial *t)
{
    tape_forward(t->t, t->n);
    for (int k = 0; k < t->t->n_outputs; k++)
        for (int64_t s = 0; s < t->n; s++)
            for (int64_t i = 0; i < t->t->output[k]->count; i++)
                tape_output_gradient(t->t, s, k)[i] =
                    (real)t->factor[k][s * t->t->output[k]->count + i];
    tape_backward(t->t, t->n);
}

/* ---- comparing ------------------------------------------------------------------ */

/* Relative to the largest slope of the same tensor. */
static void compare(const struct trial *t, const char *what, const double *want,
                    const double *got, int64_t n)
{
    double most = 1e-6;

    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(want[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(want[i] - got[i]) < 1e-5 * most)) {
            print_error("%s\n%s[%lld]: differences give %.9g, backward %.9g\n",
                        t->check->graph, what, (long long)i, want[i], got[i]);
            fail();
        }
}

static double slope_at(struct trial *t, real *x)
{
    const real middle = *x, step = (real)1e-5;
    double up, down;

    *x = middle + step;
    up = loss(t);
    *x = middle - step;
    down = loss(t);
    *x = middle;
    return (up - down) / (2 * (double)step);
}

static void check_weights(struct trial *t, const double *gradient)
{
    for (int w = 0; w < t->t->n_weights; w++) {
        const struct tape_weight *weight = &t->t->weights[w];
        double *want = arena_new_array(t->c->perm, double, weight->count);

        for (int64_t i = 0; i < weight->count; i++)
            want[i] = slope_at(t, &t->t->weight[weight->at + i]);
        compare(t, weight->value->name, want, gradient + weight->at, weight->count);
    }
}

static void check_inputs(struct trial *t, double *const *gradient)
{
    for (int k = 0; k < t->g->n_in; k++) {
        const int64_t count = ir_count(t->g->in[k]);
        double *want = arena_new_array(t->c->perm, double, t->n *count);

        if (t->g->in[k]->dtype != DT_f32)
            continue;
        for (int64_t s = 0; s < t->n; s++)
            for (int64_t i = 0; i < count; i++)
                want[s * count + i] = slope_at(t, (real *)tape_input(t->t, s, k) + i);
        compare(t, t->g->in[k]->name, want, gradient[k], t->n * count);
    }
}

static void check_gradients(const struct check *check, int64_t n)
{
    struct trial t = trial_begin(check, n, 1);
    double *weights = arena_new_array(t.c->perm, double, t.t->n_elements);
    double *inputs[4] = {NULL};

    differentiate(&t);
    for (int64_t i = 0; i < t.t->n_elements; i++)
        weights[i] = (double)t.t->gradient[i];
    for (int k = 0; k < t.g->n_in; k++) {
        const int64_t count = ir_count(t.g->in[k]);

        inputs[k] = arena_new_array(t.c->perm, double, n *count);
        for (int64_t s = 0; s < n && t.g->in[k]->dtype == DT_f32; s++)
            for (int64_t i = 0; i < count; i++)
                inputs[k][s * count + i] = (double)tape_input_gradient(t.t, s, k)[i];
    }
    check_weights(&t, weights);
    check_inputs(&t, inputs);
    trial_end(&t);
}

/* ---- tests ---------------------------------------------------------------------- */

TEST(every_derivative_agrees_with_finite_differences)
{
    for (int i = 0; i < N_CHECKS; i++)
        check_gradients(&checks[i], 3);
}

TEST(shards_of_several_samples_and_an_empty_one_add_up)
{
    for (int i = 0; i < N_CHECKS; i += 5)
        check_gradients(&checks[i], MOST_SAMPLES);
}

/* 3 x 3 taps of many channels go by filtering.h; with a fourth column of zeros the same
 * sums are made directly. */
#define CONVOLUTION(columns, right)                                                    \
    "graph g(%x: f32[1,16,17,19]) { %w = const f32[12,16,3," #columns "] {*0} "        \
    "%b = const f32[12] {*0} %y = Conv(%x, %w, %b) {kernel_shape=[3," #columns "], "   \
    "strides=[1,1], dilations=[1,1], pads=[1,1,1," #right "]} "                        \
    "%v = const f32[18,12,3," #columns "] {*0} %r = Relu(%y) "                         \
    "%z = Conv(%r, %v) {kernel_shape=[3," #columns "], strides=[1,1], "                \
    "dilations=[1,1], pads=[0,2,1," #right "]} %q = Mul(%z, %z) return %q }"

static void same_numbers(const real *a, const real *b, int64_t n)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)b[i]));
    for (int64_t i = 0; i < n; i++)
        CHECK(fabs((double)a[i] - (double)b[i]) < 1e-11 * most);
}

TEST(filtered_convolutions_are_those_of_direct_sums)
{
    static const struct check three = {CONVOLUTION(3, 1), -1, 1, false};
    static const struct check four = {CONVOLUTION(4, 2), -1, 1, false};
    struct trial filtered = trial_begin(&three, 7, 1),
                 direct = trial_begin(&four, 7, 1);
    const struct tape *a = filtered.t, *b = direct.t;

    for (int w = 0; w < 3; w++) /* the same taps, and zeros */
        for (int64_t i = 0; i < b->weights[w].count; i++)
            b->weight[b->weights[w].at + i] =
                w == 1       ? a->weight[a->weights[w].at + i]
                : i % 4 == 3 ? 0
                             : a->weight[a->weights[w].at + i / 4 * 3 + i % 4];
    for (int64_t s = 0; s < 7; s++)
        memcpy(tape_input(direct.t, s, 0), tape_input(filtered.t, s, 0),
               16 * 17 * 19 * sizeof(real));
    memcpy(direct.factor[0], filtered.factor[0],
           (size_t)(7 * a->output[0]->count) * sizeof(double));
    tape_forward(filtered.t, 7);
    tape_forward(direct.t, 7);
    for (int64_t s = 0; s < 7; s++)
        same_numbers(tape_output(a, s, 0), tape_output(b, s, 0), a->output[0]->count);
    differentiate(&filtered);
    differentiate(&direct);
    for (int64_t s = 0; s < 7; s++)
        same_numbers(tape_input_gradient(a, s, 0), tape_input_gradient(b, s, 0),
                     16 * 17 * 19);
    for (int64_t i = 0; i < a->weights[0].count; i++)
        CHECK(fabs((double)a->gradient[a->weights[0].at + i]
                   - (double)b->gradient[b->weights[0].at + i / 3 * 4 + i % 3])
              < 1e-8 * (1 + fabs((double)a->gradient[a->weights[0].at + i])));
    trial_end(&filtered);
    trial_end(&direct);
}

TEST(every_row_of_the_table_is_checked)
{
    bool seen[OP_COUNT] = {false};

    for (int i = 0; i < N_CHECKS; i++) {
        struct compile *c = compile_create();
        struct ir_graph *g;

        CHECK_OK(ir_parse(c, checks[i].graph, strlen(checks[i].graph), &g));
        for (const struct ir_node *n = g->first; n; n = n->next)
            seen[n->op] = true;
        compile_destroy(c);
    }
    seen[OP_DequantizeLinear] = true; /* has steps: the two tests below */
    for (int op = 0; op < OP_COUNT; op++)
        if (derivatives[op].forward && !seen[op]) {
            print_error("%s has a derivative and no check\n", op_info[op].name);
            fail();
        }
}

static void check_sample(struct trial *t, int64_t s)
{
    struct tensor in[4];
    struct interpretation run;

    for (int k = 0; k < t->g->n_in; k++) {
        const struct ir_value *v = t->g->in[k];
        float *x = arena_new_array(t->c->perm, float, ir_count(v));

        in[k] = (struct tensor){.dtype = v->dtype, .rank = v->rank, .data = x};
        memcpy(in[k].dim, v->dim, sizeof in[k].dim);
        if (v->dtype != DT_f32)
            in[k].data = tape_input(t->t, s, k);
        for (int64_t i = 0; v->dtype == DT_f32 && i < ir_count(v); i++)
            x[i] = (float)((const real *)tape_input(t->t, s, k))[i];
    }
    CHECK_OK(interpret(t->c->perm, t->g, in, &run));
    for (int k = 0; k < t->t->n_outputs; k++) {
        const float *want = run.by_id[t->t->output[k]->value->id].data;

        for (int64_t i = 0; i < t->t->output[k]->count; i++)
            if (!(fabs((double)want[i] - (double)tape_output(t->t, s, k)[i])
                  < 1e-5 * (1 + fabs((double)want[i])))) {
                print_error("%s\noutput %d[%lld]: %g, not %g\n", t->check->graph, k,
                            (long long)i, (double)tape_output(t->t, s, k)[i],
                            (double)want[i]);
                fail();
            }
    }
}

TEST(results_are_those_of_the_interpreter)
{
    for (int i = 0; i < N_CHECKS; i++) {
        struct trial t;

        if (checks[i].train_norms)
            continue;
        t = trial_begin(&checks[i], MOST_SAMPLES, 2);
        tape_forward(t.t, t.n);
        check_sample(&t, 0);
        check_sample(&t, MOST_SAMPLES - 1);
        trial_end(&t);
    }
}

TEST(gradients_have_the_same_bytes_with_any_number_of_threads)
{
    for (int i = 0; i < N_CHECKS; i++) {
        struct trial one = trial_begin(&checks[i], MOST_SAMPLES, 1);
        struct trial three = trial_begin(&checks[i], MOST_SAMPLES, 3);

        differentiate(&one);
        differentiate(&three);
        CHECK_EQ(one.t->n_elements, three.t->n_elements);
        CHECK_BYTES(one.t->gradient, three.t->gradient,
                    (size_t)one.t->n_elements * sizeof(real));
        trial_end(&one);
        trial_end(&three);
    }
}

TEST(an_operator_without_derivative_after_weights_is_refused_by_name)
{
    static const char text[] =
        "graph g(%x: f32[1,3]) { %w = const f32[3,3] {*0} %y = MatMul(%x, %w) "
        "%z = CumSum(%y) {axis=1} \"total\" return %z }";
    const struct tape_options o = {.batch = 2, .backward = true};
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct tape *t;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_FAILS(tape_build(g, &o, &t), UNSUPPORTED, "node 'total' (CumSum");
    compile_destroy(c);
}

TEST(an_operator_without_derivative_before_weights_runs)
{
    static const char text[] =
        "graph g(%x: f32[1,3]) { %w = const f32[3,2] {1,2,3,4,5,6} "
        "%c = CumSum(%x) {axis=1} %y = MatMul(%c, %w) return %y }";
    const struct tape_options o = {.batch = 2, .backward = true};
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct tape *t;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(tape_build(g, &o, &t));
    memcpy(tape_input(t, 1, 0), (real[]){1, 1, 1}, 3 * sizeof(real));
    tape_forward(t, 2);
    CHECK(tape_output(t, 1, 0)[0] == 22 && tape_output(t, 1, 0)[1] == 28);
    tape_destroy(t);
    compile_destroy(c);
}

/* ---- codes ---------------------------------------------------------------------- */

/* x / s = 1.2, 2.5, -3, 500: codes 4, 5 (2.5 is even's), 0, and 127, which is the
 * limit. Slopes of s: 1 - 1.2, 2 - 2.5, 0, and 124. */
TEST(rounding_passes_slopes_inside_the_limits_and_learns_its_step)
{
    static const char text[] = "graph g(%x: f32[4]) { %s = const f32[] {0.5} "
                               "%z = const i8[] {3} %q = QuantizeLinear(%x, %s, %z) "
                               "%y = DequantizeLinear(%q, %s, %z) return %y }";
    static const real x[] = {(real)0.6, 1.25, -1.5, 250}, dy[] = {1, 2, 4, 8};
    static const real y[] = {0.5, 1, -1.5, 62}, dx[] = {1, 2, 4, 0};
    const struct tape_options o = {
        .batch = 1, .backward = true, .differentiate_inputs = true};
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct tape *t;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(tape_build(g, &o, &t));
    memcpy(tape_input(t, 0, 0), x, sizeof x);
    tape_forward(t, 1);
    CHECK_BYTES(tape_output(t, 0, 0), y, sizeof y);
    memcpy(tape_output_gradient(t, 0, 0), dy, sizeof dy);
    tape_backward(t, 1);
    CHECK_BYTES(tape_input_gradient(t, 0, 0), dx, sizeof dx);
    CHECK_EQ(t->n_weights, 1);
    CHECK(fabs((double)t->gradient[0] - (-0.2 - 1 + 0 + 8 * 124)) < 1e-6);
    CHECK(fabs((double)t->weights[0].rate - 1 / sqrt(4 * 127)) < 1e-9);
    tape_destroy(t);
    compile_destroy(c);
}

/* Four-bit weights 1, -7 in steps of 0.5 and 2, 3 in steps of 0.25. */
TEST(weights_of_codes_are_trained_as_numbers_and_stored_as_codes)
{
    static const char text[] =
        "graph g(%x: f32[1,2]) { %w = const i4[2,2] {1,-7,2,3} %s = const f32[2] "
        "{0.5,0.25} %z = const i4[2] {0,0} %r = DequantizeLinear(%w, %s, %z) {axis=0} "
        "%y = Gemm(%x, %r) {transB=1} return %y }";
    static const real x[] = {1, 10}, dy[] = {1, 1};
    const struct tape_options o = {.batch = 1, .backward = true};
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct tape *t;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(tape_build(g, &o, &t));
    memcpy(tape_input(t, 0, 0), x, sizeof x);
    t->weight[2] = (real)1.6; /* after the two scales: was 1, rounds to 2 */
    t->weight[3] = -10;       /* was -7, the limit */
    tape_forward(t, 1);
    CHECK(tape_output(t, 0, 0)[0] == 1 - 35 && tape_output(t, 0, 0)[1] == 8);
    memcpy(tape_output_gradient(t, 0, 0), dy, sizeof dy);
    tape_backward(t, 1);
    CHECK(t->gradient[2] == 0.5 && t->gradient[3] == 0 && t->gradient[4] == 0.25);
    CHECK(t->gradient[0] == 2 + 10 * -7 && t->gradient[1] == 2 + 10 * 3);
    tape_store(t, g);

    const struct ir_node *dequantize = g->first;

    CHECK_BYTES(dequantize->in[0]->data, ((int8_t[]){2, -7, 2, 3}), 4);
    CHECK(((const float *)dequantize->in[1]->data)[0] == 0.5f);
    tape_destroy(t);
    compile_destroy(c);
}
