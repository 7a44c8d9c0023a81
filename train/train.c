/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: see train.h. */
#include "train/train.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "runtime/sha256.h"
#include "support/random.h"
#include "train/checkpoint.h"
#include "train/features.h"
#include "train/loss.h"
#include "train/tape.h"

enum { MOST_PARTS = 10 };

/* What one sample has given; added in the order of samples. */
struct sample_loss {
    double sum;
    int64_t rows;
};

struct trainer {
    struct compile *c;
    const struct train_options *o;
    struct ir_graph *graph;
    struct tape *student, *teacher; /* teacher NULL: none */
    bool logits;                    /* classes or tokens; otherwise numbers */
    int64_t row;                    /* elements of a row of scores */
    double alpha;
    struct features features; /* n 0: not compared */
    struct optimizer optimizer;
    int64_t batch, per_epoch; /* samples; steps */
    int64_t *order;           /* of this epoch */
    int64_t ordered_epoch;    /* -1: none yet */
    real *m, *v;
    float **scratch; /* by worker: a sample, and room for another */
    int64_t scratch_elements;
    struct sample_loss *losses;
    struct status **errors; /* by sample of the batch */
    /* Kept in checkpoints, with weights and statistics. */
    int64_t step;
    double epoch_sum[2]; /* of losses: of the first and of the present epoch */
    int64_t epoch_steps[2];
    double recent; /* for the progress line */
    struct checkpoint checkpoint;
    struct checkpoint_part part[MOST_PARTS];
};

struct train_options train_defaults(void)
{
    return (struct train_options){
        .temperature = 4,
        .alpha = 0.7,
        .epochs = 5,
        .batch = 128,
        .optimizer = {.kind = OPTIMIZER_SGD,
                      .schedule = SCHEDULE_COSINE,
                      .rate = 0.01,
                      .momentum = 0.9,
                      .decay = 1e-4,
                      .nesterov = true},
        .clip = 5,
        .train_norms = true,
        .seed = 1,
        .checkpoint_steps = 100,
    };
}

struct ir_value *train_logits(const struct ir_graph *g)
{
    struct ir_value *v = g->out[0];
    const struct ir_node *n = v->def;

    if (n && (n->op == OP_Softmax || n->op == OP_LogSoftmax)) {
        const int64_t axis = ir_attr_int(n, "axis", -1);

        if (axis == -1 || axis == v->rank - 1)
            return n->in[0];
    }
    return v;
}

/* ---- a batch -------------------------------------------------------------------- */

static int64_t epoch_of(const struct trainer *t)
{
    return t->step / t->per_epoch;
}

/* Sample i of the step in progress. */
static int64_t sample_of(const struct trainer *t, int64_t i)
{
    return t->order[t->step % t->per_epoch * t->batch + i];
}

static void order_epoch(struct trainer *t)
{
    uint64_t state = t->o->seed;
    struct random r;

    if (t->ordered_epoch == epoch_of(t))
        return;
    t->ordered_epoch = epoch_of(t);
    state = splitmix64(&state) + (uint64_t)t->ordered_epoch;
    r = random_seeded(state);
    memcpy(t->order, t->o->sample, (size_t)t->o->n_samples * sizeof *t->order);
    random_shuffle(&r, t->order, t->o->n_samples);
}

static struct status *read_input(struct trainer *t, int64_t i, int k, int worker)
{
    const struct train_options *o = t->o;
    const struct ir_value *v = t->graph->in[k];
    const int64_t sample = sample_of(t, i), n = ir_count(v);
    float *x = t->scratch[worker];

