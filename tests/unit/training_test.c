/* SPDX-License-Identifier: Apache-2.0 */
// links: train frontend runtime kernels
/* Training as a whole: it learns, it is the same for any number of threads, and a
 * training that is killed goes on to the same bytes. */
#include "tests/test.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/random.h"
#include "train/checkpoint.h"
#include "train/masks.h"
#include "train/norms.h"
#include "train/tape.h"
#include "train/train.h"

/* ---- a data set: which of three corners of a picture is bright ------------------ */

enum { SAMPLES = 96, PIXELS = 36 };

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[4][128];
    static int turn;

    if (!folder[0]) {
        strcpy(folder, "/tmp/hadmc-training-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void write_npy(const char *name, const char *descr, const char *shape,
                      const void *data, size_t n)
{
    char head[128] = "\x93NUMPY\1";
    const int n_head =
        snprintf(head + 10, sizeof head - 10,
                 "{'descr':'%s','fortran_order':False,'shape':(%s)}", descr, shape);
    FILE *f = fopen(path_of(name), "wb");

    head[8] = (char)n_head;
    assert_non_null(f);
    fwrite(head, 1, 10 + (size_t)n_head, f);
    fwrite(data, 1, n, f);
    fclose(f);
}

static void write_data(void)
{
    static float x[SAMPLES][PIXELS];
    static int64_t label[SAMPLES];
    static const int corner[3] = {7, 10, 25};
    struct random r = random_seeded(5);

    for (int i = 0; i < SAMPLES; i++) {
        label[i] = (int64_t)random_below(&r, 3);
        for (int p = 0; p < PIXELS; p++)
            x[i][p] = (float)random_unit(&r);
        x[i][corner[label[i]]] += 1.5f;
    }
    write_npy("train_x.npy", "<f4", "96,1,6,6", x, sizeof x);
    write_npy("train_labels.npy", "<i8", "96,", label, sizeof label);
}

/* ---- a network ------------------------------------------------------------------ */

static const char network[] =
    "graph net(%x: f32[1,1,6,6]) {\n"
    "%w = const f32[8,1,3,3] {*0} %s = const f32[8] {*1} %b = const f32[8] {*0}\n"
    "%m = const f32[8] {*0} %v = const f32[8] {*1}\n"
    "%c = Conv(%x, %w) {kernel_shape=[3,3], strides=[1,1], dilations=[1,1], "
    "pads=[1,1,1,1]}\n"
    "%n = BatchNormalization(%c, %s, %b, %m, %v) {epsilon=1e-5}\n"
    "%r = Relu(%n) %p = MaxPool(%r) {kernel_shape=[2,2], strides=[2,2], "
    "dilations=[1,1], pads=[0,0,0,0]}\n"
    "%f = Reshape(%p) {shape=[1,72]} %u = const f32[3,72] {*0} %t = const f32[3] {*0}\n"
    "%y = Gemm(%f, %u, %t) {transB=1} %z = Softmax(%y) {axis=1} return %z }";

struct run {
    struct compile *c;
    struct ir_graph *g;
    struct dataset *d;
    struct train_options o;
    int64_t sample[SAMPLES];
};

/* Constants of several elements that are all zero get random numbers. */
static void fill(struct compile *c, struct ir_graph *g, uint64_t seed)
{
    struct random r = random_seeded(seed);

    for (struct ir_node *n = g->first; n; n = n->next)
        for (int i = 1; i < n->n_in; i++) {
            struct ir_value *v = n->in[i];
            float *data;

            if (!v->data || v->rank < 2 || v->dtype != DT_f32)
                continue;
            data = arena_new_array(c->perm, float, ir_count(v));
            for (int64_t k = 0; k < ir_count(v); k++)
                data[k] = (float)(0.4 * random_unit(&r) - 0.2);
            v->data = data;
        }
}

static struct ir_graph *parse(struct compile *c, const char *text, uint64_t seed)
{
    struct ir_graph *g;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    fill(c, g, seed);
    return g;
}

static void begin_with(struct run *r, const char *text, uint64_t seed)
{
    struct dataset_options want = {0};

    *r = (struct run){.c = compile_create(), .o = train_defaults()};
    r->g = parse(r->c, text, seed);
    if (!folder[0])
        write_data();
    CHECK_OK(dataset_inputs_of(r->g, r->c->perm, &want));
    CHECK_OK(dataset_open(folder, &want, r->c->perm, &r->d));
    CHECK_EQ(r->d->n, SAMPLES);
    for (int64_t i = 0; i < SAMPLES; i++)
        r->sample[i] = i;
    r->o.data = r->d;
    r->o.n_samples = SAMPLES;
    r->o.sample = r->sample;
    r->o.set.batch = 24;
    r->o.set.epochs = 6;
    r->o.set.optimizer.rate = 0.05;
    r->o.n_threads = 1;
    r->o.set.augment = (struct augment){.noise = 0.05};
}

static void begin(struct run *r, uint64_t seed)
{
    begin_with(r, network, seed);
}

static void end(struct run *r)
{
    dataset_close(r->d);
    compile_destroy(r->c);
}

static void same_constants(const struct ir_graph *a, const struct ir_graph *b)
{
    const struct ir_node *m = b->first;

    for (const struct ir_node *n = a->first; n; n = n->next, m = m->next)
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i]->data)
                CHECK_BYTES(n->in[i]->data, m->in[i]->data, (size_t)ir_bytes(n->in[i]));
}

