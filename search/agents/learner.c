/* SPDX-License-Identifier: Apache-2.0 */
/* Values, advantages, gradients: see learner.h. */
#include "search/agents/learner.h"

#include <string.h>

#include "search/agents/noise.h"
#include "search/agents/parallel.h"

/* Rows that go through a network at once where nothing is learned. */
enum { EVALUATED_ROWS = 1024 };

static int n_heard(const struct learner *l)
{
    return environment_n_heard(l->team->e, l->team->e->n_agents);
}

struct learner *learner_create(struct arena *a, struct team *t, struct player *p,
                               const struct controller_options *o, uint64_t seed)
{
    struct learner *l = arena_new(a, struct learner);
    struct random random = noise_stream(seed, UINT64_C(0xc417));
    struct net_shape shape = {.n_hidden = o->n_hidden, .n_out = 1, .gain = 1};

    memcpy(shape.hidden, o->critic_hidden, sizeof shape.hidden);
    *l = (struct learner){.o = o, .team = t, .player = p, .seed = seed};
    l->n_critics = o->kind == CONTROLLER_ippo ? t->e->n_agents : 1;
    for (int k = 0; k < l->n_critics; k++) {
        struct critic *c = l->critics[k] = arena_new(a, struct critic);

        c->n_in = o->kind == CONTROLLER_ippo
                      ? t->actors[k]->n_in
                      : t->e->n_state + n_heard(l) + t->e->n_agents;
        shape.n_in = c->n_in;
        c->net = net_create(a, &shape, &random);
    }
    return l;
}

/* ---- judging ----------------------------------------------------------------------
 */

static int critic_of(const struct learner *l, int agent)
{
    return l->o->kind == CONTROLLER_ippo ? agent : 0;
}

/* Whether the row is a step of its critic's process. */
static bool is_judged(const struct learner *l, const struct rollout_row *r)
{
    return l->o->kind == CONTROLLER_ppo ? r->opens_unit : r->free;
}

static void critic_input(const struct learner *l, int k, int row, real *x)
{
    const struct environment *e = l->team->e;
    const struct rollout *r = &l->player->rollout;
    const real *const heard = r->heard + (int64_t)row * n_heard(l);

    if (l->o->kind == CONTROLLER_ippo) {
        actor_input(l->team, l->team->actors[k],
                    r->observations + (int64_t)row * e->n_observation, heard, x);
        return;
    }
    memcpy(x, r->states + (int64_t)row * e->n_state, (size_t)e->n_state * sizeof *x);
    memcpy(x + e->n_state, heard, (size_t)n_heard(l) * sizeof *x);
    memset(x + e->n_state + n_heard(l), 0, (size_t)e->n_agents * sizeof *x);
    x[e->n_state + n_heard(l) + r->rows[row].agent] = 1;
}

/* What follows a truncation opens a unit: nothing has been heard. */
static void tail_input(const struct learner *l, int k, int tail, real *x)
{
    const struct environment *e = l->team->e;
    const struct rollout *r = &l->player->rollout;

    memset(x, 0, (size_t)l->critics[k]->n_in * sizeof *x);
    if (l->o->kind == CONTROLLER_ippo) {
        memcpy(x, r->tail_observations + (int64_t)tail * e->n_observation,
               (size_t)e->n_observation * sizeof *x);
        return;
    }
    memcpy(x, r->tail_states + (int64_t)tail * e->n_state,
           (size_t)e->n_state * sizeof *x);
    x[e->n_state + n_heard(l) + r->tail_agents[tail]] = 1;
}

typedef void input_fn(const struct learner *l, int k, int row, real *x);

/* Outputs of critic k for the rows, into values[n]. */
static void critic_values(const struct learner *l, int k, input_fn *input,
                          const int *rows, int n, double *values)
{
    const struct critic *c = l->critics[k];
    struct arena *scratch = arena_create();
    const int most = n < EVALUATED_ROWS ? n : EVALUATED_ROWS, ld = net_out(c->net);
    struct net_pass *pass = net_pass_create(scratch, c->net, most);
    real *x = arena_new_array(scratch, real, (int64_t)most * c->n_in);

    for (int at = 0; at < n; at += most) {
        const int m = n - at < most ? n - at : most;

        for (int i = 0; i < m; i++)
            input(l, k, rows[at + i], x + (int64_t)i * c->n_in);

        const real *const y = net_forward(c->net, pass, 1, m, x);

        for (int i = 0; i < m; i++)
            values[at + i] = (double)y[(int64_t)i * ld];
    }
    arena_destroy(scratch);
}