    if (v->dtype != DT_f32) {
        void *to = tape_input(t->student, i, k);

        RETURN_IF_FAIL(dataset_read(o->data, sample, k, to));
        if (t->teacher)
            memcpy(tape_input(t->teacher, i, k), to, (size_t)ir_bytes(v));
        return OK;
    }
    RETURN_IF_FAIL(dataset_read(o->data, sample, k, x));
    augment_sample(&o->augment, &o->data->input[k], o->seed, epoch_of(t), sample, x,
                   x + t->scratch_elements);
    for (int64_t e = 0; e < n; e++)
        ((real *)tape_input(t->student, i, k))[e] = x[e];
    if (t->teacher)
        memcpy(tape_input(t->teacher, i, k), tape_input(t->student, i, k),
               (size_t)n * sizeof(real));
    return OK;
}

static void read_sample(void *arg, int64_t i, int worker)
{
    struct trainer *t = arg;

    t->errors[i] = OK;
    for (int k = 0; k < t->graph->n_in && !t->errors[i]; k++)
        t->errors[i] = read_input(t, i, k, worker);
}

/* The first error counts. */
static struct status *read_batch(struct trainer *t)
{
    struct status *s = OK;

    order_epoch(t);
    workers_run(t->student->workers, read_sample, t, t->batch);
    for (int64_t i = 0; i < t->batch; i++)
        if (!s)
            s = t->errors[i];
        else
            status_free(t->errors[i]);
    return s;
}

/* ---- loss ----------------------------------------------------------------------- */

/* The class of every row of sample i, -1 where there is none. */
static void targets_of(const struct trainer *t, int64_t i, int64_t rows, int64_t *out)
{
    const struct dataset *d = t->o->data;

    for (int64_t r = 0; r < rows; r++)
        out[r] = -1;
    if (d->task == DATASET_LANGUAGE)
        status_free(dataset_targets(d, sample_of(t, i), out));
    else if (rows == 1)
        out[0] = dataset_label(d, sample_of(t, i));
}

static struct sample_loss score_rows(struct trainer *t, int64_t i, int64_t *target)
{
    const int64_t rows = t->student->output[0]->count / t->row;
    const double share = 1 / (double)(rows * t->batch);
    real *d = tape_output_gradient(t->student, i, 0);
    struct sample_loss l = {0, 0};

    targets_of(t, i, rows, target);
    for (int64_t r = 0; r < rows; r++) {
        const real *z = tape_output(t->student, i, 0) + r * t->row;
        const bool labelled = target[r] >= 0 && target[r] < t->row;
        const double alpha = !t->teacher ? 0 : !labelled ? 1 : t->alpha;

        if (labelled && alpha < 1)
            l.sum += (1 - alpha)
                     * loss_cross_entropy(t->row, z, target[r], (1 - alpha) * share,
                                          d + r * t->row);
        if (alpha > 0)
            l.sum += alpha
                     * loss_distillation(
                         t->row, z, tape_output(t->teacher, i, 0) + r * t->row,
                         t->o->temperature, alpha * share, d + r * t->row);
        l.rows++;
    }
    return l;
}

static struct sample_loss score_numbers(struct trainer *t, int64_t i)
{
    const int n = t->student->n_outputs - t->features.n;
    struct sample_loss l = {0, 0};

    for (int k = 0; k < n; k++, l.rows++)
        l.sum += loss_mean_square(t->student->output[k]->count,
                                  tape_output(t->student, i, k),
                                  tape_output(t->teacher, i, k), 1 / (double)t->batch,
                                  tape_output_gradient(t->student, i, k));
    return l;
}

static void score_sample(struct trainer *t, int64_t i, int64_t shard, int worker)
{
    for (int k = 0; k < t->student->n_outputs; k++)
        memset(tape_output_gradient(t->student, i, k), 0,
               (size_t)t->student->output[k]->count * sizeof(real));
    t->losses[i] = t->logits ? score_rows(t, i, (int64_t *)t->scratch[worker])
                             : score_numbers(t, i);
    if (t->features.n)
        t->losses[i].sum +=
            (double)t->losses[i].rows * (double)t->batch
            * features_loss(&t->features, t->student, t->teacher, i, shard, worker,
                            t->o->feature / (double)t->batch);
}

