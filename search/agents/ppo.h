/* SPDX-License-Identifier: Apache-2.0 */
/* Proximal policy optimisation: mappo, ippo and ppo, which differ in who shares what
 * (actor.h, learner.h). */
#ifndef HADMC_SEARCH_AGENTS_PPO_H
#define HADMC_SEARCH_AGENTS_PPO_H

#include "search/agents/learner.h"

struct ppo {
    const struct environment *e;
    struct controller_options o;
    struct team *team;
    struct player *player;
    struct learner *learner;
    struct annealed *annealed[ENVIRONMENT_MAX_AGENTS][MIXTURE_MAX];
    int iteration;
};

#endif /* HADMC_SEARCH_AGENTS_PPO_H */
