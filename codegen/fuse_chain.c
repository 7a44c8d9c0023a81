/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of element operators: one loop instead of one pass over memory each.
 *
 * A chain that reads, element for element, what an earlier chain stores is joined
 * with it:
 *
 *     t = a + b                  in: a, b, c   ops: 3 = add 0 1, 4 = mul 3 2
 *     y = t * c         ->       out: 4        (3 too, if somebody else reads t)
 *
 * Both enumerate the same elements in row-major order but may have merged their
 * dims differently; the joined loop runs over the common refinement: [6] and
 * [2,3] give [2,3].  The joined step stands where the second stood, or where the
 * first stood if something between them already reads the first's result.  A chain
 * that will be an emitted kernel (fuse_codes.c) stays apart, unless both together are
 * one.
 */
#include <assert.h>
#include <string.h>

#include "codegen/builder.h"
#include "codegen/loop_nest.h"
#include "codegen/step_range.h"

enum { MAX_CHAIN_OPS = 32 };

/* ---- joining ------------------------------------------------------------ */

/* Which value of `a` (step i) input k of step j reads element for element; -1 if it
 * reads none, -2 if it reads a's result in some other way. */
static int linked_value(const struct program *p, int i, int j, int k)
{
    const struct step *a = &p->steps[i], *b = &p->steps[j];
    const struct chain *ca = a->u.chain;
    const struct range r = step_range(p, &b->operands[k]);

    for (int o = 0; o < ca->n_out; o++) {
        const struct range w = step_range(p, &a->operands[ca->n_in + o]);

        if (!range_overlap(r, w))
            continue;
        const int value = ca->out[o];
        return range_same(r, w) && chain_is_dense(b->u.chain, k)
                       && dtype_info[chain_dtype(ca, value)].bytes
                              == dtype_info[b->u.chain->in_dtype[k]].bytes
                   ? value
                   : -2;
    }
    return -1;
}

/* All of the first's results are still what they were when `j` runs, and nothing
 * in between needs them earlier. */
static bool can_sink(const struct program *p, int i, int j)
{
    const struct step *a = &p->steps[i];

    for (int k = 0; k < a->n_operands; k++) {
        const struct range r = step_range(p, &a->operands[k]);

        if (step_touched_between(p, i, j, r, true)
            || (a->operands[k].written && step_touched_between(p, i, j, r, false)))
            return false;
    }
    return true;
}

/* What the second reads besides is ready before `i`. */
static bool can_hoist(const struct program *p, int i, int j)
{
    const struct step *b = &p->steps[j];

    for (int k = 0; k < b->n_operands; k++) {
        const struct range r = step_range(p, &b->operands[k]);

        if (step_touched_between(p, i, j, r, true)
            || (b->operands[k].written && step_touched_between(p, i, j, r, false)))
            return false;
    }
    return true;
}

static int add_input(struct chain *ch, struct step *s, const struct nest *from, int k,
                     const struct operand *o, enum dtype dtype, struct nest *to)
{
    for (int i = 0; i < ch->n_in; i++)
        if (s->operands[i].tensor == o->tensor && s->operands[i].offset == o->offset
            && ch->in_dtype[i] == dtype
            && memcmp(to->stride[i], from->stride[k], sizeof to->stride[i]) == 0)
            return i;
    memcpy(to->stride[ch->n_in], from->stride[k], sizeof to->stride[0]);
    ch->in_dtype[ch->n_in] = dtype;
    s->operands[ch->n_in] = *o;
    to->n_in = ch->n_in + 1;
    return ch->n_in++;
}

/* Two chains on their way into one: which value of `to` each of their values becomes. */
struct join {
    const struct chain *a, *b;
    struct chain *to;
    int value_a[NEST_MAX_IN + MAX_CHAIN_OPS], value_b[NEST_MAX_IN + MAX_CHAIN_OPS];
};

/* Inputs of both, equal ones once, then what the operators compute. */
static bool join_inputs(struct join *jn, const struct program *p, int i, int j,
                        const struct nest *both, struct step *out, struct nest *to)
{
    const struct step *sa = &p->steps[i], *sb = &p->steps[j];
    const struct chain *a = jn->a, *b = jn->b;

    for (int k = 0; k < a->n_in; k++)
        jn->value_a[k] =
            add_input(jn->to, out, both, k, &sa->operands[k], a->in_dtype[k], to);
    for (int k = 0; k < b->n_in; k++) {
        const int value = linked_value(p, i, j, k);

        if (value == -2)
            return false;
        /* values of a's operators are renumbered below */
        jn->value_b[k] = value >= a->n_in ? -1 - value
                         : value >= 0     ? jn->value_a[value]
                                          : add_input(jn->to, out, both, a->n_in + k,
                                                      &sb->operands[k], b->in_dtype[k], to);
    }
    for (int k = 0; k < a->n_ops; k++)
        jn->value_a[a->n_in + k] = jn->to->n_in + k;
    for (int k = 0; k < b->n_in; k++)
        if (jn->value_b[k] < 0)
            jn->value_b[k] = jn->value_a[-1 - jn->value_b[k]];
    for (int k = 0; k < b->n_ops; k++)
        jn->value_b[b->n_in + k] = jn->to->n_in + a->n_ops + k;
    return true;
}