/* The samples of a shard in their order: what they add up is the same every time. */
static void score_shard(void *arg, int64_t shard, int worker)
{
    struct trainer *t = arg;
    const int64_t first = shard * t->student->shard_size;
    const int64_t end = first + t->student->shard_size;

    for (int64_t i = first; i < end && i < t->batch; i++)
        score_sample(t, i, shard, worker);
}

static double score_batch(struct trainer *t)
{
    double sum = 0;
    int64_t rows = 0;

    if (t->features.n)
        features_clear(&t->features);
    workers_run(t->student->workers, score_shard, t, t->student->n_shards);
    for (int64_t i = 0; i < t->batch; i++) {
        sum += t->losses[i].sum;
        rows += t->losses[i].rows;
    }
    if (t->features.n)
        features_sum(&t->features);
    return sum / (double)(rows ? rows : 1);
}

/* ---- a step --------------------------------------------------------------------- */

static void clip_gradient(struct trainer *t)
{
    real *g = t->student->gradient;
    double square = 0;

    for (int64_t i = 0; i < t->student->n_elements; i++)
        square += (double)g[i] * (double)g[i];
    if (t->o->clip <= 0 || !(sqrt(square) > t->o->clip))
        return;
    for (int64_t i = 0; i < t->student->n_elements; i++)
        g[i] = (real)((double)g[i] * t->o->clip / sqrt(square));
}

/* Biases, scales and what else is one number a channel does not decay. */
static double decay_of(const struct trainer *t, const struct tape_weight *w)
{
    int wide = 0;

    for (int d = 0; d < w->value->rank; d++)
        wide += w->value->dim[d] > 1;
    return wide > 1 ? t->optimizer.decay : 0;
}

/* A scale below this would divide by nothing. */
static const real LEAST_SCALE = (real)1e-10;

static void update(struct trainer *t)
{
    struct tape *s = t->student;
    const double rate = optimizer_rate(&t->optimizer, t->step);

    clip_gradient(t);
    for (int i = 0; i < s->n_weights; i++) {
        const struct tape_weight *w = &s->weights[i];

        optimizer_step(&t->optimizer, t->step, rate * (double)w->rate, decay_of(t, w),
                       w->count, s->gradient + w->at, s->weight + w->at, t->m + w->at,
                       t->v + w->at);
    }
    optimizer_step(&t->optimizer, t->step, rate, t->optimizer.decay,
                   t->features.n_elements, t->features.gradient, t->features.adapter,
                   t->features.m, t->features.v);
    for (int i = 0; i < s->n_weights; i++) {
        const struct tape_weight *w = &s->weights[i];

        for (int64_t k = 0; w->is_scale && k < w->count; k++)
            if (s->weight[w->at + k] < LEAST_SCALE)
                s->weight[w->at + k] = LEAST_SCALE;
    }
}

static void note_loss(struct trainer *t, double loss)
{
    const bool begins = t->step % t->per_epoch == 0;

    if (begins) {
        t->epoch_sum[1] = 0;
        t->epoch_steps[1] = 0;
    }
    for (int i = epoch_of(t) == 0 ? 0 : 1; i < 2; i++) {
        t->epoch_sum[i] += loss;
        t->epoch_steps[i]++;
    }
    t->recent = t->step ? 0.9 * t->recent + 0.1 * loss : loss;
}

static struct status *run_step(struct trainer *t)
{
    double loss;

    RETURN_IF_FAIL(read_batch(t));
    if (t->teacher)
        tape_forward(t->teacher, t->batch);
    tape_forward(t->student, t->batch);
    loss = score_batch(t);
    if (!isfinite(loss))
        return FAIL(INVALID,
                    "the loss is no number after step %lld; a smaller rate may help",
                    (long long)t->step);
    tape_backward(t->student, t->batch);
    update(t);
    note_loss(t, loss);
    t->step++;
    return OK;
}

/* ---- checkpoints ---------------------------------------------------------------- */