/* Rows that critic k judges; returns how many. */
static int judged_rows(const struct learner *l, int k, int *rows)
{
    const struct rollout *r = &l->player->rollout;
    int n = 0;

    for (int i = 0; i < r->n_rows; i++)
        if (critic_of(l, r->rows[i].agent) == k && is_judged(l, &r->rows[i]))
            rows[n++] = i;
    return n;
}

/* The steps of slot s's process for critic k, into steps[] and the row of each;
 * returns how many. */
static int list_steps(const struct learner *l, int k, int s, const double *tails,
                      struct gae_step *steps, int *rows)
{
    const struct critic *c = l->critics[k];
    const struct rollout *r = &l->player->rollout;
    int n = 0;

    for (int i = r->first[s]; i >= 0; i = r->rows[i].next) {
        const struct rollout_row *row = &r->rows[i];

        if (critic_of(l, row->agent) == k && is_judged(l, row)) {
            steps[n] = (struct gae_step){
                .value = value_scale_from(&c->scale, row->scaled_value)};
            rows[n++] = i;
        }
        if (!n)
            continue;
        steps[n - 1].reward += row->reward;
        steps[n - 1].end = row->end;
        if (row->end == EPISODE_TRUNCATED)
            steps[n - 1].value_after = value_scale_from(&c->scale, tails[row->tail]);
    }
    return n;
}

static void judge_by(struct learner *l, int k)
{
    struct rollout *r = &l->player->rollout;
    struct arena *scratch = arena_create();
    int *rows = arena_new_array(scratch, int, r->n_rows + r->n_tails);
    double *values = arena_new_array(scratch, double, r->n_rows),
           *tails = arena_new_array(scratch, double, r->n_tails);
    struct gae_step *steps = arena_new_array(scratch, struct gae_step, r->n_rows);
    const int n = judged_rows(l, k, rows);

    critic_values(l, k, critic_input, rows, n, values);
    for (int i = 0; i < n; i++)
        r->rows[rows[i]].scaled_value = values[i];
    for (int i = 0; i < r->n_tails; i++)
        rows[i] = i;
    if (r->n_tails)
        critic_values(l, k, tail_input, rows, r->n_tails, tails);
    for (int s = 0; s < r->n_slots; s++) {
        const int n_steps = list_steps(l, k, s, tails, steps, rows);

        gae(steps, n_steps, l->o->gamma, l->o->lambda);
        for (int i = 0; i < n_steps; i++) {
            r->rows[rows[i]].advantage = steps[i].advantage;
            r->rows[rows[i]].target = steps[i].advantage + steps[i].value;
        }
    }
    arena_destroy(scratch);
}

/* A unit's decisions share the advantage of where it opened. */
static void share_advantages(struct rollout *r)
{
    for (int s = 0; s < r->n_slots; s++) {
        double advantage = 0;

        for (int i = r->first[s]; i >= 0; i = r->rows[i].next) {
            if (r->rows[i].opens_unit)
                advantage = r->rows[i].advantage;
            r->rows[i].advantage = advantage;
        }
    }
}

static void normalise_advantages(struct rollout *r)
{
    double mean = 0, square = 0;
    int n = 0;

    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].free) {
            mean += r->rows[i].advantage;
            n++;
        }
    mean /= n ? n : 1;
    for (int i = 0; i < r->n_rows; i++)
        if (r->rows[i].free)
            square += (r->rows[i].advantage - mean) * (r->rows[i].advantage - mean);

    const double deviation = sqrt(square / (n ? n : 1)) + 1e-8;

    for (int i = 0; i < r->n_rows; i++)
        r->rows[i].advantage = (r->rows[i].advantage - mean) / deviation;
}

void learner_judge(struct learner *l)
{
    for (int k = 0; k < l->n_critics; k++)
        judge_by(l, k);
    if (l->o->kind == CONTROLLER_ppo)
        share_advantages(&l->player->rollout);
    normalise_advantages(&l->player->rollout);
}

