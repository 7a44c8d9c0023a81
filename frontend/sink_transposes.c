/* SPDX-License-Identifier: Apache-2.0 */
/* Push Transposes down through operators that do not mind.
 *
 *     f(T(x))        =  T(f'(x))          f' is f with its axes renumbered
 *     f(T(x), T(y))  =  T(f'(x, y))       one Transpose less
 *
 * until they meet another Transpose (fold_views cancels the pair), a product (which
 * reads any strides) or the end.  Only where the Transposes below copy no more
 * elements than those above; each step moves one down, so the pass ends.
 *
 * needs:     shapes, use counts, constant operands
 * keeps:     shapes of every value that stays
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/permute.h"

/* All computed operands of full rank are Transposes by the same perm. */
static bool common_perm(const struct ir_node *n, int perm[])
{
    bool found = false;

    for (int i = 0; i < n->n_in; i++) {
        int count;

        if (permute_role(n, i) != PERMUTE_DATA)
            continue;

        const struct ir_node *t = match_def(n->in[i], OP_Transpose);
        const int64_t *p = t ? ir_attr_ints(t, "perm", &count) : NULL;

        if (!p)
            return false;
        for (int d = 0; d < count; d++) {
            if (found && perm[d] != p[d])
                return false;
            perm[d] = (int)p[d];
        }
        found = true;
    }
    return found;
}

/* Elements that Transposes copy only for n. */
static int64_t copies_above(const struct ir_node *n)
{
    int64_t copies = 0;

    for (int i = 0; i < n->n_in; i++) {
        int uses = 0;
        bool counted = false;

        if (permute_role(n, i) != PERMUTE_DATA)
            continue;
        for (int k = 0; k < n->n_in; k++) {
            uses += n->in[k] == n->in[i];
            counted |= k < i && n->in[k] == n->in[i];
        }
        if (!counted && uses == n->in[i]->n_uses)
            copies += ir_count(n->in[i]);
    }
    return copies;
}

static int64_t copies_below(const struct ir_node *n)
{
    int64_t copies = 0;

    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->n_uses)
            copies += ir_count(n->out[i]);
    return copies;
}

static struct status *sink(struct compile *c, struct ir_graph *g, struct ir_node *n,
                           const int perm[])
{
    const int rank = n->out[0]->rank;
    struct ir_value **data = arena_new_array(c->scratch, struct ir_value *, n->n_in);
    int order[IR_MAX_RANK];
    struct ir_node *m;

    permute_inverse(rank, perm, order);
    for (int i = 0; i < n->n_in; i++)
        if (permute_role(n, i) == PERMUTE_DATA)
            data[i] = n->in[i]->def->in[0];
    RETURN_IF_FAIL(permute_node(n, order, data, &m));
    for (int i = 0; i < n->n_out; i++) {
        struct ir_value *y;

        if (!n->out[i] || !n->out[i]->n_uses)
            continue;
        RETURN_IF_FAIL(permute_value(g, n, m->out[i], perm, &y));
        ir_replace_uses(g, n->out[i], y);
    }

    struct ir_value **was = arena_new_array(c->scratch, struct ir_value *, n->n_in);

    memcpy(was, n->in, (size_t)n->n_in * sizeof(*was));
    ir_remove(n);
    for (int i = 0; i < m->n_in; i++)
        if (data[i] && was[i]->def && !was[i]->n_uses) {
            ir_remove(was[i]->def);
            was[i]->def = NULL; /* the same operand twice: removed once */
        }
    return OK;
}

struct status *pass_sink_transposes(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        int perm[IR_MAX_RANK], order[IR_MAX_RANK];

        next = n->next;
        if (!n->out[0] || !n->n_in || !common_perm(n, perm))
            continue;
        permute_inverse(n->out[0]->rank, perm, order);
        if (permute_can(n, order) && copies_below(n) <= copies_above(n))
            RETURN_IF_FAIL(sink(c, g, n, perm));
    }
    return OK;
}
