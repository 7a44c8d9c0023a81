/* SPDX-License-Identifier: Apache-2.0 */
/* Strided copies (Slice, Expand, Split ...) that only one step reads: the reader
 * walks the source itself.
 *
 *     t = x[:, 2:6]      copy: dim [8,4], in [10,1] from x + 2
 *     y = t + z          reads t with [4,1]   ->   reads x + 2 with [10,1]
 *
 * The reader may be an element chain, or another copy (Slice into Concat).  A chain
 * takes only copies that leave its innermost loop contiguous: gathering is what the
 * copy kernels are good at.  Steps whose results nobody reads are dropped last.
 */
#include <string.h>

#include "codegen/builder.h"
#include "codegen/loop_nest.h"
#include "codegen/step_range.h"
#include "frontend/op_help.h"

enum { FROM, TO, COPY_OPERANDS };

/* ---- copies ------------------------------------------------------------- */

static bool is_copy(const struct step *s)
{
    return s->kind == STEP_LIBRARY && s->n_operands == COPY_OPERANDS
           && (strncmp(s->u.call->kernel->name, "copy_", 5) == 0
               || strncmp(s->u.call->kernel->name, "transpose_", 10) == 0);
}

static int element_bytes(const struct step *copy)
{
    return copy->u.call->kernel->name[strlen(copy->u.call->kernel->name) - 1] - '0';
}

/* The loops of a copy; the strides of its source are input 0, of its target 1. */
static struct nest nest_of_copy(const struct step *s)
{
    const struct k_copy *p = s->u.call->params;
    struct nest l = {.n_in = 2};

    for (int d = 0; d < K_MAX_RANK; d++) {
        if (p->dim[d] == 1)
            continue;
        l.dim[l.rank] = p->dim[d];
        l.stride[FROM][l.rank] = p->in[d];
        l.stride[TO][l.rank] = p->out[d];
        l.rank++;
    }
    return l;
}

/* Loops in the order in which `side` lies in memory; false when it has holes. */
static bool order_by(struct nest *l, int side)
{
    int64_t next = 1;

    for (int at = l->rank - 1; at >= 0; at--) {
        int d = 0;

        while (d <= at && l->stride[side][d] != next)
            d++;
        if (d > at)
            return false;
        next *= l->dim[d];
        for (; d < at; d++) { /* bring it to `at` */
            const int64_t dim = l->dim[d];

            l->dim[d] = l->dim[d + 1];
            l->dim[d + 1] = dim;
            for (int k = 0; k < l->n_in; k++) {
                const int64_t stride = l->stride[k][d];

                l->stride[k][d] = l->stride[k][d + 1];
                l->stride[k][d + 1] = stride;
            }
        }
    }
    return true;
}

/* Step i is a copy that fills all of `r`, without holes, for step j alone; *loops in
 * the order of the copied elements. */
static bool feeds_only(const struct builder *b, int i, int j, struct range r,
                       struct nest *loops)
{
    const struct program *p = b->program;
    const struct step *copy = &p->steps[i];

    if (!is_copy(copy) || !range_same(step_range(p, &copy->operands[TO]), r))
        return false;
    *loops = nest_of_copy(copy);
    return order_by(loops, TO) && !step_control_between(p, i, j)
           && !step_touched_between(p, i, j, step_range(p, &copy->operands[FROM]), true)
           && !range_read_elsewhere(b, i, j, r);
}

static int64_t nest_count(const struct nest *l)
{
    int64_t n = 1;

    for (int d = 0; d < l->rank; d++)
        n *= l->dim[d];
    return n;
}

/* Only the source's strides: the target's have done their work. */
static void drop_target(struct nest *l)
{
    l->n_in = 1;
}

/* ---- into chains ---------------------------------------------------------- */

static bool is_contiguous(const struct nest *l, int input)
{
    const int64_t inner = l->rank ? l->stride[input][l->rank - 1] : 1;

    return inner == 0 || inner == 1;
}

/* Inputs of the chain that read `r`, as bits; -1 when one does not read it element
 * for element. */
static int dense_readers(const struct program *p, const struct step *s, struct range r)
{
    int mask = 0;

    for (int k = 0; k < s->u.chain->n_in; k++) {
        const struct range in = step_range(p, &s->operands[k]);

        if (!range_overlap(in, r))
            continue;
        if (!range_same(in, r) || !chain_is_dense(s->u.chain, k))
            return -1;
        mask |= 1 << k;
    }
    return mask;
}

/* Everything in the chain that reads `r` reads the source of the copy with these
 * loops instead. */
