/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: see train.h. */
#include "train/train.h"

#include <assert.h>
#include <math.h>
#include <time.h>

#include "train/norms.h"
#include "train/optimizer.h"
#include "train/trainer.h"

struct train_options train_defaults(void)
{
    return (struct train_options){
        .set = train_settings_defaults(),
        .train_norms = true,
        .seed = 1,
        .reestimate = 20,
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

/* ---- a step --------------------------------------------------------------------- */

static void clip_gradient(struct trainer *t)
{
    real *g = t->student->gradient;
    double square = 0;

    for (int64_t i = 0; i < t->student->n_elements; i++)
        square += (double)g[i] * (double)g[i];
    if (t->o->set.clip <= 0 || !(sqrt(square) > t->o->set.clip))
        return;
    for (int64_t i = 0; i < t->student->n_elements; i++)
        g[i] = (real)((double)g[i] * t->o->set.clip / sqrt(square));
}

/* Biases, scales and what else is one number a channel does not decay, nor do codes:
 * towards zero is as far from what was there as away from it. */
static double decay_of(const struct trainer *t, const struct tape_weight *w)
{
    return tape_is_matrix(w) && !w->dequantize ? t->optimizer.decay : 0;
}

/* A scale below this would divide by nothing. */
static const real LEAST_SCALE = (real)1e-10;

static void move(struct trainer *t, const struct tape_weight *w, int64_t first,
                 int64_t n, double rate)
{
    const int64_t at = w->at + first;

    optimizer_step(&t->optimizer, t->step, rate * (double)w->rate, decay_of(t, w), n,
                   t->student->gradient + at, t->student->weight + at, t->m + at,
                   t->v + at);
}

/* By as much as if they were plain weights. */
static void move_codes(struct trainer *t, const struct tape_weight *w, double rate)
{
    const struct code_channels c = tape_code_channels(t->student, w);

    for (int64_t k = 0; k < w->count; k += c.inner) {
        const double step = (double)c.scale[k / c.inner % c.n];

        move(t, w, k, c.inner, rate / (step * step));
    }
}

static void move_scales(struct trainer *t, const struct tape_weight *w, double rate)
{
    for (int64_t k = 0; k < w->count; k++)
        move(t, w, k, 1, rate * (double)t->student->weight[w->at + k]);
}

static void update(struct trainer *t)
{
    struct tape *s = t->student;
    const double rate = optimizer_rate(&t->optimizer, t->step);

    masks_stop_gradient(&t->masks, s);
    clip_gradient(t);
    for (int i = 0; i < s->n_weights; i++) {
        const struct tape_weight *w = &s->weights[i];

        if (w->dequantize && !t->by_size)
            move_codes(t, w, rate);
        else if (w->is_scale && t->by_size)
            move_scales(t, w, rate);
        else
            move(t, w, 0, w->count, rate);
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
    for (int i = trainer_epoch(t) == 0 ? 0 : 1; i < 2; i++) {
        t->epoch_sum[i] += loss;
        t->epoch_steps[i]++;
    }
    t->recent = t->step ? 0.9 * t->recent + 0.1 * loss : loss;
}

static struct status *run_step(struct trainer *t)
{
    double loss;

    RETURN_IF_FAIL(trainer_read(t));
    masks_step(&t->masks, t->student, t->step, t->m, t->v);
    if (t->teacher)
        tape_forward(t->teacher, t->batch);
    tape_forward(t->student, t->batch);
    loss = trainer_score(t);
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

/* ---- all steps ------------------------------------------------------------------ */

static bool are_finite(int64_t n, const real *v)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

/* A constant that is added as a mask has infinite numbers by intention. */
static bool was_finite(const struct tape_weight *w)
{
    const struct ir_value *v = w->value;
    const float *data = v->dtype == DT_f32 ? v->data : NULL;

    for (int64_t i = 0; data && i < w->count; i++)
        if (!isfinite(data[i]))
            return false;
    return true;
}

/* The loss does not tell: a Relu makes zero of NaN. */
static struct status *check_weights(const struct trainer *t)
{
    const struct tape *s = t->student;

    for (int i = 0; i < s->n_weights; i++)
        if (!are_finite(s->weights[i].count, s->weight + s->weights[i].at)
            && was_finite(&s->weights[i]))
            return FAIL(INVALID,
                        "'%s' has a weight that is no number after step %lld; a "
                        "smaller rate may help",
                        s->weights[i].value->name, (long long)t->step);
    if (!are_finite(s->n_stat_elements, s->stat))
        return FAIL(INVALID,
                    "a mean or variance is no number; a smaller rate may help");
    return OK;
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void report(const struct trainer *t, int64_t begun_at, double begun)
{
    const struct train_progress p = {.step = t->step,
                                     .steps = t->optimizer.steps,
                                     .begun_at = begun_at,
                                     .epoch = t->step / t->per_epoch,
                                     .epochs = t->o->set.epochs,
                                     .loss = t->recent,
                                     .seconds = seconds() - begun};

    if (t->o->progress)
        t->o->progress(t->o->progress_arg, &p);
}

static struct status *run_steps(struct trainer *t)
{
    const int64_t begun_at = t->step;
    const double begun = seconds();
    const int64_t every = t->o->checkpoint_steps > 0 ? t->o->checkpoint_steps : 100;

    while (t->step < t->optimizer.steps) {
        report(t, begun_at, begun);
        if (t->o->stop && *t->o->stop)
            return FAIL(NO_FIT, "stopped after step %lld", (long long)t->step);
        RETURN_IF_FAIL(run_step(t));
        if (t->step % every && t->step != t->optimizer.steps)
            continue;
        RETURN_IF_FAIL(check_weights(t));
        if (t->o->checkpoint)
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
        RETURN_IF_FAIL(trainer_read(t));
        t->student->stat_share = (real)(1 / (double)(i + 1));
        tape_forward(t->student, t->batch);
    }
    return OK;
}

static struct status *train_as_it_is(struct trainer *t, const struct ir_graph *teacher,
                                     struct train_result *out)
{
    const struct train_options *o = t->o;
    bool found;

    RETURN_IF_FAIL(trainer_setup(t, teacher));
    *out = (struct train_result){.n_weights = t->student->n_elements};
    if (o->checkpoint)
        RETURN_IF_FAIL(checkpoint_read(&t->checkpoint, &t->step, &found));
    out->resumed_at = t->step;
    RETURN_IF_FAIL(run_steps(t));
    out->steps = t->step;
    out->n_zeros = masks_count(&t->masks);
    out->first_loss = t->epoch_sum[0] / fmax(1, (double)t->epoch_steps[0]);
    out->last_loss = t->epoch_sum[1] / fmax(1, (double)t->epoch_steps[1]);
    RETURN_IF_FAIL(reestimate(t));
    RETURN_IF_FAIL(check_weights(t));
    tape_store(t->student, t->graph);
    return OK;
}

static struct status *train(struct trainer *t, const struct ir_graph *teacher,
                            struct train_result *out)
{
    const struct train_options *o = t->o;
    int n_norms = 0;

    if (o->set.norms)
        RETURN_IF_FAIL(norms_insert(t->c, t->graph, o->data, o->n_samples, o->sample,
                                    o->n_threads, &n_norms));
    RETURN_IF_FAIL(train_as_it_is(t, teacher, out));
    return n_norms ? norms_fold(t->c, t->graph) : OK;
}

struct status *train_graph(struct compile *c, struct ir_graph *student,
                           const struct ir_graph *teacher,
                           const struct train_options *o, struct train_result *out)
{
    struct trainer t = {.c = c, .o = o, .graph = student, .ordered_epoch = -1};
    struct status *s;

    assert(student->compile == c);
    s = train(&t, teacher, out);

    tape_destroy(t.teacher);
    tape_destroy(t.student);
    return status_note(s, "while training '%s'", student->name);
}