static void add_part(struct trainer *t, void *at, size_t n_bytes)
{
    t->part[t->checkpoint.n_parts++] = (struct checkpoint_part){at, (int64_t)n_bytes};
}

static void hash_graph(struct sha256 *h, const struct ir_graph *g)
{
    struct text text = {0};

    ir_print(g, 0, &text);
    sha256_add(h, text.bytes, text.len);
    text_free(&text);
    for (const struct ir_node *n = g->first; n; n = n->next)
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] && n->in[i]->data)
                sha256_add(h, n->in[i]->data, (size_t)ir_bytes(n->in[i]));
}

static void hash_options(struct sha256 *h, const struct trainer *t)
{
    const struct train_options *o = t->o;
    const double numbers[] = {
        o->temperature,
        t->alpha,
        (double)o->epochs,
        (double)t->batch,
        t->optimizer.kind,
        t->optimizer.schedule,
        t->optimizer.rate,
        t->optimizer.momentum,
        t->optimizer.decay,
        t->optimizer.nesterov,
        (double)t->optimizer.warmup,
        o->clip,
        (double)o->augment.crop,
        o->augment.flip,
        o->augment.noise,
        o->feature,
        o->train_norms,
        (double)o->n_samples,
        sizeof(real),
    };

    sha256_add(h, numbers, sizeof numbers);
    sha256_add(h, &o->seed, sizeof o->seed);
    sha256_add(h, o->sample, (size_t)o->n_samples * sizeof *o->sample);
}

static void plan_checkpoint(struct trainer *t, const struct ir_graph *teacher)
{
    const struct tape *s = t->student;
    const size_t weights = (size_t)s->n_elements * sizeof(real);
    struct sha256 h;

    sha256_begin(&h);
    hash_options(&h, t);
    hash_graph(&h, t->graph);
    if (teacher)
        hash_graph(&h, teacher);
    sha256_end(&h, t->checkpoint.key);
    t->checkpoint.path = t->o->checkpoint;
    t->checkpoint.part = t->part;
    add_part(t, s->weight, weights);
    add_part(t, t->m, weights);
    add_part(t, t->v, weights);
    add_part(t, s->stat, (size_t)s->n_stat_elements * sizeof(real));
    add_part(t, t->features.adapter, (size_t)t->features.n_elements * sizeof(real));
    add_part(t, t->features.m, (size_t)t->features.n_elements * sizeof(real));
    add_part(t, t->features.v, (size_t)t->features.n_elements * sizeof(real));
    add_part(t, t->epoch_sum, sizeof t->epoch_sum);
    add_part(t, t->epoch_steps, sizeof t->epoch_steps);
    add_part(t, &t->recent, sizeof t->recent);
}

/* ---- all of it ------------------------------------------------------------------ */

static struct status *check_fit(const struct trainer *t, const struct ir_graph *teacher)
{
    const struct train_options *o = t->o;

    if (o->n_samples < 1)
        return FAIL(INVALID, "there are no samples to train on");
    if (o->data->n_inputs != t->graph->n_in
        || (teacher && teacher->n_in != t->graph->n_in))
        return FAIL(INVALID, "the samples have %d inputs, the network has %d",
                    o->data->n_inputs, t->graph->n_in);
    for (int k = 0; k < t->graph->n_in; k++) {
        const struct ir_value *v = t->graph->in[k];

        if (v->dtype != o->data->input[k].dtype
            || ir_bytes(v) != dataset_bytes(o->data, k)
            || (teacher && !ir_same_shape(v, teacher->in[k])))
            return FAIL(INVALID,
                        "input '%s' is not that of the samples or the original",
                        v->name);
    }
    return OK;
}

static bool has_labels(const struct dataset *d)
{
    return d->task == DATASET_CLASSIFY || d->task == DATASET_LANGUAGE;
}

