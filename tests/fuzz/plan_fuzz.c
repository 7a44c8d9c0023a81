/* SPDX-License-Identifier: Apache-2.0 */
// links: plan hal frontend kernels runtime
/* Plans: what is accepted keeps its promises, writes, and reads back to equal bytes. */
#include "plan/plan.h"
#include "tests/fuzz/fuzz.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_unit(const struct plan_unit *u)
{
    require(strlen(u->name) < SIZE_MAX && u->n_nodes > 0);
    for (int i = 0; i < u->n_nodes; i++)
        require(strlen(u->nodes[i]) < SIZE_MAX);
    require(u->n_kept >= 1 && u->n_kept <= u->channels);
    require(u->kept || u->n_kept == u->channels);
    for (int64_t i = 0; u->kept && i < u->n_kept; i++)
        require(u->kept[i] >= (i ? u->kept[i - 1] + 1 : 0) && u->kept[i] < u->channels);
    require(u->prune_ratio >= 0 && u->prune_ratio < 1);
}

/* Reads what `p` writes; the second text must be the first. */
static void check_reads_back(struct arena *a, const struct plan *p)
{
    struct text once = {0}, twice = {0};
    struct plan *again;

    plan_write(p, &once);

    struct status *s = plan_parse(a, "again", once.bytes, once.len, &again);

    if (s) {
        status_print(s, stderr);
        abort();
    }
    plan_write(again, &twice);
    require(strcmp(once.bytes, twice.bytes) == 0);
    text_free(&once);
    text_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_create();
    struct plan *p;
    struct status *s = plan_parse(a, "plan.json", data, size, &p);

    if (s) {
        fuzz_check(s);
    } else {
        for (int i = 0; i < p->n_units; i++)
            check_unit(&p->units[i]);
        check_reads_back(a, p);
    }
    arena_destroy(a);
    return 0;
}