static int right_answers(const struct run *r, const struct ir_graph *g)
{
    int right = 0;

    for (int64_t i = 0; i < SAMPLES; i++) {
        float x[PIXELS];
        struct tensor in = {.dtype = DT_f32, .rank = 4, .dim = {1, 1, 6, 6}, .data = x};
        struct interpretation run;
        const float *y;
        int best = 0;

        CHECK_OK(dataset_read(r->d, i, 0, x));
        CHECK_OK(interpret(r->c->perm, g, &in, &run));
        y = run.by_id[g->out[0]->id].data;
        for (int k = 1; k < 3; k++)
            best = y[k] > y[best] ? k : best;
        right += best == dataset_label(r->d, i);
    }
    return right;
}

/* ---- learning ------------------------------------------------------------------- */

TEST(a_network_learns_from_labels_and_what_is_stored_runs_elsewhere)
{
    struct train_result result;
    struct run r;

    begin(&r, 1);
    r.o.set.epochs = 15;
    r.o.reestimate = 4;
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK_OK(ir_verify(r.g));
    CHECK_EQ(result.steps, 15 * 4);
    CHECK_EQ(result.n_weights, 72 + 16 + 216 + 3);
    CHECK(result.first_loss > 0.5 && result.last_loss < 0.2);
    CHECK(right_answers(&r, r.g) >= 90);
    end(&r);
}

TEST(a_student_follows_an_original_without_labels)
{
    struct train_result result;
    struct run r, original;

    begin(&original, 2);
    original.o.set.epochs = 15;
    CHECK_OK(train_graph(original.c, original.g, NULL, &original.o, &result));
    begin(&r, 3);
    r.o.set.alpha = 1;
    r.o.set.epochs = 15;
    CHECK_OK(train_graph(r.c, r.g, original.g, &r.o, &result));
    CHECK(result.last_loss < 0.2 * result.first_loss);
    CHECK(right_answers(&r, r.g) >= 88);
    end(&r);
    end(&original);
}

/* Two convolutions, the first of four channels where the original has six: a matrix
 * between them is trained too. */
#define TWO_CONVOLUTIONS(channels)                                                     \
    "graph net(%x: f32[1,1,6,6]) { %w = const f32[" channels ",1,3,3] {*0} "           \
    "%c = Conv(%x, %w) {kernel_shape=[3,3], strides=[1,1], dilations=[1,1], "          \
    "pads=[1,1,1,1]} %r = Relu(%c) %v = const f32[6," channels ",3,3] {*0} "           \
    "%d = Conv(%r, %v) {kernel_shape=[3,3], strides=[2,2], dilations=[1,1], "          \
    "pads=[1,1,1,1]} %s = Relu(%d) %f = Reshape(%s) {shape=[1,54]} "                   \
    "%u = const f32[3,54] {*0} %y = Gemm(%f, %u) {transB=1} return %y }"

