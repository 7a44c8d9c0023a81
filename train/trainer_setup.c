/* SPDX-License-Identifier: Apache-2.0 */
/* What a training needs before its first step.  See trainer.h. */
#include <math.h>
#include <string.h>

#include "runtime/sha256.h"
#include "train/trainer.h"

/* ---- what is trained ------------------------------------------------------------ */

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

    if (teacher && t->o->set.feature > 0)
        RETURN_IF_FAIL(features_find(t->graph, teacher, &t->features));
    t->logits = has_labels(t->o->data) || z != t->graph->out[0];
    t->row = z->rank ? z->dim[z->rank - 1] : 1;
    t->alpha = !teacher ? 0 : has_labels(t->o->data) ? t->o->set.alpha : 1;
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

/* The second half of the steps has the mask that stays: what it cost has to be learnt
 * while the rate is still large. */
static void begin_masks(struct trainer *t)
{
    struct anneal schedule = t->o->set.masks;

    schedule.end = t->optimizer.steps / 2;
    if (t->o->keep_zeros || schedule.kind != ANNEAL_NONE)
        masks_begin(&t->masks, t->student, &schedule);
}

/* ---- rates ---------------------------------------------------------------------- */

/* So many times as far as all else moves in proportion: to the next code it is far.
 * About LSQ's sqrt(n q_max) where a channel has 150 weights of 4 bits; a fifth of it
 * made little difference to ResNet-20 (0.0071 nats, not 0.0069). */
static const real CODES = 32;

static real root_mean_square(int64_t n, const real *x)
{
    double square = 0;

    for (int64_t i = 0; i < n; i++)
        square += (double)x[i] * (double)x[i];
    return square > 0 ? (real)sqrt(square / (double)n) : 1;
}

/* Adam's steps are as long as the rate, whatever the slope.  In a network of codes they
 * are that many steps of a code, and otherwise shares of the number itself where it is
 * a scale, of the root mean square of what was there in the beginning elsewhere. */
static void choose_rates(struct trainer *t)
{
    struct tape *s = t->student;

    for (int i = 0; i < s->n_weights; i++)
        t->by_size |= s->weights[i].dequantize != NULL;
    t->by_size &= t->optimizer.kind != OPTIMIZER_SGD;
    for (int i = 0; i < s->n_weights && t->by_size; i++) {
        struct tape_weight *w = &s->weights[i];

        if (w->is_scale)
            w->rate = 1 / CODES;
        else if (!w->dequantize)
            w->rate = root_mean_square(w->count, s->weight + w->at) / CODES;
    }
}

/* ---- checkpoints ---------------------------------------------------------------- */

static void add_part(struct trainer *t, void *at, size_t n_bytes)
{
    if (n_bytes)
        t->part[t->checkpoint.n_parts++] =
            (struct checkpoint_part){at, (int64_t)n_bytes};
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

static void hash_options(struct sha256 *h, const struct train_options *o)
{
    const double rest[] = {
        o->train_norms,     o->keep_zeros,      o->set.masks.first,
        o->set.masks.final, o->set.masks.swing, o->set.masks.waves,
        (double)o->n_samples, sizeof(real),
    };

    for (int i = 0; i < TRAIN_SETTINGS; i++) {
        const double value = train_settings_get(&o->set, i);

        sha256_add(h, &value, sizeof value);
    }
    sha256_add(h, rest, sizeof rest);
    sha256_add(h, &o->seed, sizeof o->seed);
    sha256_add(h, o->sample, (size_t)o->n_samples * sizeof *o->sample);
    sha256_add(h, o->data_sha256, sizeof o->data_sha256);
}

static void plan_checkpoint(struct trainer *t, const struct ir_graph *teacher)
{
    const struct tape *s = t->student;
    const size_t weights = (size_t)s->n_elements * sizeof(real);
    struct sha256 h;

    sha256_begin(&h);
    hash_options(&h, t->o);
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
    add_part(t, t->masks.kept, (size_t)t->masks.n);
    add_part(t, t->masks.aside, (size_t)t->masks.n * sizeof(real));
}

struct status *trainer_setup(struct trainer *t, const struct ir_graph *teacher)
{
    const struct train_options *o = t->o;

    RETURN_IF_FAIL(check_fit(t, teacher));
    t->batch = o->set.batch < o->n_samples ? o->set.batch : o->n_samples;
    t->per_epoch = o->n_samples / t->batch;
    t->optimizer = o->set.optimizer;
    t->optimizer.steps = o->set.epochs * t->per_epoch;
    RETURN_IF_FAIL(choose_loss(t, teacher));
    RETURN_IF_FAIL(build_tapes(t, teacher));
    make_room(t);
    begin_masks(t);
    choose_rates(t);
    plan_checkpoint(t, teacher);
    return OK;
}