static void join_ops(struct join *jn)
{
    for (int k = 0; k < jn->to->n_ops; k++) {
        const bool first = k < jn->a->n_ops;
        struct element_op *op = &jn->to->ops[k];

        *op = first ? jn->a->ops[k] : jn->b->ops[k - jn->a->n_ops];
        for (int q = 0; q < op->kernel->arity; q++)
            op->src[q] = (first ? jn->value_a : jn->value_b)[op->src[q]];
    }
}

/* What only the second step read of the first is stored no more. */
static void join_outputs(struct join *jn, struct builder *builder, int i, int j,
                         struct step *out)
{
    const struct step *sa = &builder->program->steps[i], *sb = &builder->program->steps[j];
    const struct chain *a = jn->a, *b = jn->b;

    out->n_operands = jn->to->n_in;
    jn->to->n_out = 0;
    for (int k = 0; k < a->n_out + b->n_out; k++) {
        const bool first = k < a->n_out;
        const struct operand *o = first ? &sa->operands[a->n_in + k]
                                        : &sb->operands[b->n_in + k - a->n_out];

        if (first
            && !range_read_elsewhere(builder, i, j, step_range(builder->program, o)))
            continue;
        jn->to->out[jn->to->n_out++] =
            first ? jn->value_a[a->out[k]] : jn->value_b[b->out[k - a->n_out]];
        build_operand(out, o->tensor, o->offset, true);
    }
}

/* Builds the joined step in *out; false when it would be too large. */
static bool join(struct builder *b, int i, int j, struct step *out)
{
    const struct program *p = b->program;
    const struct chain *ca = p->steps[i].u.chain, *cb = p->steps[j].u.chain;
    const struct nest la = nest_of(ca), lb = nest_of(cb);
    struct nest both, l = {0};

    if (ca->n_in + cb->n_in + ca->n_out + cb->n_out > NEST_MAX_IN
        || ca->n_ops + cb->n_ops > MAX_CHAIN_OPS || !nest_refine(&la, &lb, &both))
        return false;

    struct join jn = {.a = ca, .b = cb};

    jn.to = chain_create(b->arena, ca->n_in + cb->n_in, ca->n_ops + cb->n_ops,
                         ca->n_out + cb->n_out);
    jn.to->n_in = 0;
    *out = p->steps[j];
    l.rank = both.rank;
    memcpy(l.dim, both.dim, sizeof l.dim);
    if (!join_inputs(&jn, p, i, j, &both, out, &l))
        return false;
    join_ops(&jn);
    join_outputs(&jn, b, i, j, out);
    l.n_in = jn.to->n_in;
    nest_merge(&l);
    if (!nest_store(jn.to, &l))
        return false;
    out->u.chain = jn.to;
    out->n_units = chain_units(jn.to);
    out->grain = 1;
    return true;
}

/* The joined loop reads element e of everything before it stores element e of
 * anything: what it overwrites may only be read element for element. */
static bool overwrites_safely(const struct program *p, int i, int j)
{
    const struct step *a = &p->steps[i], *b = &p->steps[j];

    for (int o = b->u.chain->n_in; o < b->n_operands; o++)
        for (int k = 0; k < a->u.chain->n_in; k++) {
            const struct range in = step_range(p, &a->operands[k]);
            const struct range out = step_range(p, &b->operands[o]);

            if (range_overlap(in, out)
                && !(range_same(in, out) && chain_is_dense(a->u.chain, k)))
                return false;
        }
    return true;
}

static const char *both_cover(struct arena *a, const char *first, const char *second)
{
    return strlen(first) + strlen(second) > 200
               ? first
               : arena_printf(a, "%s+%s", first, second);
}

/* Joins step j with one chain that it reads; returns whether it did, and where the
 * joined step is. */
static bool fuse_one(struct builder *b, int *j)
{
    struct program *p = b->program;

    for (int k = 0; k < p->steps[*j].u.chain->n_in; k++) {
        const int i = step_writer_before(p, *j, k);
        struct step joined;

        if (i < 0 || p->steps[i].kind != STEP_CHAIN || linked_value(p, i, *j, k) < 0
            || chain_count(p->steps[i].u.chain) == 0 || step_control_between(p, i, *j)
            || !overwrites_safely(p, i, *j))
            continue;
        const bool sink = can_sink(p, i, *j);

        if ((!sink && !can_hoist(p, i, *j)) || !join(b, i, *j, &joined)
            || (fuse_codes_fits(b, &p->steps[i]) && !fuse_codes_fits(b, &joined)))
            continue;
        joined.covers = both_cover(b->arena, p->steps[i].covers, joined.covers);
        p->steps[sink ? *j : i] = joined;
        step_remove(p, sink ? i : *j);
        *j = sink ? *j - 1 : i;
        return true;
    }
    return false;
}

void fuse_chains(struct builder *b)
{
    struct program *p = b->program;

    for (int j = 0; j < p->n_steps; j++)
        while (p->steps[j].kind == STEP_CHAIN && fuse_one(b, &j))
            ;
}
