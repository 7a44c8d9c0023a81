/* SPDX-License-Identifier: Apache-2.0 */
/* Compute a table's rows once instead of for every index.
 *
 *     MatMul(Cast(Equal(x, [0, 1, ... K-1])), W)  =  Gather(W with a row of zeros, x)
 *     f(Gather(W, i))                             =  Gather(f(W), i)
 *
 * for constant W, f element by element with constants that do not tell rows apart, and
 * tables that have no more elements than what is gathered.  The new table is constant
 * and folded.  One-hot vectors times a matrix are how JAX and TensorFlow spell an
 * embedding: magika multiplies [2048, 257] by [257, 64] and takes Gelu of 131 072
 * elements where 258 rows of 64 do.
 *
 * An index outside of [0, K) has no 1 in its one-hot vector: it is clipped to -1 or K,
 * and both name the row of zeros (-1 counts from the end).
 *
 * needs:     shapes, use counts, constant operands
 * keeps:     shapes; bytes, where the product is summed from +0
 * breaks:    nothing
 */
#include <string.h>

#include "frontend/match.h"
#include "frontend/pass.h"
#include "frontend/permute.h"
#include "frontend/strided_view.h"

/* ---- one-hot products ------------------------------------------------ */

/* 0, 1, 2 ... along the last dim, which is its only one. */
static bool counts_up(struct compile *c, const struct ir_value *v, int64_t n)
{
    int count;
    const int64_t *at = ir_const_ints(c, v, &count);

    if (!at || count != n || !v->rank || v->dim[v->rank - 1] != n)
        return false;
    for (int i = 0; i < count; i++)
        if (at[i] != i)
            return false;
    return true;
}

/* The integers [.., 1] whose one-hot vectors v holds, or NULL. */
static struct ir_value *one_hot_of(struct compile *c, const struct ir_value *v)
{
    const struct ir_node *cast = match_def(v, OP_Cast);
    const struct ir_node *equal = match_def(cast ? cast->in[0] : NULL, OP_Equal);

    if (!equal || v->dtype != DT_f32 || v->dynamic)
        return NULL;
    for (int i = 0; i < 2; i++) {
        struct ir_value *x = equal->in[!i];

        if (counts_up(c, equal->in[i], v->dim[v->rank - 1]) && !x->data
            && x->rank == v->rank && x->dim[x->rank - 1] == 1
            && (x->dtype == DT_i32 || x->dtype == DT_i64)
            && ir_count(x) == ir_count(v) / v->dim[v->rank - 1])
            return x;
    }
    return NULL;
}

static struct ir_value *with_row_of_zeros(struct compile *c, const struct ir_value *w)
{
    const int64_t dim[] = {w->dim[0] + 1, w->dim[1]};
    float *to = arena_new_array(c->perm, float, dim[0] * dim[1]);

    memcpy(to, w->data, (size_t)ir_bytes(w));
    return ir_const_ref(c, w->name, DT_f32, 2, dim, to);
}

static struct ir_value *int_scalar(struct compile *c, enum dtype dtype, int64_t value)
{
    const int32_t narrow = (int32_t)value;

    return dtype == DT_i32 ? ir_const(c, NULL, DT_i32, 0, NULL, &narrow)
                           : ir_const(c, NULL, DT_i64, 0, NULL, &value);
}

static struct status *gather_rows(struct compile *c, struct ir_graph *g,
                                  struct ir_node *n, struct ir_value *x)
{
    const struct ir_value *w = n->in[1];
    struct ir_value *index, *y;
    struct ir_value *clip[] = {x, int_scalar(c, x->dtype, -1),
                               int_scalar(c, x->dtype, w->dim[0])};

    RETURN_IF_FAIL(ir_emit(g, n, OP_Clip, NULL, 3, clip, NULL, &index));
    if (x->dtype != DT_i64)
        RETURN_IF_FAIL(ir_emit(g, n, OP_Cast, NULL, 1, &index, "to=7", &index));
    RETURN_IF_FAIL(view_reshape(g, n, index, x->rank - 1, x->dim, &index));