TEST(a_student_with_other_channels_follows_features)
{
    struct train_result result;
    struct run r, original, three;

    begin_with(&original, TWO_CONVOLUTIONS("6"), 2);
    begin_with(&r, TWO_CONVOLUTIONS("4"), 3);
    begin_with(&three, TWO_CONVOLUTIONS("4"), 3);
    r.o.set.feature = three.o.set.feature = 10;
    r.o.set.alpha = three.o.set.alpha = 1;
    three.o.n_threads = 3;
    CHECK_OK(train_graph(r.c, r.g, original.g, &r.o, &result));
    CHECK(result.last_loss < 0.5 * result.first_loss);
    CHECK_OK(train_graph(three.c, three.g, original.g, &three.o, &result));
    same_constants(r.g, three.g);
    end(&three);
    end(&r);
    end(&original);
}

/* What g makes of sample i. */
static void scores_of(const struct run *r, int64_t i, float y[3])
{
    float x[PIXELS];
    const struct tensor in = {
        .dtype = DT_f32, .rank = 4, .dim = {1, 1, 6, 6}, .data = x};
    struct interpretation run;

    CHECK_OK(dataset_read(r->d, i, 0, x));
    CHECK_OK(interpret(r->c->perm, r->g, &in, &run));
    memcpy(y, run.by_id[r->g->out[0]->id].data, 3 * sizeof *y);
}

static int n_nodes(const struct ir_graph *g, enum ir_op op)
{
    int n = 0;

    for (const struct ir_node *node = g->first; node; node = node->next)
        n += node->op == op;
    return n;
}

TEST(normalization_put_behind_convolutions_changes_nothing_by_itself)
{
    float before[8][3], after[3];
    struct run r;
    int n;

    begin_with(&r, TWO_CONVOLUTIONS("6"), 2);
    for (int i = 0; i < 8; i++)
        scores_of(&r, i, before[i]);
    for (int folded = 0; folded < 2; folded++) {
        if (folded)
            CHECK_OK(norms_fold(r.c, r.g));
        else
            CHECK_OK(norms_insert(r.c, r.g, r.d, SAMPLES, r.sample, 1, &n));
        CHECK_EQ(n_nodes(r.g, OP_BatchNormalization), folded ? 0 : 2);
        for (int i = 0; i < 8; i++) {
            scores_of(&r, i, after);
            for (int k = 0; k < 3; k++)
                CHECK(fabsf(after[k] - before[i][k]) < 1e-5f);
        }
    }
    CHECK_EQ(n, 2);
    end(&r);
}

TEST(a_network_with_normalization_of_its_own_gets_no_other)
{
    struct run r;
    int n;

    begin(&r, 2);
    CHECK_OK(norms_insert(r.c, r.g, r.d, SAMPLES, r.sample, 1, &n));
    CHECK_EQ(n, 0);
    CHECK_EQ(n_nodes(r.g, OP_BatchNormalization), 1);
    end(&r);
}

/* With normalization a larger rate is right; it is gone afterwards. */
TEST(a_network_learns_with_normalization_that_is_folded_again)
{
    struct train_result result;
    struct run r, three;

    begin_with(&r, TWO_CONVOLUTIONS("4"), 3);
    begin_with(&three, TWO_CONVOLUTIONS("4"), 3);
    r.o.set.norms = three.o.set.norms = true;
    r.o.set.epochs = three.o.set.epochs = 15;
    three.o.n_threads = 3;
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK(result.last_loss < 0.3 * result.first_loss);
    CHECK(right_answers(&r, r.g) >= 86);
    CHECK_EQ(n_nodes(r.g, OP_BatchNormalization), 0);
    CHECK_OK(train_graph(three.c, three.g, NULL, &three.o, &result));
    same_constants(r.g, three.g);
    end(&three);
    end(&r);
}

TEST(every_optimizer_learns)
{
    for (int kind = OPTIMIZER_SGD; kind <= OPTIMIZER_ADAMW; kind++) {
        struct train_result result;
        struct run r;

        begin(&r, 1);
        r.o.set.optimizer.kind = kind;
        r.o.set.optimizer.rate = kind == OPTIMIZER_SGD ? 0.05 : 0.01;
        CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
        CHECK(result.last_loss < 0.7 * result.first_loss);
        end(&r);
    }
}

