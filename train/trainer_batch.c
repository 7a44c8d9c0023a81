/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of a step: order, reading, loss.  See trainer.h. */
#include <string.h>

#include "support/random.h"
#include "train/row_loss.h"
#include "train/trainer.h"

/* ---- samples -------------------------------------------------------------------- */

/* Sample i of the step in progress. */
static int64_t sample_of(const struct trainer *t, int64_t i)
{
    return t->order[t->step % t->per_epoch * t->batch + i];
}

static void order_epoch(struct trainer *t)
{
    uint64_t state = t->o->seed;
    struct random r;

    if (t->ordered_epoch == trainer_epoch(t))
        return;
    t->ordered_epoch = trainer_epoch(t);
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
    augment_sample(&o->set.augment, &o->data->input[k], o->seed, trainer_epoch(t),
                   sample, x, x + t->scratch_elements);
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
struct status *trainer_read(struct trainer *t)
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
                     * row_loss_cross_entropy(t->row, z, target[r], (1 - alpha) * share,
                                              d + r * t->row);
        if (alpha > 0)
            l.sum += alpha
                     * row_loss_distillation(
                         t->row, z, tape_output(t->teacher, i, 0) + r * t->row,
                         t->o->set.temperature, alpha * share, d + r * t->row);
        l.rows++;
    }
    return l;
}

static struct sample_loss score_numbers(struct trainer *t, int64_t i)
{
    const int n = t->student->n_outputs - t->features.n;
    struct sample_loss l = {0, 0};

    for (int k = 0; k < n; k++, l.rows++)
        l.sum += row_loss_mean_square(
            t->student->output[k]->count, tape_output(t->student, i, k),
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
                            t->o->set.feature / (double)t->batch);
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

double trainer_score(struct trainer *t)
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
