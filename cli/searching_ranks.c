/* SPDX-License-Identifier: Apache-2.0 */
/* The main job's search on several processes: who is one of them, and who leads. */
#include <signal.h>

#include "cli/ranks_mpi.h"
#include "cli/searching.h"

static bool has_failed(void *arg)
{
    const struct searching *s = arg;

    return s->model->failed != NULL;
}

/* Does not return. */
static void serve(struct searching *s)
{
    signal(SIGINT, SIG_IGN); /* rank 0 tells when it is over */
    status_free(ahead_serve(s->ahead, has_failed, s));
    s->ranks.close(&s->ranks);
}

struct status *searching_share(struct searching *s)
{
    const bool is_mpi = ranks_mpi_is_used();

    if (!is_mpi && s->q->o->jobs < 2)
        return OK;
    RETURN_IF_FAIL(is_mpi ? ranks_mpi_open(&s->ranks)
                          : ranks_fork(s->q->o->jobs, &s->ranks));
    s->ahead = ahead_create(s->q->a, s->p, &s->ranks);
    if (s->ranks.rank)
        serve(s);
    return OK;
}

void searching_expect(void *arg, const struct choices *const *plans, int n)
{
    struct searching *s = arg;
    const int left = record_n_known(s->record) - s->e->n,
              recalled = left > 0 ? left : 0;

    if (s->failed || n - recalled < 2)
        return;
    s->failed = ahead_run(s->ahead, plans + recalled, n - recalled);
}

struct status *searching_alone(struct searching *s)
{
    struct status *status = OK;

    if (!s->ahead)
        return OK;
    if (!s->failed)
        status = ahead_end(s->ahead);
    s->ranks.close(&s->ranks);
    return status;
}
