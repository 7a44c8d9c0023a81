/* SPDX-License-Identifier: Apache-2.0 */
/* MADDPG: see maddpg.h. */
#include "search/agents/maddpg.h"

#include <string.h>

#include "search/agents/noise.h"

static int n_out(const struct environment *e, int agent)
{
    return e->agents[agent].n_actions ? e->agents[agent].n_actions : 2;
}

/* ---- creation ---------------------------------------------------------------------
 */

static struct maddpg_nets create_nets(struct arena *a, const struct environment *e,
                                      const struct controller_options *o, int n_in,
                                      struct random *random)
{
    struct maddpg_nets nets;
    struct net_shape actor = {
        .n_in = e->n_observation, .n_hidden = o->n_hidden, .gain = 0.01};
    struct net_shape critic = {
        .n_in = n_in, .n_hidden = o->n_hidden, .n_out = 1, .gain = 1};

    memcpy(actor.hidden, o->actor_hidden, sizeof actor.hidden);
    memcpy(critic.hidden, o->critic_hidden, sizeof critic.hidden);
    for (int i = 0; i < e->n_agents; i++) {
        actor.n_out = n_out(e, i);
        nets.actors[i] = net_create(a, &actor, random);
    }
    nets.critic = net_create(a, &critic, random);
    return nets;
}

static void blend_all(const struct environment *e, struct maddpg_nets *to,
                      const struct maddpg_nets *from, double share)
{
    for (int i = 0; i < e->n_agents; i++)
        net_blend(to->actors[i], from->actors[i], share);
    net_blend(to->critic, from->critic, share);
}

static void *maddpg_create(struct arena *a, const struct environment *e,
                           const struct controller_options *o, uint64_t seed)
{
    struct maddpg *m = arena_new(a, struct maddpg);
    const int64_t rows = o->learn_batch;
    int widest = 0, scratch = 0;

    m->e = e;
    m->o = *o;
    m->random = noise_stream(seed, 0);
    m->n_in = e->n_state + environment_n_heard(e, e->n_agents);
    m->online = create_nets(a, e, o, m->n_in, &m->random);
    m->target = create_nets(a, e, o, m->n_in, &m->random);
    blend_all(e, &m->target, &m->online, 1);
    for (int i = 0; i < e->n_agents; i++) {
        const struct net *n = m->online.actors[i];

        m->actors[i] = net_pass_create(a, n, o->learn_batch);
        widest = net_out(n) > widest ? net_out(n) : widest;
        scratch = net_scratch(n) > scratch ? net_scratch(n) : scratch;
    }
    m->critic = net_pass_create(a, m->online.critic, o->learn_batch);
    m->replay = replay_create(a, e, o->replay);
    m->observations = arena_new_array(a, real, rows * e->n_observation);
    m->x = arena_new_array(a, real, rows * m->n_in);
    m->d = arena_new_array(a, real, rows * net_out(m->online.critic));
    m->dx = arena_new_array(a, real, rows * m->n_in);
    m->d_out = arena_new_array(a, real, rows * widest);
    m->soft = arena_new_array(a, real, rows * HEAD_MAX_ACTIONS);
    m->one = arena_new_array(a, real, e->n_observation);
    m->scratch = arena_new_array(a, real, scratch);
    return m;
}

/* ---- inputs -----------------------------------------------------------------------
 */

static bool is_asked(const struct joint_question *at, int agent)
{
    return at->asked >> agent & 1;
}

static const struct joint_question *question(const struct joint_step *step, bool after)
{
    return after && !step->ends ? &step->after : &step->at;
}

/* States, and room for the joint actions, of all rows. */
static void fill_states(struct maddpg *m, const struct joint_step *const *steps, int n,
                        bool after)
{
    memset(m->x, 0, (size_t)n * (size_t)m->n_in * sizeof(real));
    for (int r = 0; r < n; r++)
        replay_state(m->replay, question(steps[r], after), m->x + (int64_t)r * m->n_in);
}

static real *actions_of(const struct maddpg *m, int row)
{
    return m->x + (int64_t)row * m->n_in + m->e->n_state;
}

static void fill_taken(struct maddpg *m, const struct joint_step *const *steps, int n)
{
    for (int r = 0; r < n; r++)
        for (int i = 0; i < m->e->n_agents; i++)
            if (is_asked(&steps[r]->at, i))
                environment_hear(m->e, i, &steps[r]->actions[i], actions_of(m, r));
}

/* Agent i's outputs for all rows. */
static const real *forward_actor(struct maddpg *m, const struct maddpg_nets *nets,
                                 int i, const struct joint_step *const *steps, int n,
                                 bool after)
{
    for (int r = 0; r < n; r++)
        replay_observation(m->replay, question(steps[r], after),
                           m->observations + (int64_t)r * m->e->n_observation);
    return net_forward(nets->actors[i], m->actors[i], 1, n, m->observations);
}

static int best_choice(int n, uint64_t legal, const real *out)
{
    int best = -1;

    for (int a = 0; a < n; a++)
        if (legal >> a & 1 && (best < 0 || out[a] > out[best]))
            best = a;
    return best;
}