/* ---- batches of an actor ----------------------------------------------------------
 */

/* Rows of one actor that go through its networks together: [n_steps][n_sequences],
 * -1 where a sequence has ended. */
struct batch {
    int n_steps, n_sequences;
    int *rows;
};

/* An actor's rows in parts that are never torn apart: a row, a unit where ratios are
 * joint, a slot where the actor is recurrent. */
struct parts {
    int n;
    int *start; /* [n + 1], in rows[] */
    int *rows;
};

static int part_of(const struct learner *l, const struct rollout_row *r, int row)
{
    return l->team->n_state ? r->slot : l->o->kind == CONTROLLER_ppo ? r->unit : row;
}

/* Ratios are of what has the same number. */
static int ratio_of(const struct learner *l, const struct rollout_row *r, int row)
{
    return l->o->kind == CONTROLLER_ppo ? r->unit : row;
}

static bool is_wanted(const struct learner *l, const struct rollout_row *r, int k)
{
    return l->team->actor_of[r->agent] == k && (r->free || l->team->n_state);
}

/* Counting sort by part; rows of a part keep their order. */
static struct parts list_parts(struct arena *a, const struct learner *l, int k)
{
    const struct rollout *r = &l->player->rollout;
    const int n_ids = r->n_rows + r->n_slots;
    int *count = arena_new_array(a, int, n_ids + 1),
        *at = arena_new_array(a, int, n_ids + 1);
    struct parts p = {.start = arena_new_array(a, int, n_ids + 1),
                      .rows = arena_new_array(a, int, r->n_rows)};
    int sum = 0;

    for (int i = 0; i < r->n_rows; i++)
        if (is_wanted(l, &r->rows[i], k))
            count[part_of(l, &r->rows[i], i)]++;
    for (int id = 0; id < n_ids; id++) {
        at[id] = sum;
        if (count[id])
            p.start[p.n++] = sum;
        sum += count[id];
    }
    p.start[p.n] = sum;
    for (int i = 0; i < r->n_rows; i++)
        if (is_wanted(l, &r->rows[i], k))
            p.rows[at[part_of(l, &r->rows[i], i)]++] = i;
    return p;
}

/* Parts order[0 ... n) as a batch; a recurrent actor's parts become columns. */
static struct batch gather_batch(struct arena *a, const struct learner *l,
                                 const struct parts *p, const int64_t *order, int n)
{
    struct batch b = {.n_steps = 1};
    int longest = 0, sum = 0;

    for (int i = 0; i < n; i++) {
        const int len = p->start[order[i] + 1] - p->start[order[i]];

        longest = len > longest ? len : longest;
        sum += len;
    }
    b.n_sequences = l->team->n_state ? n : sum;
    b.n_steps = l->team->n_state ? longest : 1;
    b.rows = arena_new_array(a, int, (int64_t)b.n_steps *b.n_sequences);
    sum = 0;
    for (int i = 0; i < n; i++)
        for (int t = 0; t < longest; t++) {
            const int at = p->start[order[i]] + t,
                      row = at < p->start[order[i] + 1] ? p->rows[at] : -1;

            if (l->team->n_state)
                b.rows[(int64_t)t * n + i] = row;
            else if (row >= 0)
                b.rows[sum++] = row;
        }
    return b;
}

/* What an actor's batches need; for at most max_rows rows at once. */
struct actor_work {
    int max_rows;
    struct net_pass *passes[MIXTURE_MAX];
    real *x;
    real *d[MIXTURE_MAX];
    double *log_ratio; /* by ratio_of */
    double *by_log_p;  /* likewise */
};

static struct actor_work actor_work(struct arena *a, const struct learner *l, int k,
                                    int max_rows)
{
    const struct actor *actor = l->team->actors[k];
    const int n_rows = l->player->rollout.n_rows;
    struct actor_work w = {
        .max_rows = max_rows,
        .x = arena_new_array(a, real, (int64_t)max_rows * actor->n_in),
        .log_ratio = arena_new_array(a, double, n_rows),
        .by_log_p = arena_new_array(a, double, n_rows),
    };

    for (int m = 0; m < actor->n_policies; m++) {
        w.passes[m] = net_pass_create(a, actor->nets[m], max_rows);
        w.d[m] = arena_new_array(a, real, (int64_t)max_rows * net_out(actor->nets[m]));
    }
    return w;
}