static const char network_of_codes[] =
    "graph net(%x: f32[1,1,6,6]) {\n"
    "%f = Reshape(%x) {shape=[1,36]} %a = const f32[] {0.01} %o = const i8[] {0}\n"
    "%q = QuantizeLinear(%f, %a, %o) %d = DequantizeLinear(%q, %a, %o)\n"
    "%w = const i4[3,36] {*1} %s = const f32[3] {*0.05} %n = const i4[3] {*0}\n"
    "%r = DequantizeLinear(%w, %s, %n) {axis=0} %b = const f32[3] {*0}\n"
    "%y = Gemm(%d, %r, %b) {transB=1} return %y }";

/* Steps and scales of codes too. */
TEST(a_network_of_codes_learns_and_stays_one)
{
    struct train_result result;
    struct run r;

    begin_with(&r, network_of_codes, 1);
    r.o.set.epochs = 40;
    r.o.set.optimizer.rate = 0.1;
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK_OK(ir_verify(r.g));
    CHECK(right_answers(&r, r.g) >= 80);
    for (const struct ir_node *n = r.g->first; n; n = n->next)
        for (int64_t i = 0; n->in[0]->dtype == DT_i4 && i < 108; i++)
            CHECK(((const int8_t *)n->in[0]->data)[i] >= -7
                  && ((const int8_t *)n->in[0]->data)[i] <= 7);
    end(&r);
}

/* The first step of Adam is as long as the rate in all directions, and a code is
 * another one from 0.5 of its steps on. */
static void codes_after_one_step(double rate, int least, int most, int8_t out[108],
                                 float scale[3])
{
    struct train_result result;
    struct run r;

    begin_with(&r, network_of_codes, 1);
    r.o.set.batch = SAMPLES;
    r.o.set.epochs = 1;
    r.o.set.augment = (struct augment){0};
    r.o.set.optimizer.kind = OPTIMIZER_ADAM;
    r.o.set.optimizer.rate = rate;
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK_EQ(result.steps, 1);
    for (const struct ir_node *n = r.g->first; n; n = n->next)
        if (n->in[0]->dtype == DT_i4) {
            memcpy(out, n->in[0]->data, 108);
            memcpy(scale, n->in[1]->data, 3 * sizeof *scale);
        }
    for (int i = 0; i < 108; i++)
        CHECK(out[i] >= least && out[i] <= most);
    end(&r);
}

TEST(a_step_of_adam_is_a_share_of_a_code)
{
    int8_t code[108];
    float scale[3];
    int moved = 0;

    codes_after_one_step(0.4, 1, 1, code, scale);
    for (int i = 0; i < 3; i++)
        CHECK(fabs(fabs((double)scale[i] / 0.05 - 1) - 0.4 / 32) < 1e-4);
    codes_after_one_step(0.6, 0, 2, code, scale);
    for (int i = 0; i < 108; i++)
        moved += code[i] != 1;
    CHECK_EQ(moved, 108);
}

/* ---- masks ---------------------------------------------------------------------- */

/* Of the network's two matrices, 72 and 216 weights. */
static int64_t n_zeros(const struct ir_graph *g)
{
    int64_t zeros = 0;

    for (const struct ir_node *n = g->first; n; n = n->next)
        for (int64_t i = 0;
             (n->op == OP_Conv || n->op == OP_Gemm) && i < ir_count(n->in[1]); i++)
            zeros += ((const float *)n->in[1]->data)[i] == 0.0f;
    return zeros;
}

/* Every third weight of the Gemm. */
static void put_zeros(struct run *r)
{
    for (struct ir_node *n = r->g->first; n; n = n->next)
        for (int64_t i = 0; n->op == OP_Gemm && i < ir_count(n->in[1]); i += 3)
            ((float *)(uintptr_t)n->in[1]->data)[i] = 0.0f;
}