static struct action best_action(const struct environment *e, int i, uint64_t legal,
                                 const real *out)
{
    if (!e->agents[i].n_actions)
        return (struct action){0, {out[0], out[1]}};
    return (struct action){best_choice(e->agents[i].n_actions, legal, out), {0, 0}};
}

/* ---- losses -----------------------------------------------------------------------
 */

static void fill_targets(struct maddpg *m, const struct joint_step *const *steps, int n,
                         double *y)
{
    const double scale = return_scale_deviation(&m->returns);

    fill_states(m, steps, n, true);
    for (int i = 0; i < m->e->n_agents; i++) {
        const real *const out = forward_actor(m, &m->target, i, steps, n, true);

        for (int r = 0; r < n; r++) {
            const struct joint_question *at = question(steps[r], true);
            const struct action a = best_action(
                m->e, i, at->legal[i], out + (int64_t)r * net_out(m->target.actors[i]));

            if (is_asked(at, i) && !steps[r]->ends)
                environment_hear(m->e, i, &a, actions_of(m, r));
        }
    }

    const real *const q = net_forward(m->target.critic, m->critic, 1, n, m->x);

    for (int r = 0; r < n; r++)
        y[r] = steps[r]->reward / scale
               + (steps[r]->ends
                      ? 0
                      : m->o.gamma * (double)q[(int64_t)r * net_out(m->target.critic)]);
}

double maddpg_critic_loss(struct maddpg *m, const struct joint_step *const *steps,
                          int n)
{
    struct arena *scratch = arena_create();
    const int ld = net_out(m->online.critic);
    double *y = arena_new_array(scratch, double, n), loss = 0;

    fill_targets(m, steps, n, y);
    fill_states(m, steps, n, false);
    fill_taken(m, steps, n);

    const real *const q = net_forward(m->online.critic, m->critic, 1, n, m->x);

    memset(m->d, 0, (size_t)n * (size_t)ld * sizeof(real));
    for (int r = 0; r < n; r++) {
        const double error = (double)q[(int64_t)r * ld] - y[r];

        loss += error * error / 2 / n;
        m->d[(int64_t)r * ld] = (real)(error / n);
    }
    net_backward(m->online.critic, m->critic, m->d, NULL);
    arena_destroy(scratch);
    return loss;
}

/* A noisy choice; p[n] is the softmax that stands in for it in the gradient. */
static int draw_choice(const struct maddpg *m, int n, uint64_t legal, const real *out,
                       struct random *random, real *p)
{
    real noisy[HEAD_MAX_ACTIONS] = {0};
    const struct head_query q = {.n = n, .legal = legal, .tau = (real)m->o.gumbel};

    for (int a = 0; a < n; a++)
        noisy[a] = out[a] + (real)noise_gumbel(random);
    head_probabilities(&q, noisy, p, NULL);
    return best_choice(n, legal, noisy);
}

/* Puts agent i's own action in place of the one that it took; soft[] is what its
 * gradient goes through. */
static void fill_own(struct maddpg *m, int i, const struct joint_step *const *steps,
                     int n, const real *out, struct random *random)
{
    const int n_actions = m->e->agents[i].n_actions, at = environment_n_heard(m->e, i);

    for (int r = 0; r < n; r++) {
        const real *const row = out + (int64_t)r * net_out(m->online.actors[i]);
        real *const soft = m->soft + (int64_t)r * HEAD_MAX_ACTIONS;
        struct action own = {0, {row[0], row[1]}};

        if (!is_asked(&steps[r]->at, i))
            continue;
        memset(actions_of(m, r) + at, 0, (size_t)n_out(m->e, i) * sizeof(real));
        if (n_actions)
            own.choice =
                draw_choice(m, n_actions, steps[r]->at.legal[i], row, random, soft);
        environment_hear(m->e, i, &own, actions_of(m, r));
        if (!n_actions)
            memcpy(soft, actions_of(m, r) + at, 2 * sizeof(real));
    }
}

/* d[n_out] from the gradient by the action and what it went through. */
static void own_gradient(const struct maddpg *m, int i, const real *by_action,
                         const real *soft, real *d)
{
    const int n = m->e->agents[i].n_actions;
    double mean = 0;

    for (int a = 0; a < n; a++)
        mean += (double)by_action[a] * (double)soft[a];
    for (int a = 0; a < n; a++)
        d[a] = (real)((double)soft[a] * ((double)by_action[a] - mean) / m->o.gumbel);
    for (int a = 0; !n && a < 2; a++)
        d[a] = by_action[a] * soft[a] * (1 - soft[a]);
}