static void forward(const struct learner *l, int k, const struct batch *b,
                    struct actor_work *w, const real **outs)
{
    const struct actor *a = l->team->actors[k];
    const struct rollout *r = &l->player->rollout;

    for (int i = 0; i < b->n_steps * b->n_sequences; i++) {
        real *const x = w->x + (int64_t)i * a->n_in;

        if (b->rows[i] < 0)
            memset(x, 0, (size_t)a->n_in * sizeof *x);
        else
            actor_input(l->team, a,
                        r->observations
                            + (int64_t)b->rows[i] * l->team->e->n_observation,
                        r->heard + (int64_t)b->rows[i] * n_heard(l), x);
    }
    for (int m = 0; m < a->n_policies; m++)
        outs[m] =
            net_forward(a->nets[m], w->passes[m], b->n_steps, b->n_sequences, w->x);
}

/* Row i of the batch among outs[], at its agent's head. */
static void outputs_of(const struct actor *a, int agent, int i, const real *const *outs,
                       const real **of_row)
{
    for (int m = 0; m < a->n_policies; m++)
        of_row[m] = outs[m] + (int64_t)i * net_out(a->nets[m]) + a->head_at[agent];
}

static struct head_value value_of(const struct learner *l, int k, int i, int row,
                                  const real *const *outs)
{
    const struct actor *a = l->team->actors[k];
    const struct rollout_row *r = &l->player->rollout.rows[row];
    const struct mixture mixture = mixture_of(a->n_policies, a->weights);
    const struct head_query q = rollout_query(l->player, row);
    const real *of_row[MIXTURE_MAX];

    outputs_of(a, r->agent, i, outs, of_row);
    return mixture_evaluate(&mixture, &q, of_row, &r->action);
}

/* ---- the loss of an actor ---------------------------------------------------------
 */

/* Sums of the batch's log ratios; returns how many ratios there are. */
static int sum_ratios(const struct learner *l, int k, const struct batch *b,
                      const real *const *outs, struct actor_work *w,
                      struct learner_means *m)
{
    const struct rollout *r = &l->player->rollout;
    const int n = b->n_steps * b->n_sequences;
    int n_ratios = 0;

    for (int i = 0; i < n; i++)
        if (b->rows[i] >= 0)
            w->log_ratio[ratio_of(l, &r->rows[b->rows[i]], b->rows[i])] = NAN;
    for (int i = 0; i < n; i++) {
        if (b->rows[i] < 0 || !r->rows[b->rows[i]].free)
            continue;

        const struct rollout_row *row = &r->rows[b->rows[i]];
        double *const sum = &w->log_ratio[ratio_of(l, row, b->rows[i])];
        const struct head_value v = value_of(l, k, i, b->rows[i], outs);

        if (isnan(*sum)) {
            *sum = 0;
            n_ratios++;
        }
        *sum += v.log_p - row->log_p;
        m->entropy += v.entropy;
    }
    return n_ratios;
}

/* The derivative of the batch's mean L by each log ratio. */
static double weigh_ratios(const struct learner *l, const struct batch *b, int n_ratios,
                           double clip, struct actor_work *w, struct learner_means *m)
{
    const struct rollout *r = &l->player->rollout;
    double loss = 0;

    for (int i = 0; i < b->n_steps * b->n_sequences; i++) {
        if (b->rows[i] < 0 || !r->rows[b->rows[i]].free)
            continue;

        const int id = ratio_of(l, &r->rows[b->rows[i]], b->rows[i]);
        const double ratio = exp(w->log_ratio[id]),
                     advantage = r->rows[b->rows[i]].advantage;

        if (isnan(w->log_ratio[id])) /* seen: a joint ratio counts once */
            continue;
        loss += loss_clipped(ratio, advantage, clip) / n_ratios;
        w->by_log_p[id] = loss_clipped_gradient(ratio, advantage, clip) / n_ratios;
        m->kl += loss_kl(w->log_ratio[id]);
        m->clipped += fabs(ratio - 1) > clip;
        m->furthest = fmax(m->furthest, fabs(ratio - 1));
        w->log_ratio[id] = NAN;
    }
    m->n += n_ratios;
    m->policy_loss -= loss * n_ratios;
    return loss;
}