/* Rows of scores have as many elements as there are classes to tell apart. */
static struct status *choose_loss(struct trainer *t, const struct ir_graph *teacher)
{
    const struct ir_value *z = train_logits(t->graph);
    const int64_t rows =
        t->o->data->task == DATASET_LANGUAGE ? ir_count(t->graph->in[0]) : 1;

    if (teacher && t->o->feature > 0)
        RETURN_IF_FAIL(features_find(t->graph, teacher, &t->features));
    t->logits = has_labels(t->o->data) || z != t->graph->out[0];
    t->row = z->rank ? z->dim[z->rank - 1] : 1;
    t->alpha = !teacher ? 0 : has_labels(t->o->data) ? t->o->alpha : 1;
    if (!teacher && !has_labels(t->o->data))
        return FAIL(INVALID, "'%s' has no labels, and there is no original to follow",
                    t->o->data->path);
    if (has_labels(t->o->data) && (t->row < 2 || ir_count(z) != rows * t->row))
        return FAIL(INVALID, "output '%s' has no row of scores for each label",
                    z->name);
    return OK;
}

/* Of one side: scores, or all outputs; then its features. */
static struct ir_value **wanted_outputs(const struct trainer *t,
                                        const struct ir_graph *g, bool is_student,
                                        int *n)
{
    struct ir_value **list =
        arena_new_array(t->c->scratch, struct ir_value *, g->n_out + MOST_FEATURES);

    *n = 0;
    if (t->logits)
        list[(*n)++] = train_logits(g);
    for (int i = 0; !t->logits && i < g->n_out; i++)
        list[(*n)++] = g->out[i];
    for (int k = 0; k < t->features.n; k++)
        list[(*n)++] =
            is_student ? t->features.at[k].student : t->features.at[k].original;
    return list;
}

static struct status *check_student(const struct tape *t)
{
    if (!t->n_elements)
        return FAIL(UNSUPPORTED, "the network has no weights that can be trained");
    for (int k = 0; k < t->n_outputs; k++)
        if (!t->output[k]->has_gradient)
            return FAIL(UNSUPPORTED, "output '%s' does not depend on weights",
                        t->output[k]->value->name);
    return OK;
}

/* Features may have adapters; everything else is compared as it is. */
static struct status *check_teacher(const struct trainer *t)
{
    for (int k = 0; k < t->student->n_outputs - t->features.n; k++)
        if (k >= t->teacher->n_outputs - t->features.n
            || t->student->output[k]->count != t->teacher->output[k]->count)
            return FAIL(INVALID, "output '%s' is not as large as the original's",
                        t->student->output[k]->value->name);
    return OK;
}

static struct status *build_tapes(struct trainer *t, const struct ir_graph *teacher)
{
    struct tape_options o = {
        .batch = t->batch,
        .n_threads = t->o->n_threads,
        .backward = true,
        .train_norms = t->o->train_norms,
    };

    o.output = wanted_outputs(t, t->graph, true, &o.n_outputs);
    RETURN_IF_FAIL(tape_build(t->graph, &o, &t->student));
    RETURN_IF_FAIL(check_student(t->student));
    if (!teacher)
        return OK;
    o.backward = o.train_norms = false;
    o.output = wanted_outputs(t, teacher, false, &o.n_outputs);
    RETURN_IF_FAIL(status_note(tape_build(teacher, &o, &t->teacher),
                               "while preparing the original"));
    return check_teacher(t);
}