double maddpg_actor_loss(struct maddpg *m, int i, const struct joint_step *const *steps,
                         int n, struct random *random)
{
    struct net *actor = m->online.actors[i];
    const int ld = net_out(m->online.critic), out_ld = net_out(actor),
              width = n_out(m->e, i), at = m->e->n_state + environment_n_heard(m->e, i);
    const real *const out = forward_actor(m, &m->online, i, steps, n, false);
    double loss = 0;

    fill_states(m, steps, n, false);
    fill_taken(m, steps, n);
    fill_own(m, i, steps, n, out, random);

    const real *const q = net_forward(m->online.critic, m->critic, 1, n, m->x);

    memset(m->d, 0, (size_t)n * (size_t)ld * sizeof(real));
    memset(m->d_out, 0, (size_t)n * (size_t)out_ld * sizeof(real));
    for (int r = 0; r < n; r++)
        if (is_asked(&steps[r]->at, i)) {
            loss -= (double)q[(int64_t)r * ld] / n;
            m->d[(int64_t)r * ld] = (real)(-1.0 / n);
        }
    net_backward(m->online.critic, m->critic, m->d, m->dx);
    for (int r = 0; r < n; r++) {
        const real *const row = out + (int64_t)r * out_ld;
        real *const d = m->d_out + (int64_t)r * out_ld;

        if (!is_asked(&steps[r]->at, i))
            continue;
        own_gradient(m, i, m->dx + (int64_t)r * m->n_in + at,
                     m->soft + (int64_t)r * HEAD_MAX_ACTIONS, d);
        for (int a = 0; a < width; a++) {
            const double decay = m->o.logit_decay / n / width;

            loss += decay * (double)row[a] * (double)row[a];
            d[a] += (real)(2 * decay * (double)row[a]);
        }
    }
    net_backward(actor, m->actors[i], m->d_out, NULL);
    return loss;
}

/* ---- learning ---------------------------------------------------------------------
 */

static double learn_once(struct maddpg *m, double rate)
{
    struct arena *scratch = arena_create();
    const int n = m->o.learn_batch;
    const struct joint_step **steps =
        arena_new_array(scratch, const struct joint_step *, n);

    for (int i = 0; i < n; i++)
        steps[i] = &m->replay->steps[random_below(&m->random, (uint64_t)m->replay->n)];
    net_zero_gradient(m->online.critic);

    const double loss = maddpg_critic_loss(m, steps, n);

    net_adam(m->online.critic, rate, m->o.max_norm);
    for (int i = 0; i < m->e->n_agents; i++) {
        net_zero_gradient(m->online.actors[i]);
        maddpg_actor_loss(m, i, steps, n, &m->random);
        net_adam(m->online.actors[i], m->o.actor_rate, m->o.max_norm);
    }
    blend_all(m->e, &m->target, &m->online, m->o.target_share);
    arena_destroy(scratch);
    return loss;
}

static void maddpg_iterate(void *self, struct controller_report *out)
{
    struct maddpg *m = self;
    const double rate = ramp_at(m->o.rate, m->iteration, m->o.n_iterations);
    int n_learned = 0;

    if (m->o.curriculum && m->e->unlock)
        m->e->unlock(m->e->problem, curriculum_share(m->iteration, m->o.n_iterations));
    m->explore = ramp_at(m->o.explore, m->iteration, m->o.n_iterations);
    for (int i = 0; i < m->o.n_episodes; i++) {
        struct controller_report one = {0};

        replay_play(m->replay, &controller_maddpg, m, 0, &m->random, &one);
        return_scale_add(&m->returns, one.mean_return);
        out->best_return =
            out->n_finished ? fmax(out->best_return, one.mean_return) : one.mean_return;
        out->mean_return += (one.mean_return - out->mean_return) / ++out->n_finished;
        out->n_decisions += one.n_decisions;
        for (int k = 0; k < m->o.steps_per_episode && m->replay->n >= m->o.learn_batch;
             k++)
            out->value_loss += (learn_once(m, rate) - out->value_loss) / ++n_learned;
    }
    running_settle(m->replay->observations);
    running_settle(m->replay->states);
    m->iteration++;
}

/* Choices are drawn from the softmax of the outputs; (T, alpha) get normal noise. */
static struct action maddpg_decide(void *self, const struct decision *d,
                                   struct memory *memory, enum play play,
                                   struct random *random, double *confidence)
{
    struct maddpg *m = self;
    real p[HEAD_MAX_ACTIONS];
    const int n = m->e->agents[d->agent].n_actions;

    (void)memory;
    if (confidence)
        *confidence = 1;
    running_apply(m->replay->observations, d->observation, m->one);

    const real *const out =
        net_forward_one(m->online.actors[d->agent], m->one, NULL, m->scratch);
    struct action a = best_action(m->e, d->agent, d->legal, out);

    if (play == PLAY_DRAW && n)
        a.choice = draw_choice(m, n, d->legal, out, random, p);
    for (int k = 0; play == PLAY_DRAW && !n && k < 2; k++)
        a.u[k] += (real)(m->explore * noise_normal(random));
    return a;
}

static int maddpg_n_lstm(const void *self)
{
    (void)self;
    return 0;
}

const struct controller_class controller_maddpg = {
    maddpg_create, NULL, maddpg_iterate, maddpg_decide, maddpg_n_lstm, NULL, NULL};
