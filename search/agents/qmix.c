/* SPDX-License-Identifier: Apache-2.0 */
/* QMIX: see qmix.h. */
#include "search/agents/qmix.h"

#include <string.h>

#include "search/agents/noise.h"

enum { GRID = 5 };

static int n_choices(const struct environment *e, int agent)
{
    return e->agents[agent].n_actions ? e->agents[agent].n_actions : GRID * GRID;
}

/* sigmoid(u) in the middle of a fifth. */
static real grid_u(int k)
{
    const double share = (k + 0.5) / (double)GRID;

    return (real)log(share / (1 - share));
}

static struct action to_action(const struct environment *e, int agent, int choice)
{
    if (e->agents[agent].n_actions)
        return (struct action){choice, {0, 0}};
    return (struct action){choice, {grid_u(choice / GRID), grid_u(choice % GRID)}};
}

static uint64_t legal_of(const struct environment *e, int agent, uint64_t legal)
{
    return e->agents[agent].n_actions ? legal : (UINT64_C(1) << GRID * GRID) - 1;
}

/* ---- creation ---------------------------------------------------------------------
 */

static struct qmix_nets create_nets(struct arena *a, const struct environment *e,
                                    const struct controller_options *o,
                                    struct random *random)
{
    struct qmix_nets nets;
    struct net_shape agent = {
        .n_in = e->n_observation, .n_hidden = o->n_hidden, .gain = 0.1};
    const int widths[QMIX_PARTS] = {[QMIX_W1] = e->n_agents * o->mixing,
                                    [QMIX_B1] = o->mixing,
                                    [QMIX_W2] = o->mixing,
                                    [QMIX_V] = 1};

    memcpy(agent.hidden, o->actor_hidden, sizeof agent.hidden);
    for (int i = 0; i < e->n_agents; i++) {
        agent.n_out = n_choices(e, i);
        nets.agents[i] = net_create(a, &agent, random);
    }
    for (int k = 0; k < QMIX_PARTS; k++) {
        const struct net_shape part = {.n_in = e->n_state,
                                       .n_hidden = k == QMIX_V,
                                       .hidden = {o->mixing},
                                       .n_out = widths[k],
                                       .gain = 0.5};

        nets.mixer[k] = net_create(a, &part, random);
    }
    return nets;
}

static struct qmix_work create_work(struct arena *a, const struct environment *e,
                                    const struct qmix_nets *nets, int rows)
{
    struct qmix_work w = {
        .observations = arena_new_array(a, real, (int64_t)rows * e->n_observation),
        .states = arena_new_array(a, real, (int64_t)rows * e->n_state),
    };

    for (int i = 0; i < e->n_agents; i++) {
        w.agents[i] = net_pass_create(a, nets->agents[i], rows);
        w.d_agents[i] =
            arena_new_array(a, real, (int64_t)rows * net_out(nets->agents[i]));
    }
    for (int k = 0; k < QMIX_PARTS; k++) {
        w.mixer[k] = net_pass_create(a, nets->mixer[k], rows);
        w.d_mixer[k] =
            arena_new_array(a, real, (int64_t)rows * net_out(nets->mixer[k]));
    }
    return w;
}

static void blend_all(const struct environment *e, struct qmix_nets *to,
                      const struct qmix_nets *from, double share)
{
    for (int i = 0; i < e->n_agents; i++)
        net_blend(to->agents[i], from->agents[i], share);
    for (int k = 0; k < QMIX_PARTS; k++)
        net_blend(to->mixer[k], from->mixer[k], share);
}

static void *qmix_create(struct arena *a, const struct environment *e,
                         const struct controller_options *o, uint64_t seed)
{
    struct qmix *m = arena_new(a, struct qmix);
    int scratch = 0;

    m->e = e;
    m->o = *o;
    m->random = noise_stream(seed, 0);
    m->online = create_nets(a, e, o, &m->random);
    m->target = create_nets(a, e, o, &m->random);
    blend_all(e, &m->target, &m->online, 1);
    m->work = create_work(a, e, &m->online, o->learn_batch);
    m->target_work = create_work(a, e, &m->online, o->learn_batch);
    m->replay = replay_create(a, e, o->replay);
    for (int i = 0; i < e->n_agents; i++)
        scratch = net_scratch(m->online.agents[i]) > scratch
                      ? net_scratch(m->online.agents[i])
                      : scratch;
    m->x = arena_new_array(a, real, e->n_observation);
    m->scratch = arena_new_array(a, real, scratch);
    return m;
}

