/* SPDX-License-Identifier: Apache-2.0 */
// links: games search
/* Methods of search on a net whose best plan is known. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>

#include "search/method.h"
#include "search/surrogate.h"
#include "tests/games/toy_net.h"

enum { BUDGET = 200 };

/* Only the loss counts: that is what the best plan is known for. */
static struct method_options loss_only(void)
{
    struct method_options o = method_defaults();

    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] = 0;
    return o;
}

/* Loss of what the method found, to the least there is. */
static double found(int method, const struct search_problem *p, double best,
                    uint64_t seed)
{
    struct arena *a = arena_create();
    struct evaluator *e = evaluator_create(a, p, BUDGET);
    const struct method_options o = loss_only();

    if (method < METHOD_COUNT)
        method_run((enum method)method, e, &o, seed);
    else {
        struct controller_options c =
            controller_defaults((enum controller_kind)(method - METHOD_COUNT));

        c.actor_hidden[0] = c.actor_hidden[1] = c.actor_hidden[2] = 32;
        c.critic_hidden[0] = c.critic_hidden[1] = c.critic_hidden[2] = 32;
        c.n_episodes = 8;
        c.rate = (struct ramp){1e-3, 1e-3};
        method_run_controller(&c, e, &o, seed);
    }
    CHECK(e->n <= BUDGET);
    CHECK(e->best >= 0);

    const double result = e->all[e->best].result.loss / best;

    arena_destroy(a);
    return result;
}

TEST(every_method_finds_a_good_plan_of_the_toy_net)
{
    static struct toy_net t;
    const struct search_problem p = toy_small(&t, 7, .3, .45);
    const double best = toy_best(&t, &p);

    CHECK_OK(blas_open());
    for (int m = 0; m < METHOD_COUNT + CONTROLLER_COUNT; m++) {
        const double regret = found(m, &p, best, 1);

        print_message("%s: %.3f of the least loss\n",
                      m < METHOD_COUNT ? method_names[m]
                                       : controller_names[m - METHOD_COUNT],
                      regret);
        CHECK(regret >= 1 - 1e-9);
        if (m == METHOD_programme || m == METHOD_surrogate)
            CHECK(regret < 1.05);
        else if (m != METHOD_random && m != METHOD_sequential)
            CHECK(regret < 200);
    }
}