static bool chain_take(struct builder *b, int j, struct range r, struct nest *copy,
                       const struct operand *from)
{
    struct step *s = &b->program->steps[j];
    const struct chain *old = s->u.chain;
    const struct nest loops = nest_of(old);
    const int readers = dense_readers(b->program, s, r);
    struct nest both, l;

    if (readers < 0 || nest_count(copy) != nest_count(&loops)
        || !nest_refine(copy, &loops, &both))
        return false;
    l = both;
    l.n_in = old->n_in;
    for (int k = 0; k < old->n_in; k++)
        memcpy(l.stride[k], both.stride[readers >> k & 1 ? 0 : 1 + k],
               sizeof l.stride[k]);
    nest_merge(&l);
    struct chain *ch = chain_create(b->arena, old->n_in, old->n_ops, old->n_out);

    for (int k = 0; k < old->n_in; k++)
        if ((readers >> k & 1) && !is_contiguous(&l, k))
            return false;
    if (!nest_store(ch, &l))
        return false;
    memcpy(ch->in_dtype, old->in_dtype, sizeof ch->in_dtype[0] * (size_t)old->n_in);
    memcpy(ch->ops, old->ops, sizeof ch->ops[0] * (size_t)old->n_ops);
    memcpy(ch->out, old->out, sizeof ch->out[0] * (size_t)old->n_out);
    s->u.chain = ch;
    s->n_units = chain_units(ch);
    for (int k = 0; k < old->n_in; k++)
        if (readers >> k & 1)
            s->operands[k] = *from;
    return true;
}

/* ---- into copies ------------------------------------------------------------ */

static bool copy_take(struct builder *b, int j, struct nest *copy,
                      const struct operand *from)
{
    struct step *s = &b->program->steps[j];
    struct nest loops = nest_of_copy(s), both;
    struct lowering lw = {.compile = b->compile};

    if (!order_by(&loops, FROM) || nest_count(copy) != nest_count(&loops)
        || !nest_refine(copy, &loops, &both) || both.rank > K_MAX_RANK)
        return false;
    /* inputs of `both`: the first copy's source, the second's source and target */
    struct status *failed =
        op_copy(&lw, s->node, element_bytes(s), both.rank, both.dim, both.stride[0],
                both.stride[2], op_temp(0), op_temp(1));

    if (failed || lw.n_calls != 1 || lw.calls[0]->n_bufs != COPY_OPERANDS
        || lw.calls[0]->serial) {
        status_free(failed);
        return false;
    }
    const struct kcall *call = lw.calls[0];

    s->u.call = call;
    s->n_units = call->n_units;
    s->operands[FROM] = *from;
    s->operands[FROM].offset += call->bufs[FROM].offset;
    s->operands[TO].offset += call->bufs[TO].offset;
    return true;
}

/* ---- the pass ---------------------------------------------------------------- */

static bool take_copy(struct builder *b, int *j, int k)
{
    struct program *p = b->program;
    const struct range r = step_range(p, &p->steps[*j].operands[k]);
    const int i = step_writer_before(p, *j, k);
    struct nest loops;

    if (i < 0 || !feeds_only(b, i, *j, r, &loops))
        return false;
    const struct operand from = p->steps[i].operands[FROM];
    const bool chain = p->steps[*j].kind == STEP_CHAIN;
    const int bytes = chain ? dtype_info[p->steps[*j].u.chain->in_dtype[k]].bytes
                            : element_bytes(&p->steps[*j]);

    drop_target(&loops);
    if (bytes != element_bytes(&p->steps[i])
        || !(chain ? chain_take(b, *j, r, &loops, &from)
                   : copy_take(b, *j, &loops, &from)))
        return false;
    step_remove(p, i);
    (*j)--;
    return true;
}

static bool is_dead(const struct builder *b, int i)
{
    const struct step *s = &b->program->steps[i];

    if (s->kind == STEP_BRANCH || s->kind == STEP_JUMP)
        return false;
    for (int k = 0; k < s->n_operands; k++)
        if (s->operands[k].tensor >= 0 && s->operands[k].written
            && range_read_elsewhere(b, i, i, step_range(b->program, &s->operands[k])))
            return false;
    return true;
}

void drop_dead_steps(struct builder *b)
{
    for (int i = b->program->n_steps - 1; i >= 0; i--)
        if (is_dead(b, i))
            step_remove(b->program, i);
}

void fuse_copies(struct builder *b)
{
    struct program *p = b->program;

    for (int j = 0; j < p->n_steps; j++) {
        const int n_in = p->steps[j].kind == STEP_CHAIN ? p->steps[j].u.chain->n_in
                         : is_copy(&p->steps[j])        ? 1
                                                        : 0;

        for (int k = 0; k < n_in; k++)
            while (take_copy(b, &j, k))
                ;
    }
}