/* Adds the gradient of -L - entropy H of the batch; returns the loss. */
static double actor_gradient(struct learner *l, int k, const struct batch *b,
                             double clip, double entropy, struct actor_work *w,
                             double *by_weight, struct learner_means *m)
{
    const struct actor *a = l->team->actors[k];
    const struct rollout *r = &l->player->rollout;
    const struct mixture mixture = mixture_of(a->n_policies, a->weights);
    const int n = b->n_steps * b->n_sequences;
    const double entropy_before = m->entropy;
    const real *outs[MIXTURE_MAX];

    forward(l, k, b, w, outs);

    const int n_ratios = sum_ratios(l, k, b, outs, w, m);

    if (!n_ratios)
        return 0;

    const double loss = weigh_ratios(l, b, n_ratios, clip, w, m);

    for (int p = 0; p < a->n_policies; p++)
        memset(w->d[p], 0, (size_t)n * (size_t)net_out(a->nets[p]) * sizeof(real));
    for (int i = 0; i < n; i++) {
        if (b->rows[i] < 0 || !r->rows[b->rows[i]].free)
            continue;

        const struct rollout_row *row = &r->rows[b->rows[i]];
        const struct head_query q = rollout_query(l->player, b->rows[i]);
        const real *of_row[MIXTURE_MAX];
        real *d[MIXTURE_MAX];

        outputs_of(a, row->agent, i, outs, of_row);
        for (int p = 0; p < a->n_policies; p++)
            d[p] = w->d[p] + (int64_t)i * net_out(a->nets[p]) + a->head_at[row->agent];
        mixture_gradient(&mixture, &q, of_row, &row->action,
                         -w->by_log_p[ratio_of(l, row, b->rows[i])],
                         -entropy / n_ratios, d, by_weight);
    }
    for (int p = 0; p < a->n_policies; p++)
        net_backward(a->nets[p], w->passes[p], w->d[p], NULL);
    return -loss - entropy * (m->entropy - entropy_before) / n_ratios;
}

double learner_actor_loss(struct learner *l, int k, double clip, double entropy,
                          double *by_weight, struct learner_means *out)
{
    struct arena *scratch = arena_create();
    const struct parts p = list_parts(scratch, l, k);
    int64_t *order = arena_new_array(scratch, int64_t, p.n);

    for (int i = 0; i < p.n; i++)
        order[i] = i;

    const struct batch b = gather_batch(scratch, l, &p, order, p.n);
    struct actor_work w = actor_work(scratch, l, k, b.n_steps * b.n_sequences);
    const double loss = actor_gradient(l, k, &b, clip, entropy, &w, by_weight, out);

    arena_destroy(scratch);
    return loss;
}

void learner_evaluate(struct learner *l)
{
    struct rollout *r = &l->player->rollout;

    for (int k = 0; k < l->team->n_actors; k++) {
        struct arena *scratch = arena_create();
        const struct parts p = list_parts(scratch, l, k);
        const int most = l->team->n_state ? p.n : EVALUATED_ROWS;
        int64_t *order = arena_new_array(scratch, int64_t, p.n);
        const real *outs[MIXTURE_MAX];

        for (int i = 0; i < p.n; i++)
            order[i] = i;
        for (int at = 0; at < p.n; at += most) {
            const int n = p.n - at < most ? p.n - at : most;
            const struct batch b = gather_batch(scratch, l, &p, order + at, n);
            struct actor_work w = actor_work(scratch, l, k, b.n_steps * b.n_sequences);

            forward(l, k, &b, &w, outs);
            for (int i = 0; i < b.n_steps * b.n_sequences; i++) {
                if (b.rows[i] < 0)
                    continue;

                const struct head_value v = value_of(l, k, i, b.rows[i], outs);

                r->rows[b.rows[i]].log_p = v.log_p;
                r->rows[b.rows[i]].entropy = v.entropy;
            }
        }
        arena_destroy(scratch);
    }
}

/* ---- learning ---------------------------------------------------------------------
 */