TEST(zeros_stay_where_they_are_for_every_optimizer)
{
    for (int kind = OPTIMIZER_SGD; kind <= OPTIMIZER_ADAMW; kind++) {
        struct train_result result;
        struct run r;

        begin(&r, 1);
        put_zeros(&r);
        r.o.set.optimizer.kind = kind;
        r.o.set.optimizer.rate = kind == OPTIMIZER_SGD ? 0.05 : 0.01;
        r.o.keep_zeros = true;
        CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
        CHECK_EQ(n_zeros(r.g), 72);
        CHECK(result.last_loss < 0.8 * result.first_loss);
        end(&r);
    }
}

TEST(without_keep_zeros_they_move)
{
    struct train_result result;
    struct run r;

    begin(&r, 1);
    put_zeros(&r);
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK_EQ(n_zeros(r.g), 0);
    end(&r);
}

TEST(every_schedule_ends_with_the_share_that_was_asked_for)
{
    for (int kind = ANNEAL_LINEAR; kind <= ANNEAL_HARMONIC; kind++) {
        struct train_result result;
        struct run one, three;

        begin(&one, 1);
        begin(&three, 1);
        one.o.set.masks.kind = three.o.set.masks.kind = kind;
        one.o.set.masks.final = three.o.set.masks.final = 0.75;
        three.o.n_threads = 3;
        CHECK_OK(train_graph(one.c, one.g, NULL, &one.o, &result));
        CHECK_EQ(n_zeros(one.g), (72 + 216) * 3 / 4);
        CHECK_EQ(result.n_zeros, (72 + 216) * 3 / 4);
        CHECK(result.last_loss < 0.8 * result.first_loss);
        CHECK_OK(train_graph(three.c, three.g, NULL, &three.o, &result));
        same_constants(one.g, three.g);
        end(&three);
        end(&one);
    }
}

/* Normalization is folded into the convolutions: zeros times something. */
TEST(zeros_are_zeros_behind_normalization)
{
    struct train_result result;
    struct run r;

    begin_with(&r, TWO_CONVOLUTIONS("4"), 3);
    r.o.set.norms = true;
    r.o.set.masks.kind = ANNEAL_CUBIC;
    r.o.set.masks.final = 0.5;
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK_EQ(n_zeros(r.g), (36 + 216 + 162) / 2);
    end(&r);
}

/* Others may be rounded to zero. */
TEST(zeros_of_codes_are_the_code_zero)
{
    struct train_result result;
    int64_t zeros = 0;
    struct run r;

    begin_with(&r, network_of_codes, 1);
    r.o.set.masks.kind = ANNEAL_CUBIC;
    r.o.set.masks.final = 0.5;
    CHECK_OK(train_graph(r.c, r.g, NULL, &r.o, &result));
    CHECK_EQ(result.n_zeros, 108 / 2);
    for (const struct ir_node *n = r.g->first; n; n = n->next)
        for (int64_t i = 0; n->in[0]->dtype == DT_i4 && i < 108; i++)
            zeros += ((const int8_t *)n->in[0]->data)[i] == 0;
    CHECK(zeros >= 108 / 2);
    end(&r);
}

/* The share rises to one half at 10 and falls to a quarter at 20: of 288 weights 144
 * are masked, then 72 of them are back as they were. */
TEST(masked_weights_come_back_where_the_schedule_falls)
{
    const struct anneal up = {ANNEAL_LINEAR, 0, 10, 0, 0.5, 0, 0},
                        down = {ANNEAL_LINEAR, 10, 20, 0.5, 0.25, 0, 0};
    struct tape_options o = {.batch = 1, .n_threads = 1, .backward = true};
    struct masks m;
    struct tape *t;
    struct run r;

    begin(&r, 1);
    CHECK_OK(tape_build(r.g, &o, &t));
    real *first = arena_copy(t->a, t->weight, (size_t)t->n_elements * sizeof *first);
    real *moved = arena_new_array(t->a, real, t->n_elements);

    masks_begin(&m, t, &up);
    CHECK_EQ(m.n_factors, 288);
    masks_step(&m, t, 10, moved, moved);
    CHECK_EQ(masks_count(&m), 144);
    for (int64_t i = 0; i < m.n; i++) {
        t->gradient[i] = moved[i] = 1;
        CHECK(m.kept[i] ? t->weight[i] == first[i] : t->weight[i] == 0);
    }
    masks_stop_gradient(&m, t);
    for (int64_t i = 0; i < m.n; i++)
        CHECK(t->gradient[i] == (m.kept[i] ? 1 : 0));
    m.schedule = down;
    masks_step(&m, t, 19, moved, moved); /* not due */
    CHECK_EQ(masks_count(&m), 144);
    masks_step(&m, t, 20, moved, moved);
    CHECK_EQ(masks_count(&m), 72);
    for (int64_t i = 0; i < m.n; i++)
        CHECK(t->weight[i] == (m.kept[i] ? first[i] : 0)
              && moved[i] == (m.kept[i] ? 1 : 0));
    tape_destroy(t);
    end(&r);
}

