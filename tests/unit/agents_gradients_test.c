/* SPDX-License-Identifier: Apache-2.0 */
// links: gamesdouble agentsdouble
/* Every gradient against central differences, in doubles: the same sources as in
 * floats. */
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>

#include "search/agents/maddpg.h"
#include "search/agents/noise.h"
#include "search/agents/ppo.h"
#include "search/agents/qmix.h"
#include "tests/games/probe_game.h"

enum { N_CHECKED = 200 };

#define STEP 1e-5

static struct controller_options small(enum controller_kind kind)
{
    struct controller_options o = controller_defaults(kind);

    o.n_iterations = 10;
    o.n_episodes = 8;
    o.n_hidden = 2;
    o.actor_hidden[0] = o.critic_hidden[0] = 12;
    o.actor_hidden[1] = o.critic_hidden[1] = 8;
    o.rate = (struct ramp){3e-3, 3e-3};
    o.batch = 64;
    o.learn_batch = 16;
    o.mixing = 8;
    return o;
}

typedef double loss_fn(void *arg);

static double largest(int64_t n, const double *x)
{
    double size = 0;

    for (int64_t i = 0; i < n; i++)
        size = fmax(size, fabs(x[i]));
    return size;
}

/* Largest error of `gradient`[n] at random places of w[n], relative to the largest
 * element. */
static double worst(loss_fn *loss, void *arg, int64_t n, double *w,
                    const double *gradient)
{
    struct random random = random_seeded(9);
    double result = 0;

    for (int i = 0; i < N_CHECKED; i++) {
        const int64_t at = (int64_t)random_below(&random, (uint64_t)n);
        const double before = w[at];

        w[at] = before + STEP;

        const double above = loss(arg);

        w[at] = before - STEP;

        const double below = loss(arg), slope = (above - below) / (2 * STEP);

        w[at] = before;
        result = fmax(result, fabs(slope - gradient[at]));
    }
    return result / largest(n, gradient);
}

static void check_net(loss_fn *loss, void *arg, struct net *net)
{
    double *gradient = calloc((size_t)net->n, sizeof *gradient);

    net_zero_gradient(net);
    loss(arg);
    memcpy(gradient, net->g, (size_t)net->n * sizeof *gradient);
    CHECK(largest(net->n, gradient) > 1e-4); /* there is something to compare */
    CHECK(worst(loss, arg, net->n, net->w, gradient) < 1e-6);
    free(gradient);
}

/* ---- the ppo family -----------------------------------------------------------------
 */

struct actor_case {
    struct learner *l;
    int k;
    double by_weight[MIXTURE_MAX];
};

static double actor_loss(void *arg)
{
    struct actor_case *c = arg;
    struct learner_means means = {0};

    memset(c->by_weight, 0, sizeof c->by_weight);
    return learner_actor_loss(c->l, c->k, 0.2, 0.05, c->by_weight, &means);
}

static double critic_loss(void *arg)
{
    struct actor_case *c = arg;

    return learner_critic_loss(c->l, c->k);
}

/* A rollout that was judged and evaluated, then networks moved away from it, so that
 * ratios lie on both sides of the clip. */
static struct controller *prepare(const struct environment *e,
                                  const struct controller_options *o)
{
    struct controller *c = controller_create(e, o, 3);
    struct ppo *p = controller_self(c);
    struct random random = random_seeded(4);
    struct controller_report report = {0};

    for (int i = 0; i < 2; i++)
        controller_iterate(c, &report);
    player_collect(p->player, &report);
    learner_judge(p->learner);
    learner_evaluate(p->learner);
    for (int k = 0; k < p->team->n_actors; k++)
        for (int m = 0; m < o->n_policies; m++) {
            struct net *n = p->team->actors[k]->nets[m];

            p->team->actors[k]->weights[m] = 0.3 * m;
            for (int64_t i = 0; i < n->n; i++)
                n->w[i] += n->w[i] != 0 ? 0.1 * noise_normal(&random) : 0;
        }
    for (int k = 0; k < p->learner->n_critics; k++)
        for (int64_t i = 0; i < p->learner->critics[k]->net->n; i++)
            p->learner->critics[k]->net->w[i] *= 1.1;
    return c;
}