/* Adam for the ensemble's weights. */
static void weights_adam(struct actor *a, const double *g, double rate)
{
    const double t = (double)a->nets[0]->steps;

    for (int k = 0; a->n_policies > 1 && k < a->n_policies; k++) {
        a->weight_m[k] = 0.9 * a->weight_m[k] + 0.1 * g[k];
        a->weight_v[k] = 0.999 * a->weight_v[k] + 0.001 * g[k] * g[k];
        a->weights[k] -= rate * (a->weight_m[k] / (1 - pow(0.9, t)))
                         / (sqrt(a->weight_v[k] / (1 - pow(0.999, t))) + 1e-5);
    }
}

/* Parts from `first` on that make a batch of about `rows` rows; returns the end. */
static int batch_end(const struct parts *p, const int64_t *order, int first, int rows)
{
    int end = first, sum = 0;

    while (end < p->n && (rows == 0 || sum < rows)) {
        sum += p->start[order[end] + 1] - p->start[order[end]];
        end++;
    }
    return end;
}

static void learn_actor(struct learner *l, int k, struct learner_means *out)
{
    const struct controller_options *o = l->o;
    struct actor *a = l->team->actors[k];
    struct random random =
        noise_stream(l->seed, (uint64_t)l->iteration * 64 + 1 + (uint64_t)k);
    struct arena *scratch = arena_create(), *once = arena_create();
    const struct parts p = list_parts(scratch, l, k);
    struct actor_work w = {0};
    int64_t *order = arena_new_array(scratch, int64_t, p.n);
    const double rate = ramp_at(o->rate, l->iteration, o->n_iterations),
                 clip = ramp_at(o->clip, l->iteration, o->n_iterations),
                 entropy = ramp_at(o->entropy, l->iteration, o->n_iterations);
    bool goes_on = true;

    for (int i = 0; i < p.n; i++)
        order[i] = i;
    for (int epoch = 0; epoch < o->epochs && goes_on; epoch++) {
        random_shuffle(&random, order, p.n);
        for (int at = 0, end; at < p.n && goes_on; at = end) {
            double by_weight[MIXTURE_MAX] = {0};
            struct learner_means m = {0};

            end = batch_end(&p, order, at, o->batch);

            const struct batch b = gather_batch(once, l, &p, order + at, end - at);

            if (b.n_steps * b.n_sequences > w.max_rows)
                w = actor_work(scratch, l, k, b.n_steps * b.n_sequences);
            for (int n = 0; n < a->n_policies; n++)
                net_zero_gradient(a->nets[n]);
            actor_gradient(l, k, &b, clip, entropy, &w, by_weight, &m);
            goes_on = !(o->max_kl > 0 && m.n && m.kl / m.n > o->max_kl);
            for (int n = 0; goes_on && n < a->n_policies; n++)
                net_adam(a->nets[n], rate, o->max_norm);
            if (goes_on)
                weights_adam(a, by_weight, rate);
            if (epoch == 0 && at == 0)
                out->furthest = m.furthest;
            out->policy_loss += m.policy_loss;
            out->entropy += m.entropy;
            out->kl += m.kl;
            out->clipped += m.clipped;
            out->n += m.n;
            arena_reset(once);
        }
    }
    arena_destroy(once);
    arena_destroy(scratch);
}

/* Adds the gradient of the rows' mean loss; returns it. */
static double critic_gradient(struct learner *l, int k, const int64_t *rows, int n,
                              struct net_pass *pass, real *x, real *d)
{
    const struct critic *c = l->critics[k];
    const struct rollout *r = &l->player->rollout;
    const struct loss_value_options options = {l->o->value_clip, l->o->value_huber};
    const int ld = net_out(c->net);
    double loss = 0;

    for (int i = 0; i < n; i++)
        critic_input(l, k, (int)rows[i], x + (int64_t)i * c->n_in);
    memset(d, 0, (size_t)n * (size_t)ld * sizeof *d);

    const real *const y = net_forward(c->net, pass, 1, n, x);

