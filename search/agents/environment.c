/* SPDX-License-Identifier: Apache-2.0 */
/* How choices become inputs: see environment.h. */
#include "search/agents/environment.h"

int environment_n_heard(const struct environment *e, int n)
{
    int sum = 0;

    for (int i = 0; i < n; i++)
        sum += e->agents[i].n_actions ? e->agents[i].n_actions : 2;
    return sum;
}

void environment_hear(const struct environment *e, int i, const struct action *a,
                      real *heard)
{
    real *const at = heard + environment_n_heard(e, i);

    if (e->agents[i].n_actions) {
        at[a->choice] = 1;
        return;
    }
    at[0] = real_sigmoid(a->u[0]);
    at[1] = real_sigmoid(a->u[1]);
}