static void check_ppo(struct controller_options o)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);

    CHECK_OK(blas_open());

    struct controller *c = prepare(&e, &o);
    struct ppo *p = controller_self(c);

    for (int k = 0; k < p->team->n_actors; k++) {
        struct actor_case at = {.l = p->learner, .k = k};
        struct actor *a = p->team->actors[k];

        for (int m = 0; m < o.n_policies; m++)
            check_net(actor_loss, &at, a->nets[m]);
        if (o.n_policies > 1) {
            double by_weight[MIXTURE_MAX];

            actor_loss(&at);
            memcpy(by_weight, at.by_weight, sizeof by_weight);
            CHECK(worst(actor_loss, &at, o.n_policies, a->weights, by_weight) < 1e-6);
        }
    }
    for (int k = 0; k < p->learner->n_critics; k++) {
        struct actor_case at = {.l = p->learner, .k = k};

        check_net(critic_loss, &at, p->learner->critics[k]->net);
    }
    controller_destroy(c);
}

TEST(gradients_of_mappo_are_those_of_its_losses)
{
    check_ppo(small(CONTROLLER_mappo));
}

TEST(gradients_of_factored_mappo_with_huber_and_temperature)
{
    struct controller_options o = small(CONTROLLER_mappo);

    o.coordination = COORDINATION_FACTORED;
    o.value_clip = 0;
    o.value_huber = 0.5;
    o.temperature = 1.5;
    o.temperature_rise = 0.5;
    check_ppo(o);
}

TEST(gradients_of_ippo_are_those_of_its_losses)
{
    check_ppo(small(CONTROLLER_ippo));
}

TEST(gradients_of_ppo_with_a_joint_ratio)
{
    check_ppo(small(CONTROLLER_ppo));
}

TEST(gradients_through_an_lstm)
{
    struct controller_options o = small(CONTROLLER_mappo);

    o.n_lstm = 6;
    check_ppo(o);
}

TEST(gradients_of_an_ensemble_and_its_weights)
{
    struct controller_options o = small(CONTROLLER_mappo);

    o.n_policies = 3;
    check_ppo(o);
}

/* ---- qmix and maddpg
 * ------------------------------------------------------------------ */

struct replay_case {
    void *self;
    const struct joint_step *steps[16];
    int n, agent;
};

static double qmix_case(void *arg)
{
    struct replay_case *c = arg;

    return qmix_loss(c->self, c->steps, c->n);
}

static double maddpg_critic_case(void *arg)
{
    struct replay_case *c = arg;

    return maddpg_critic_loss(c->self, c->steps, c->n);
}

static double maddpg_actor_case(void *arg)
{
    struct replay_case *c = arg;
    struct random random = random_seeded(1); /* the same noise each time */

    return maddpg_actor_loss(c->self, c->agent, c->steps, c->n, &random);
}

TEST(gradients_of_qmix_and_slopes_that_are_never_negative)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_qmix);
    struct controller_report report;

    CHECK_OK(blas_open());

    struct controller *c = controller_create(&e, &o, 3);
    struct qmix *m = controller_self(c);
    struct replay_case at = {.self = m, .n = 16};

    for (int i = 0; i < 3; i++)
        controller_iterate(c, &report);
    for (int i = 0; i < at.n; i++)
        at.steps[i] = &m->replay->steps[i];
    for (int i = 0; i < e.n_agents; i++)
        check_net(qmix_case, &at, m->online.agents[i]);
    for (int k = 0; k < QMIX_PARTS; k++)
        check_net(qmix_case, &at, m->online.mixer[k]);
    for (int i = 0; i < m->replay->n; i++) {
        double slopes[ENVIRONMENT_MAX_AGENTS];

        qmix_slopes(m, &m->replay->steps[i], slopes);
        for (int k = 0; k < e.n_agents; k++)
            CHECK(slopes[k] >= 0);
    }
    controller_destroy(c);
}

/* The gradient of the continuous actor is exact.  Those of choices go straight through
 * the drawn one-hot and are no derivative of the loss; with a critic that is linear in
 * them they are the derivative of the softmax that stands in: checked in
 * agents_formulas_test.c. */
TEST(gradients_of_maddpg)
{
    static struct probe_game game;
    const struct environment e = probe_environment(&game);
    struct controller_options o = small(CONTROLLER_maddpg);
    struct controller_report report;

    CHECK_OK(blas_open());

    struct controller *c = controller_create(&e, &o, 3);
    struct maddpg *m = controller_self(c);
    struct replay_case at = {.self = m, .n = 16, .agent = 1};

    for (int i = 0; i < 3; i++)
        controller_iterate(c, &report);
    for (int i = 0; i < at.n; i++)
        at.steps[i] = &m->replay->steps[i];
    check_net(maddpg_critic_case, &at, m->online.critic);
    check_net(maddpg_actor_case, &at, m->online.actors[1]);
    controller_destroy(c);
}