/* ---- the mixed value --------------------------------------------------------------
 */

/* Outputs of all networks for n questions. */
static void forward(const struct qmix *m, const struct qmix_nets *nets,
                    struct qmix_work *w, const struct joint_question *const *at, int n)
{
    for (int i = 0; i < n; i++) {
        replay_observation(m->replay, at[i],
                           w->observations + (int64_t)i * m->e->n_observation);
        replay_state(m->replay, at[i], w->states + (int64_t)i * m->e->n_state);
    }
    for (int i = 0; i < m->e->n_agents; i++)
        w->q_out[i] = net_forward(nets->agents[i], w->agents[i], 1, n, w->observations);
    for (int k = 0; k < QMIX_PARTS; k++)
        w->mixer_out[k] = net_forward(nets->mixer[k], w->mixer[k], 1, n, w->states);
}

static const real *row_of(const struct net *n, const real *out, int row)
{
    return out + (int64_t)row * net_out(n);
}

static int best_choice(const struct environment *e, int agent, uint64_t legal,
                       const real *q)
{
    int best = -1;

    for (int a = 0; a < n_choices(e, agent); a++)
        if (legal >> a & 1 && (best < 0 || q[a] > q[best]))
            best = a;
    return best;
}

static bool is_asked(const struct joint_question *at, int agent)
{
    return at->asked >> agent & 1;
}

/* Row `row` of the last forward pass, for the agents' values q[n_agents]. */
static double mix(const struct qmix *m, const struct qmix_nets *nets,
                  const struct qmix_work *w, int row, const double *q)
{
    const int e = m->o.mixing;
    const real *const w1 = row_of(nets->mixer[QMIX_W1], w->mixer_out[QMIX_W1], row),
                      *const b1 =
                          row_of(nets->mixer[QMIX_B1], w->mixer_out[QMIX_B1], row),
                      *const w2 =
                          row_of(nets->mixer[QMIX_W2], w->mixer_out[QMIX_W2], row);
    double sum = (double)*row_of(nets->mixer[QMIX_V], w->mixer_out[QMIX_V], row);

    for (int k = 0; k < e; k++) {
        double z = (double)b1[k];

        for (int i = 0; i < m->e->n_agents; i++)
            z += fabs((double)w1[i * e + k]) * q[i];
        sum += fabs((double)w2[k]) * (z > 0 ? z : expm1(z));
    }
    return sum;
}