/* ---- the same bytes ------------------------------------------------------------- */

TEST(the_number_of_threads_changes_no_byte)
{
    struct train_result result;
    struct run one, three;

    begin(&one, 1);
    begin(&three, 1);
    one.o.set.augment.flip = three.o.set.augment.flip = true;
    one.o.set.augment.crop = three.o.set.augment.crop = 1;
    three.o.n_threads = 3;
    CHECK_OK(train_graph(one.c, one.g, NULL, &one.o, &result));
    CHECK_OK(train_graph(three.c, three.g, NULL, &three.o, &result));
    same_constants(one.g, three.g);
    end(&one);
    end(&three);
}

/* The process ends as `kill -9` ends it, somewhere between two checkpoints. */
static void die_at(void *arg, const struct train_progress *p)
{
    if (p->step == *(const int *)arg)
        kill(getpid(), SIGKILL);
}

/* With and without weights that come and go. */
static void begin_again(struct run *r, bool masked)
{
    begin(r, 1);
    if (masked) {
        r->o.set.masks.kind = ANNEAL_HARMONIC;
        r->o.set.masks.final = 0.5;
    }
}

static void train_and_die(int step, bool masked)
{
    const pid_t child = fork();
    int how;

    if (child == 0) {
        struct train_result result;
        struct run r;

        begin_again(&r, masked);
        r.o.checkpoint = path_of("state");
        r.o.checkpoint_steps = 4;
        r.o.progress = die_at;
        r.o.progress_arg = &step;
        status_free(train_graph(r.c, r.g, NULL, &r.o, &result));
        _exit(0);
    }
    waitpid(child, &how, 0);
    CHECK(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

static void kill_and_go_on(bool masked)
{
    struct train_result result;
    struct run whole, resumed;

    begin_again(&whole, masked);
    CHECK_OK(train_graph(whole.c, whole.g, NULL, &whole.o, &result));
    train_and_die(7, masked);
    train_and_die(18, masked);
    begin_again(&resumed, masked);
    resumed.o.checkpoint = path_of("state");
    resumed.o.checkpoint_steps = 4;
    CHECK_OK(train_graph(resumed.c, resumed.g, NULL, &resumed.o, &result));
    CHECK_EQ(result.resumed_at, 16);
    same_constants(whole.g, resumed.g);

    /* Done: once more costs nothing. */
    end(&resumed);
    begin_again(&resumed, masked);
    resumed.o.checkpoint = path_of("state");
    CHECK_OK(train_graph(resumed.c, resumed.g, NULL, &resumed.o, &result));
    CHECK_EQ(result.resumed_at, result.steps);
    same_constants(whole.g, resumed.g);

    /* It belongs to these options and no others. */
    end(&resumed);
    begin_again(&resumed, masked);
    resumed.o.checkpoint = path_of("state");
    resumed.o.seed = 2;
    CHECK_FAILS(train_graph(resumed.c, resumed.g, NULL, &resumed.o, &result), INVALID,
                "belongs to another training");

    /* And to these samples, wherever they lie. */
    end(&resumed);
    begin_again(&resumed, masked);
    resumed.o.checkpoint = path_of("state");
    resumed.o.data_sha256[0] = 1;
    CHECK_FAILS(train_graph(resumed.c, resumed.g, NULL, &resumed.o, &result), INVALID,
                "remove it or give another -o");
    remove(path_of("state"));
    end(&resumed);
    end(&whole);
}

TEST(a_killed_training_goes_on_to_the_same_bytes)
{
    kill_and_go_on(false);
    kill_and_go_on(true);
}

TEST(a_checkpoint_with_any_byte_changed_or_missing_is_refused)
{
    int32_t numbers[3] = {1, 2, 3};
    const struct checkpoint_part part = {numbers, sizeof numbers};
    const struct checkpoint c = {
        .path = path_of("small"), .key = {7}, .n_parts = 1, .part = &part};
    char bytes[256], path[128];
    int64_t step = 0;
    size_t n;
    bool found;
    FILE *f;

    strcpy(path, c.path);
    CHECK_OK(checkpoint_write(&c, 42));
    f = fopen(path, "rb");
    n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    for (size_t i = 0; i <= n; i++) {
        f = fopen(path, "wb");
        if (i < n)
            bytes[i] ^= 64;
        fwrite(bytes, 1, i < n ? n : n - 1, f);
        fclose(f);
        if (i < n)
            bytes[i] ^= 64;
        numbers[0] = 9;
        CHECK_FAILS(checkpoint_read(&c, &step, &found), INVALID, "small'");
        CHECK(!found && numbers[0] == 9 && step == 0);
    }
    f = fopen(path, "wb");
    fwrite(bytes, 1, n, f);
    fclose(f);
    CHECK_OK(checkpoint_read(&c, &step, &found));
    CHECK(found && step == 42 && numbers[0] == 1);
    remove(path);
    CHECK_OK(checkpoint_read(&c, &step, &found));
    CHECK(!found);
}

/* ---- refusals ------------------------------------------------------------------- */

TEST(a_loss_that_is_no_number_ends_the_training)
{
    struct train_result result;
    struct run r;

    begin(&r, 1);
    r.o.set.optimizer.rate = 1e30;
    r.o.set.clip = 0;
    CHECK_FAILS(train_graph(r.c, r.g, NULL, &r.o, &result), INVALID,
                "a smaller rate may help");
    end(&r);
}

/* A single step: its loss was fine. */
TEST(weights_that_are_no_numbers_end_the_training)
{
    struct train_result result;
    struct run r;

    begin(&r, 1);
    r.o.set.epochs = 1;
    r.o.set.batch = SAMPLES;
    r.o.set.optimizer.rate = 1e300;
    CHECK_FAILS(train_graph(r.c, r.g, NULL, &r.o, &result), INVALID,
                "has a weight that is no number after step 1");
    end(&r);
}

TEST(labels_without_a_row_of_scores_are_refused)
{
    static const char text[] = "graph net(%x: f32[1,1,6,6]) { %w = const f32[6,6] {*0} "
                               "%y = MatMul(%x, %w) return %y }";
    struct train_result result;
    struct run r;

    begin_with(&r, text, 1);
    CHECK_FAILS(train_graph(r.c, r.g, NULL, &r.o, &result), INVALID,
                "has no row of scores for each label");
    end(&r);
}

/* ---- batch normalization -------------------------------------------------------- */

/* Batches 1, 3 and 5, 7 of one number: means 2 and 6, spreads 2 and 2. */
TEST(statistics_are_made_anew_from_several_batches)
{
    static const char text[] =
        "graph net(%x: f32[1,1]) { %s = const f32[1] {1} %b = const f32[1] {0} "
        "%m = const f32[1] {9} %v = const f32[1] {9} "
        "%y = BatchNormalization(%x, %s, %b, %m, %v) {epsilon=0.0} return %y }";
    const struct tape_options o = {.batch = 2, .backward = true, .train_norms = true};
    struct compile *c = compile_create();
    struct ir_graph *g;
    struct tape *t;

    CHECK_OK(ir_parse(c, text, strlen(text), &g));
    CHECK_OK(tape_build(g, &o, &t));
    for (int batch = 0; batch < 2; batch++) {
        *(real *)tape_input(t, 0, 0) = (real)(1 + 4 * batch);
        *(real *)tape_input(t, 1, 0) = (real)(3 + 4 * batch);
        t->stat_share = (real)1 / (real)(batch + 1);
        tape_forward(t, 2);
        CHECK(fabs((double)*tape_output(t, 0, 0) + 1) < 1e-6);
    }
    CHECK(t->stat[0] == 4 && t->stat[1] == 2);
    tape_destroy(t);
    compile_destroy(c);
}
