/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of search against each other: see methods.h.
 *
 * 16 units with 9 ratios and 3 widths, latency at most 33 % of that at 16 bits, 5 %
 * noise; printed is the true loss of the plan that a method thinks best, as a multiple
 * of the best known one (a long search without noise), over instances.  `together` is
 * the share of the changes' effects that adds up otherwise than one by one. */
#include "bench/methods.h"

#include <math.h>
#include <stdio.h>

#include "search/comparison.h"
#include "search/method.h"
#include "tests/games/toy_net.h"

enum { MOST = 64, LONG_SEARCH = 5000 };

#define SHARE 0.33
#define NOISE 0.05

static struct method_options loss_only(void)
{
    struct method_options o = method_defaults();

    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] = 0;
    return o;
}

static struct controller_options small_controller(enum controller_kind kind)
{
    struct controller_options o = controller_defaults(kind);

    o.n_hidden = 2;
    o.actor_hidden[0] = o.actor_hidden[1] = 64;
    o.critic_hidden[0] = o.critic_hidden[1] = 128;
    o.rate = (struct ramp){1e-3, 3e-4};
    return o;
}

/* The ways to run; controllers after the methods. */
static const struct {
    const char *name;
    enum controller_kind kind;
    bool warm;
    int imagined;
    bool whole; /* what hadmcc runs: the surrogate, this controller, the surrogate */
} controlled[] = {
    {"mappo from scratch", CONTROLLER_mappo, false, 0, false},
    {"mappo warm", CONTROLLER_mappo, true, 0, false},
    {"ippo warm", CONTROLLER_ippo, true, 0, false},
    {"ppo warm", CONTROLLER_ppo, true, 0, false},
    {"qmix", CONTROLLER_qmix, false, 0, false},
    {"maddpg", CONTROLLER_maddpg, false, 0, false},
    {"mappo warm, imagining", CONTROLLER_mappo, true, 8, false},
    {"hadmcc", CONTROLLER_mappo, true, 8, true},
};

enum { CONTROLLED = sizeof controlled / sizeof *controlled };

static const char *name_of(int which)
{
    return which < METHOD_COUNT ? method_names[which]
                                : controlled[which - METHOD_COUNT].name;
}

/* Loss without noise of the best plan of a run. */
static double run(int which, const struct search_problem *p, const struct toy_net *t,
                  int budget, uint64_t seed)
{
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, p, budget);
    struct method_options o = loss_only();

    if (which < METHOD_COUNT)
        method_run((enum method)which, e, &o, seed);
    else {
        const int k = which - METHOD_COUNT;
        const struct controller_options c = small_controller(controlled[k].kind);

        o.warm = controlled[k].warm;
        o.imagined = controlled[k].imagined;
        (controlled[k].whole ? method_run_both : method_run_controller)(&c, e, &o,
                                                                        seed);
    }

    const double loss = e->best >= 0 ? toy_loss(t, e->all[e->best].choices) : INFINITY;

    arena_destroy(a);
    return loss;
}

static void compare_at(double together, int n_instances, int budget)
{
    static struct toy_net t;
    double best[MOST];

    for (int i = 0; i < n_instances; i++) {
        const struct search_problem p =
            toy_large(&t, 100 + (uint64_t)i, together, SHARE, 0);

        best[i] = fmin(run(METHOD_programme, &p, &t, LONG_SEARCH, 1),
                       run(METHOD_annealing, &p, &t, LONG_SEARCH, 2));
    }
    printf("together %.1f, %d instances, %d evaluations\n", together, n_instances,
           budget);
    fflush(stdout);
    for (int m = 0; m < METHOD_COUNT + CONTROLLED; m++) {
        double ratios[MOST], mean = 0, square = 0;

        for (int i = 0; i < n_instances; i++) {
            const struct search_problem p =
                toy_large(&t, 100 + (uint64_t)i, together, SHARE, NOISE);

            ratios[i] = run(m, &p, &t, budget, (uint64_t)i) / best[i];
            mean += ratios[i] / n_instances;
        }
        for (int i = 0; i < n_instances; i++)
            square += (ratios[i] - mean) * (ratios[i] - mean) / n_instances;
        printf("  %-22s mean %6.2f +- %.2f, middle half %6.2f\n", name_of(m), mean,
               sqrt(square / n_instances), comparison_iqm(ratios, n_instances));
        fflush(stdout);
    }
}

void regret_of_methods(int n_seeds, int budget)
{
    static struct toy_net t;
    double best[MOST];
    const int n = n_seeds < MOST ? n_seeds : MOST;

    for (int i = 0; i < n; i++) {
        const struct search_problem p = toy_small(&t, 100 + (uint64_t)i, 0.3, SHARE);

        best[i] = toy_best(&t, &p);
    }
    printf("746496 plans, %d nets, %d evaluations\n", n, budget);
    for (int m = 0; m < METHOD_COUNT + CONTROLLED; m++) {
        double worst = 0, sum = 0;
        int found = 0;

        for (int i = 0; i < n; i++) {
            const struct search_problem p =
                toy_small(&t, 100 + (uint64_t)i, 0.3, SHARE);
            const double regret = run(m, &p, &t, budget, (uint64_t)i) / best[i] - 1;

            sum += regret / n;
            worst = fmax(worst, regret);
            found += regret < 1e-9;
        }
        printf("  %-22s regret mean %7.4f, largest %7.4f, optimum %2d/%d\n", name_of(m),
               sum, worst, found, n);
        fflush(stdout);
    }
}

void compare_methods(int n_instances, int budget)
{
    static const double together[3] = {0, 0.3, 0.8};

    for (int k = 0; k < 3; k++)
        compare_at(together[k], n_instances < MOST ? n_instances : MOST, budget);
}