static void make_room(struct trainer *t)
{
    struct arena *a = t->student->a;
    const int n_workers = workers_count(t->student->workers);

    t->scratch_elements = 2 * t->student->output[0]->count; /* targets: int64_t */
    for (int k = 0; k < t->graph->n_in; k++)
        if (ir_count(t->graph->in[k]) > t->scratch_elements)
            t->scratch_elements = ir_count(t->graph->in[k]);
    t->scratch = arena_new_array(a, float *, n_workers);
    for (int i = 0; i < n_workers; i++)
        t->scratch[i] = arena_new_array(a, float, 2 * t->scratch_elements);
    t->losses = arena_new_array(a, struct sample_loss, t->batch);
    t->errors = arena_new_array(a, struct status *, t->batch);
    t->order = arena_new_array(a, int64_t, t->o->n_samples);
    t->m = arena_new_array(a, real, t->student->n_elements);
    t->v = arena_new_array(a, real, t->student->n_elements);
    features_begin(&t->features, a, n_workers, t->o->seed);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void report(const struct trainer *t, int64_t begun_at, double begun)
{
    const int64_t done = t->step - begun_at;
    struct train_progress p = {.step = t->step,
                               .steps = t->optimizer.steps,
                               .epoch = t->step / t->per_epoch,
                               .epochs = t->o->epochs,
                               .loss = t->recent,
                               .seconds_left = -1};

    if (!t->o->progress)
        return;
    if (done > 0)
        p.seconds_left =
            (seconds() - begun) / (double)done * (double)(p.steps - p.step);
    t->o->progress(t->o->progress_arg, &p);
}

static struct status *run_steps(struct trainer *t)
{
    const int64_t begun_at = t->step;
    const double begun = seconds();
    const int64_t every = t->o->checkpoint_steps > 0 ? t->o->checkpoint_steps : 100;

    while (t->step < t->optimizer.steps) {
        report(t, begun_at, begun);
        RETURN_IF_FAIL(run_step(t));
        if (t->o->checkpoint && (t->step % every == 0 || t->step == t->optimizer.steps))
            RETURN_IF_FAIL(checkpoint_write(&t->checkpoint, t->step));
    }
    report(t, begun_at, begun);
    return OK;
}

/* BatchNormalization's statistics become the mean over some batches of the weights as
 * they are now (Wu and Johnson 2021, arXiv:2105.07576, "precise BN"). */
static struct status *reestimate(struct trainer *t)
{
    if (!t->student->n_stats || !t->student->training)
        return OK;
    t->step = 0; /* the batches of the first epoch */
    for (int64_t i = 0; i < t->o->reestimate; i++, t->step++) {
        RETURN_IF_FAIL(read_batch(t));
        t->student->stat_share = (real)(1 / (double)(i + 1));
        tape_forward(t->student, t->batch);
    }
    return OK;
}

static struct status *train(struct trainer *t, const struct ir_graph *teacher,
                            struct train_result *out)
{
    const struct train_options *o = t->o;
    bool found;

    RETURN_IF_FAIL(check_fit(t, teacher));
    t->batch = o->batch < o->n_samples ? o->batch : o->n_samples;
    t->per_epoch = o->n_samples / t->batch;
    t->optimizer = o->optimizer;
    t->optimizer.steps = o->epochs * t->per_epoch;
    RETURN_IF_FAIL(choose_loss(t, teacher));
    RETURN_IF_FAIL(build_tapes(t, teacher));
    make_room(t);
    plan_checkpoint(t, teacher);
    *out = (struct train_result){.n_weights = t->student->n_elements};
    if (o->checkpoint)
        RETURN_IF_FAIL(checkpoint_read(&t->checkpoint, &t->step, &found));
    out->resumed_at = t->step;
    RETURN_IF_FAIL(run_steps(t));
    out->steps = t->step;
    out->first_loss = t->epoch_sum[0] / fmax(1, (double)t->epoch_steps[0]);
    out->last_loss = t->epoch_sum[1] / fmax(1, (double)t->epoch_steps[1]);
    RETURN_IF_FAIL(reestimate(t));
    tape_store(t->student, t->graph);
    return OK;
}

struct status *train_graph(struct compile *c, struct ir_graph *student,
                           const struct ir_graph *teacher,
                           const struct train_options *o, struct train_result *out)
{
    struct trainer t = {.c = c, .o = o, .graph = student, .ordered_epoch = -1};
    struct status *s = train(&t, teacher, out);

    tape_destroy(t.teacher);
    tape_destroy(t.student);
    return status_note(s, "while training '%s'", student->name);
}