    for (int i = 0; i < n; i++) {
        const struct rollout_row *row = &r->rows[rows[i]];
        double gradient;

        loss += loss_value((double)y[(int64_t)i * ld], row->scaled_value,
                           value_scale_to(&c->scale, row->target), options, &gradient)
                / n;
        d[(int64_t)i * ld] = (real)(l->o->value_weight * gradient / n);
    }
    net_backward(c->net, pass, d, NULL);
    return l->o->value_weight * loss;
}

double learner_critic_loss(struct learner *l, int k)
{
    const struct critic *c = l->critics[k];
    const int n_rows = l->player->rollout.n_rows;
    struct arena *scratch = arena_create();
    int *rows = arena_new_array(scratch, int, n_rows);
    const int n = judged_rows(l, k, rows);
    int64_t *order = arena_new_array(scratch, int64_t, n);
    struct net_pass *pass = net_pass_create(scratch, c->net, n);
    real *x = arena_new_array(scratch, real, (int64_t)n * c->n_in),
         *d = arena_new_array(scratch, real, (int64_t)n * net_out(c->net));

    for (int i = 0; i < n; i++)
        order[i] = rows[i];

    const double loss = critic_gradient(l, k, order, n, pass, x, d);

    arena_destroy(scratch);
    return loss;
}

static void learn_critic(struct learner *l, int k, double *loss)
{
    const struct controller_options *o = l->o;
    struct critic *c = l->critics[k];
    const int n_rows = l->player->rollout.n_rows;
    struct random random =
        noise_stream(l->seed, (uint64_t)l->iteration * 64 + 33 + (uint64_t)k);
    struct arena *scratch = arena_create();
    int *rows = arena_new_array(scratch, int, n_rows);
    const int n = judged_rows(l, k, rows),
              most = o->batch && o->batch < n ? o->batch : n;
    int64_t *order = arena_new_array(scratch, int64_t, n);
    double *targets = arena_new_array(scratch, double, n);
    struct net_pass *pass = net_pass_create(scratch, c->net, most);
    real *x = arena_new_array(scratch, real, (int64_t)most * c->n_in),
         *d = arena_new_array(scratch, real, (int64_t)most * net_out(c->net));
    const double rate = ramp_at(o->rate, l->iteration, o->n_iterations);
    int n_batches = 0;

    for (int i = 0; i < n; i++) {
        order[i] = rows[i];
        targets[i] = l->player->rollout.rows[rows[i]].target;
    }
    if (n)
        value_scale_add(&c->scale, targets, n);
    for (int epoch = 0; epoch < o->epochs; epoch++) {
        random_shuffle(&random, order, n);
        for (int at = 0; at < n; at += most) {
            const int m = n - at < most ? n - at : most;

            net_zero_gradient(c->net);
            *loss += critic_gradient(l, k, order + at, m, pass, x, d);
            net_adam(c->net, rate, o->max_norm);
            n_batches++;
        }
    }
    *loss /= n_batches ? n_batches : 1;
    arena_destroy(scratch);
}

struct learning {
    struct learner *l;
    struct learner_means actors[ENVIRONMENT_MAX_AGENTS];
    double critics[ENVIRONMENT_MAX_AGENTS];
};

static void learn_one(void *arg, int i)
{
    struct learning *all = arg;
    const int n_actors = all->l->team->n_actors;

    if (i < n_actors)
        learn_actor(all->l, i, &all->actors[i]);
    else
        learn_critic(all->l, i - n_actors, &all->critics[i - n_actors]);
}

void learner_learn(struct learner *l, struct controller_report *out)
{
    struct learning all = {.l = l};
    int n = 0;

    parallel_run(l->o->n_threads, learn_one, &all, l->team->n_actors + l->n_critics);
    for (int k = 0; k < l->team->n_actors; k++) {
        const struct learner_means *m = &all.actors[k];

        out->policy_loss += m->policy_loss;
        out->entropy += m->entropy;
        out->kl += m->kl;
        out->clipped += m->clipped;
        out->first_ratio = fmax(out->first_ratio, m->furthest);
        n += m->n;
    }
    out->policy_loss /= n ? n : 1;
    out->entropy /= n ? n : 1;
    out->kl /= n ? n : 1;
    out->clipped /= n ? n : 1;
    for (int k = 0; k < l->n_critics; k++)
        out->value_loss += all.critics[k] / l->n_critics;
    l->iteration++;
}