static double sign(real x)
{
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

/* As mix, times `scale`: gradients into row `row` of w->d_mixer and into dq[n_agents].
 */
static void mix_gradient(const struct qmix *m, const struct qmix_nets *nets,
                         struct qmix_work *w, int row, const double *q, double scale,
                         double *dq)
{
    const int e = m->o.mixing, n = m->e->n_agents;
    const real *const w1 = row_of(nets->mixer[QMIX_W1], w->mixer_out[QMIX_W1], row),
                      *const b1 =
                          row_of(nets->mixer[QMIX_B1], w->mixer_out[QMIX_B1], row),
                      *const w2 =
                          row_of(nets->mixer[QMIX_W2], w->mixer_out[QMIX_W2], row);
    real *d[QMIX_PARTS];

    for (int k = 0; k < QMIX_PARTS; k++)
        d[k] = w->d_mixer[k] + (int64_t)row * net_out(nets->mixer[k]);
    memset(dq, 0, (size_t)n * sizeof *dq);
    d[QMIX_V][0] = (real)scale;
    for (int k = 0; k < e; k++) {
        double z = (double)b1[k];

        for (int i = 0; i < n; i++)
            z += fabs((double)w1[i * e + k]) * q[i];

        const double slope = scale * fabs((double)w2[k]) * (z > 0 ? 1 : exp(z));

        d[QMIX_W2][k] = (real)(scale * (z > 0 ? z : expm1(z)) * sign(w2[k]));
        d[QMIX_B1][k] = (real)slope;
        for (int i = 0; i < n; i++) {
            d[QMIX_W1][i * e + k] = (real)(slope * q[i] * sign(w1[i * e + k]));
            dq[i] += slope * fabs((double)w1[i * e + k]);
        }
    }
}

/* The values of what the agents did. */
static void chosen_values(const struct qmix *m, const struct qmix_work *w, int row,
                          const struct joint_step *step, double *q)
{
    for (int i = 0; i < m->e->n_agents; i++)
        q[i] = is_asked(&step->at, i) ? (double)row_of(m->online.agents[i], w->q_out[i],
                                                       row)[step->actions[i].choice]
                                      : 0;
}

/* ---- learning ---------------------------------------------------------------------
 */

static void list_questions(const struct joint_step *const *steps, int n, bool after,
                           const struct joint_question **out)
{
    for (int i = 0; i < n; i++)
        out[i] = after && !steps[i]->ends ? &steps[i]->after : &steps[i]->at;
}

/* y of n steps: online networks choose, target networks judge. */
static void targets(struct qmix *m, const struct joint_step *const *steps, int n,
                    const struct joint_question **at, double *out)
{
    list_questions(steps, n, true, at);
    forward(m, &m->online, &m->work, at, n);
    forward(m, &m->target, &m->target_work, at, n);
    for (int r = 0; r < n; r++) {
        double q[ENVIRONMENT_MAX_AGENTS] = {0};

        out[r] = steps[r]->reward;
        if (steps[r]->ends)
            continue;
        for (int i = 0; i < m->e->n_agents; i++)
            if (is_asked(at[r], i))
                q[i] = (double)row_of(
                    m->target.agents[i], m->target_work.q_out[i],
                    r)[best_choice(m->e, i, legal_of(m->e, i, at[r]->legal[i]),
                                   row_of(m->online.agents[i], m->work.q_out[i], r))];
        out[r] += m->o.gamma * mix(m, &m->target, &m->target_work, r, q);
    }
}

double qmix_loss(struct qmix *m, const struct joint_step *const *steps, int n)
{
    struct arena *scratch = arena_create();
    const struct joint_question **at =
        arena_new_array(scratch, const struct joint_question *, n);
    double *y = arena_new_array(scratch, double, n), loss = 0;
    struct qmix_work *w = &m->work;

    targets(m, steps, n, at, y);
    list_questions(steps, n, false, at);
    forward(m, &m->online, w, at, n);
    for (int i = 0; i < m->e->n_agents; i++)
        memset(w->d_agents[i], 0,
               (size_t)n * (size_t)net_out(m->online.agents[i]) * sizeof(real));
    for (int k = 0; k < QMIX_PARTS; k++)
        memset(w->d_mixer[k], 0,
               (size_t)n * (size_t)net_out(m->online.mixer[k]) * sizeof(real));
    for (int r = 0; r < n; r++) {
        double q[ENVIRONMENT_MAX_AGENTS], dq[ENVIRONMENT_MAX_AGENTS];

        chosen_values(m, w, r, steps[r], q);

        const double error = mix(m, &m->online, w, r, q) - y[r];

        loss += error * error / n;
        mix_gradient(m, &m->online, w, r, q, 2 * error / n, dq);
        for (int i = 0; i < m->e->n_agents; i++)
            if (is_asked(&steps[r]->at, i))
                w->d_agents[i][(int64_t)r * net_out(m->online.agents[i])
                               + steps[r]->actions[i].choice] = (real)dq[i];
    }
    for (int i = 0; i < m->e->n_agents; i++)
        net_backward(m->online.agents[i], w->agents[i], w->d_agents[i], NULL);
    for (int k = 0; k < QMIX_PARTS; k++)
        net_backward(m->online.mixer[k], w->mixer[k], w->d_mixer[k], NULL);
    arena_destroy(scratch);
    return loss;
}

void qmix_values(struct qmix *m, const struct joint_step *const *steps, int n,
                 double *out)
{
    struct arena *scratch = arena_create();
    const struct joint_question **at =
        arena_new_array(scratch, const struct joint_question *, n);

    list_questions(steps, n, false, at);
    forward(m, &m->online, &m->work, at, n);
    for (int r = 0; r < n; r++) {
        double q[ENVIRONMENT_MAX_AGENTS];

        chosen_values(m, &m->work, r, steps[r], q);
        out[r] = mix(m, &m->online, &m->work, r, q);
    }
    arena_destroy(scratch);
}

void qmix_slopes(struct qmix *m, const struct joint_step *step, double *out)
{
    const struct joint_question *const at = &step->at;
    double q[ENVIRONMENT_MAX_AGENTS];

    forward(m, &m->online, &m->work, &at, 1);
    chosen_values(m, &m->work, 0, step, q);
    mix_gradient(m, &m->online, &m->work, 0, q, 1, out);
}

static double learn_once(struct qmix *m, double rate)
{
    struct arena *scratch = arena_create();
    const int n = m->o.learn_batch;
    const struct joint_step **steps =
        arena_new_array(scratch, const struct joint_step *, n);

    for (int i = 0; i < n; i++)
        steps[i] = &m->replay->steps[random_below(&m->random, (uint64_t)m->replay->n)];
    for (int i = 0; i < m->e->n_agents; i++)
        net_zero_gradient(m->online.agents[i]);
    for (int k = 0; k < QMIX_PARTS; k++)
        net_zero_gradient(m->online.mixer[k]);

    const double loss = qmix_loss(m, steps, n);

    for (int i = 0; i < m->e->n_agents; i++)
        net_adam(m->online.agents[i], rate, m->o.max_norm);
    for (int k = 0; k < QMIX_PARTS; k++)
        net_adam(m->online.mixer[k], rate, m->o.max_norm);
    blend_all(m->e, &m->target, &m->online, m->o.target_share);
    arena_destroy(scratch);
    return loss;
}

static void qmix_iterate(void *self, struct controller_report *out)
{
    struct qmix *m = self;
    const double rate = ramp_at(m->o.rate, m->iteration, m->o.n_iterations);
    int n_learned = 0;

    if (m->o.curriculum && m->e->unlock)
        m->e->unlock(m->e->problem, curriculum_share(m->iteration, m->o.n_iterations));
    m->explore = ramp_at(m->o.explore, m->iteration, m->o.n_iterations);
    for (int i = 0; i < m->o.n_episodes; i++) {
        replay_play(m->replay, &controller_qmix, m, 0, &m->random, out);
        for (int k = 0; k < m->o.steps_per_episode && m->replay->n >= m->o.learn_batch;
             k++)
            out->value_loss += (learn_once(m, rate) - out->value_loss) / ++n_learned;
    }
    running_settle(m->replay->observations);
    running_settle(m->replay->states);
    m->iteration++;
}

static struct action qmix_decide(void *self, const struct decision *d,
                                 struct memory *memory, enum play play,
                                 struct random *random, double *confidence)
{
    struct qmix *m = self;
    const uint64_t legal = legal_of(m->e, d->agent, d->legal);
    const int n = n_choices(m->e, d->agent);

    (void)memory;
    if (confidence)
        *confidence = 1;
    if (play == PLAY_DRAW && random_unit(random) < m->explore) {
        int left = (int)random_below(random, (uint64_t)__builtin_popcountll(legal));

        for (int a = 0; a < n; a++)
            if (legal >> a & 1 && left-- == 0)
                return to_action(m->e, d->agent, a);
    }
    running_apply(m->replay->observations, d->observation, m->x);

    const real *const q =
        net_forward_one(m->online.agents[d->agent], m->x, NULL, m->scratch);

    return to_action(m->e, d->agent, best_choice(m->e, d->agent, legal, q));
}

static int qmix_n_lstm(const void *self)
{
    (void)self;
    return 0;
}

const struct controller_class controller_qmix = {
    qmix_create, NULL, qmix_iterate, qmix_decide, qmix_n_lstm, NULL, NULL};