    struct ir_value *gather[] = {with_row_of_zeros(c, w), index};

    RETURN_IF_FAIL(ir_emit(g, n, OP_Gather, n->name, 2, gather, "axis=0", &y));
    y->def->onnx_index = n->onnx_index;
    ir_replace_uses(g, n->out[0], y);
    ir_remove(n);
    return OK;
}

/* ---- above a Gather -------------------------------------------------- */

static bool gathers_from_smaller_table(const struct ir_node *gather)
{
    return gather && gather->in[0]->data && gather->in[0]->rank >= 2
           && ir_attr_int(gather, "axis", 0) == 0
           && ir_count(gather->in[0]) <= ir_count(gather->out[0]);
}

/* A constant that is the same for every row: within the dims of one row. */
static bool is_alike_for_rows(const struct ir_value *k, const struct ir_value *rows,
                              const struct ir_value *table)
{
    const int n = table->rank - 1;

    if (!k->data || !match_broadcasts_into(k, rows))
        return false;
    for (int i = 0; i < k->rank - n; i++)
        if (k->dim[i] != 1)
            return false;
    return true;
}

/* k without leading dims that would broaden the table. */
static struct ir_value *trimmed(struct compile *c, struct ir_value *k, int rank)
{
    return k->rank <= rank ? k
                           : ir_const_ref(c, k->name, k->dtype, rank,
                                          k->dim + (k->rank - rank), k->data);
}

/* The operand of n that is gathered from a table, when n can be done to the table. */
static int gathered_operand(const struct ir_node *n)
{
    int found = -1;

    if (!(op_info[n->op].traits & OPT_ELTWISE) || n->n_out != 1 || n->out[0]->dynamic)
        return -1;
    for (int i = 0; i < n->n_in; i++) {
        const struct ir_node *gather = match_def(n->in[i], OP_Gather);

        if (found < 0 && gathers_from_smaller_table(gather)
            && ir_same_shape(n->in[i], n->out[0]))
            found = i;
    }
    for (int i = 0; found >= 0 && i < n->n_in; i++)
        if (i != found && n->in[i]
            && !is_alike_for_rows(n->in[i], n->in[found], n->in[found]->def->in[0]))
            return -1;
    return found;
}

static struct status *hoist(struct compile *c, struct ir_graph *g, struct ir_node *n,
                            int at)
{
    const struct ir_node *gather = n->in[at]->def;
    struct ir_value *table = gather->in[0], *y;
    struct ir_node *f = ir_node_create(g, n, n->op, n->name, n->n_in, 1);

    permute_copy_attrs(n, f);
    for (int i = 0; i < n->n_in; i++)
        if (n->in[i])
            ir_set_input(f, i, i == at ? table : trimmed(c, n->in[i], table->rank));
    ir_new_output(f, 0, NULL);
    RETURN_IF_FAIL(ir_infer(f));

    struct ir_value *in[] = {f->out[0], gather->in[1]};

    RETURN_IF_FAIL(ir_emit(g, n, OP_Gather, n->name, 2, in, "axis=0", &y));
    y->def->onnx_index = n->onnx_index;
    ir_replace_uses(g, n->out[0], y);
    ir_remove(n);
    return OK;
}

struct status *pass_hoist_over_gather(struct compile *c, struct ir_graph *g)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        next = n->next;
        if (n->op == OP_MatMul && match_const_f32(n->in[1]) && n->in[1]->rank == 2) {
            struct ir_value *x = one_hot_of(c, n->in[0]);

            if (x)
                RETURN_IF_FAIL(gather_rows(c, g, n, x));
            continue;
        }

        const int at = gathered_operand(n);

        if (at >= 0) {
            RETURN_IF_FAIL(hoist(c, g, n, at));
            RETURN_IF_FAIL(pass_fold_constants(c, g));
        }
    }
    return pass_dead_code(c, g);
}
