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
 * first stood if something between them already reads the first's result.
 */
#include <assert.h>
#include <string.h>

#include "codegen/builder.h"

enum { MAX_LOOP_RANK = 16, MAX_CHAIN_OPS = 32, MAX_CHAIN_OPERANDS = 12 };

/* ---- one chain ---------------------------------------------------------- */

static int64_t chain_count(const struct chain *ch)
{
    int64_t n = 1;

    for (int d = 0; d < K_MAX_RANK; d++)
        n *= ch->dim[d];
    return n;
}

int64_t chain_units(const struct chain *ch)
{
    const int64_t inner = ch->dim[K_MAX_RANK - 1];
    const int64_t n = chain_count(ch);

    return n == inner || inner == 0 ? n : n / inner;
}

/* The nest of a chain while it is being reshaped: outermost dim first. */
struct loop {
    int rank;
    int64_t dim[MAX_LOOP_RANK];
    int n_in;
    int64_t stride[MAX_CHAIN_OPERANDS][MAX_LOOP_RANK];
};

static struct loop loop_of(const struct chain *ch)
{
    struct loop l = {.n_in = ch->n_in};

    for (int d = 0; d < K_MAX_RANK; d++) {
        if (ch->dim[d] == 1)
            continue;
        l.dim[l.rank] = ch->dim[d];
        for (int k = 0; k < ch->n_in; k++)
            l.stride[k][l.rank] = ch->stride[k][d];
        l.rank++;
    }
    return l;
}

static bool can_merge(const struct loop *l, int d)
{
    for (int k = 0; k < l->n_in; k++)
        if (l->stride[k][d] != l->stride[k][d + 1] * l->dim[d + 1])
            return false;
    return true;
}

/* Neighbouring dims that every input walks as one become one. */
static void merge_dims(struct loop *l)
{
    for (int d = l->rank - 2; d >= 0; d--) {
        if (!can_merge(l, d))
            continue;
        l->dim[d] *= l->dim[d + 1];
        for (int k = 0; k < l->n_in; k++)
            l->stride[k][d] = l->stride[k][d + 1];
        for (int e = d + 1; e + 1 < l->rank; e++) {
            l->dim[e] = l->dim[e + 1];
            for (int k = 0; k < l->n_in; k++)
                l->stride[k][e] = l->stride[k][e + 1];
        }
        l->rank--;
    }
}

/* Writes the nest into ch, right-aligned; false when it has too many dims. */
static bool store_loop(struct chain *ch, const struct loop *l)
{
    if (l->rank > K_MAX_RANK)
        return false;
    for (int d = 0; d < K_MAX_RANK; d++) {
        const int from = d - (K_MAX_RANK - l->rank);

        ch->dim[d] = from >= 0 ? l->dim[from] : 1;
        for (int k = 0; k < l->n_in; k++)
            ch->stride[k][d] = from >= 0 ? l->stride[k][from] : 0;
    }
    return true;
}

static struct chain *new_chain(struct arena *a, int n_in, int n_ops, int n_out)
{
    struct chain *ch = arena_new(a, struct chain);

    ch->n_in = n_in;
    ch->n_ops = n_ops;
    ch->n_out = n_out;
    ch->stride = arena_alloc_array(a, (size_t)n_in, sizeof *ch->stride);
    ch->in_dtype = arena_new_array(a, enum dtype, n_in);
    ch->ops = arena_new_array(a, struct element_op, n_ops + 1);
    ch->out = arena_new_array(a, int, n_out);
    return ch;
}

struct chain *chain_of_call(struct arena *a, const struct kcall *call)
{
    const struct kernel_info *kernel = call->kernel;
    const struct k_eltwise *p = call->params;
    struct chain *ch = new_chain(a, kernel->arity, 1, 1);

    memcpy(ch->dim, p->dim, sizeof ch->dim);
    for (int k = 0; k < kernel->arity; k++) {
        memcpy(ch->stride[k], p->in[k], sizeof ch->stride[k]);
        ch->in_dtype[k] = kernel->src[k];
        ch->ops[0].src[k] = k;
    }
    ch->ops[0].kernel = kernel;
    memcpy(ch->ops[0].f, p->f, sizeof ch->ops[0].f);
    ch->out[0] = kernel->arity;

    struct loop l = loop_of(ch);
    merge_dims(&l);
    store_loop(ch, &l);
    return ch;
}

struct chain *chain_of_copy(struct arena *a, enum dtype dtype, int64_t count)
{
    struct chain *ch = new_chain(a, 1, 0, 1);

    for (int d = 0; d < K_MAX_RANK - 1; d++)
        ch->dim[d] = 1;
    ch->dim[K_MAX_RANK - 1] = count;
    ch->stride[0][K_MAX_RANK - 1] = 1;
    ch->in_dtype[0] = dtype;
    ch->out[0] = 0;
    return ch;
}

static enum dtype chain_value_dtype(const struct chain *ch, int value)
{
    return value < ch->n_in ? ch->in_dtype[value]
                            : ch->ops[value - ch->n_in].kernel->out;
}

/* ---- common refinement -------------------------------------------------- */

struct splitter {
    const struct loop *l;
    int d;        /* dim being split, from the innermost on */
    int64_t left; /* of it */
    int64_t done; /* product of the parts taken from it */
};

static void next_dim(struct splitter *s)
{
    while (s->left == 1 && s->d > 0) {
        s->d--;
        s->left = s->l->dim[s->d];
        s->done = 1;
    }
}

static struct splitter split_start(const struct loop *l)
{
    return (struct splitter){l, l->rank, 1, 1};
}

static void split_take(struct splitter *s, int64_t n, int64_t (*stride)[MAX_LOOP_RANK],
                       int at)
{
    for (int k = 0; k < s->l->n_in; k++)
        stride[k][at] = s->l->stride[k][s->d] * s->done;
    s->left /= n;
    s->done *= n;
}

static void reverse(int64_t *v, int n)
{
    for (int i = 0; i < n / 2; i++) {
        const int64_t t = v[i];
        v[i] = v[n - 1 - i];
        v[n - 1 - i] = t;
    }
}

/* `a` and `b` over the same dims; false when there are no such dims.  The inputs of
 * the result are a's, then b's. */
static bool refine(const struct loop *a, const struct loop *b, struct loop *out)
{
    struct splitter x = split_start(a), y = split_start(b);

    *out = (struct loop){.n_in = a->n_in + b->n_in};
    for (;;) {
        next_dim(&x);
        next_dim(&y);
        if (x.left == 1 && y.left == 1)
            break;
        const int64_t n = x.left < y.left ? x.left : y.left;

        if (n == 1 || x.left % n != 0 || y.left % n != 0 || out->rank == MAX_LOOP_RANK)
            return false;
        split_take(&x, n, out->stride, out->rank);
        split_take(&y, n, out->stride + a->n_in, out->rank);
        out->dim[out->rank++] = n;
    }
    reverse(out->dim, out->rank);
    for (int k = 0; k < out->n_in; k++)
        reverse(out->stride[k], out->rank);
    return true;
}

/* ---- who touches what --------------------------------------------------- */

struct range {
    int root;
    int64_t begin, end;
};

static struct range range_of(const struct program *p, const struct operand *o)
{
    int64_t at;
    const int root = program_root(p, o->tensor, &at);

    return (struct range){root, at + o->offset, at + p->tensors[o->tensor].bytes};
}

static bool overlap(struct range a, struct range b)
{
    return a.root == b.root && a.begin < b.end && b.begin < a.end;
}

static bool same_range(struct range a, struct range b)
{
    return a.root == b.root && a.begin == b.begin && a.end == b.end;
}

/* Does `s` read (or, with `write`, write) any of `r`? */
static bool touches(const struct program *p, const struct step *s, struct range r,
                    bool write)
{
    for (int k = 0; k < s->n_operands; k++) {
        const struct operand *o = &s->operands[k];

        if (o->tensor >= 0 && o->written == write && overlap(range_of(p, o), r))
            return true;
    }
    return false;
}

static bool touched_between(const struct program *p, int after, int before,
                            struct range r, bool write)
{
    for (int i = after + 1; i < before; i++)
        if (touches(p, &p->steps[i], r, write))
            return true;
    return false;
}

static bool is_output(const struct builder *b, struct range r)
{
    for (int i = 0; i < b->graph->n_out; i++) {
        const int t = b->tensor_of[b->graph->out[i]->id] - 1;

        if (t >= 0 && program_root(b->program, t, NULL) == r.root)
            return true;
    }
    return false;
}

static bool is_dense(const struct chain *ch, int input)
{
    int64_t n = 1;

    for (int d = K_MAX_RANK - 1; d >= 0; d--) {
        if (ch->dim[d] != 1 && ch->stride[input][d] != n)
            return false;
        n *= ch->dim[d];
    }
    return true;
}

/* ---- joining ------------------------------------------------------------ */

/* Which value of `a` (step i) input k of step j reads element for element; -1 if it
 * reads none, -2 if it reads a's result in some other way. */
static int linked_value(const struct program *p, int i, int j, int k)
{
    const struct step *a = &p->steps[i], *b = &p->steps[j];
    const struct chain *ca = a->u.chain;
    const struct range r = range_of(p, &b->operands[k]);

    for (int o = 0; o < ca->n_out; o++) {
        const struct range w = range_of(p, &a->operands[ca->n_in + o]);

        if (!overlap(r, w))
            continue;
        const int value = ca->out[o];
        return same_range(r, w) && is_dense(b->u.chain, k)
                       && dtype_info[chain_value_dtype(ca, value)].bytes
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
        const struct range r = range_of(p, &a->operands[k]);

        if (touched_between(p, i, j, r, true)
            || (a->operands[k].written && touched_between(p, i, j, r, false)))
            return false;
    }
    return true;
}

/* What the second reads besides is ready before `i`. */
static bool can_hoist(const struct program *p, int i, int j)
{
    const struct step *b = &p->steps[j];

    for (int k = 0; k < b->n_operands; k++) {
        const struct range r = range_of(p, &b->operands[k]);

        if (touched_between(p, i, j, r, true)
            || (b->operands[k].written && touched_between(p, i, j, r, false)))
            return false;
    }
    return true;
}

/* Is the first's result read by anyone but the second? */
static bool read_elsewhere(const struct builder *b, int i, int j, struct range r)
{
    const struct program *p = b->program;

    if (is_output(b, r))
        return true;
    for (int s = 0; s < p->n_steps; s++)
        if (s != i && s != j && touches(p, &p->steps[s], r, false))
            return true;
    return false;
}

static int add_input(struct chain *ch, struct step *s, const struct loop *from, int k,
                     const struct operand *o, enum dtype dtype, struct loop *to)
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

/* Builds the joined step in *out; false when it would be too large. */
static bool join(struct builder *b, int i, int j, struct step *out)
{
    const struct program *p = b->program;
    const struct step *sa = &p->steps[i], *sb = &p->steps[j];
    const struct chain *ca = sa->u.chain, *cb = sb->u.chain;
    const struct loop la = loop_of(ca), lb = loop_of(cb);
    struct loop both, l = {0};
    int value_a[MAX_CHAIN_OPERANDS + MAX_CHAIN_OPS],
        value_b[MAX_CHAIN_OPERANDS + MAX_CHAIN_OPS];

    if (ca->n_in + cb->n_in + ca->n_out + cb->n_out > MAX_CHAIN_OPERANDS
        || ca->n_ops + cb->n_ops > MAX_CHAIN_OPS || !refine(&la, &lb, &both))
        return false;
    struct chain *ch = new_chain(b->arena, ca->n_in + cb->n_in, ca->n_ops + cb->n_ops,
                                 ca->n_out + cb->n_out);
    *out = *sb;
    ch->n_in = 0;
    l.rank = both.rank;
    memcpy(l.dim, both.dim, sizeof l.dim);
    for (int k = 0; k < ca->n_in; k++)
        value_a[k] =
            add_input(ch, out, &both, k, &sa->operands[k], ca->in_dtype[k], &l);
    for (int k = 0; k < cb->n_in; k++) {
        const int value = linked_value(p, i, j, k);

        if (value == -2)
            return false;
        /* values of a's operators are renumbered below */
        value_b[k] = value >= ca->n_in ? -1 - value
                     : value >= 0      ? value_a[value]
                                       : add_input(ch, out, &both, ca->n_in + k,
                                                   &sb->operands[k], cb->in_dtype[k], &l);
    }
    for (int k = 0; k < ca->n_ops; k++)
        value_a[ca->n_in + k] = ch->n_in + k;
    for (int k = 0; k < cb->n_in; k++)
        if (value_b[k] < 0)
            value_b[k] = value_a[-1 - value_b[k]];
    for (int k = 0; k < cb->n_ops; k++)
        value_b[cb->n_in + k] = ch->n_in + ca->n_ops + k;
    for (int k = 0; k < ch->n_ops; k++) {
        const bool first = k < ca->n_ops;

        ch->ops[k] = first ? ca->ops[k] : cb->ops[k - ca->n_ops];
        for (int q = 0; q < ch->ops[k].kernel->arity; q++)
            ch->ops[k].src[q] = (first ? value_a : value_b)[ch->ops[k].src[q]];
    }
    out->n_operands = ch->n_in;
    ch->n_out = 0;
    for (int k = 0; k < ca->n_out + cb->n_out; k++) {
        const bool first = k < ca->n_out;
        const struct operand *o = first ? &sa->operands[ca->n_in + k]
                                        : &sb->operands[cb->n_in + k - ca->n_out];

        if (first && !read_elsewhere(b, i, j, range_of(p, o)))
            continue;
        ch->out[ch->n_out++] =
            first ? value_a[ca->out[k]] : value_b[cb->out[k - ca->n_out]];
        build_operand(out, o->tensor, o->offset, true);
    }
    l.n_in = ch->n_in;
    merge_dims(&l);
    if (!store_loop(ch, &l))
        return false;
    out->u.chain = ch;
    out->n_units = chain_units(ch);
    out->grain = 1;
    return true;
}

/* A jump from between them, or to after the first, keeps two steps apart. */
static bool control_between(const struct program *p, int i, int j)
{
    for (int k = 0; k < p->n_steps; k++) {
        const struct step *s = &p->steps[k];

        if (s->kind != STEP_BRANCH && s->kind != STEP_JUMP)
            continue;
        if ((k > i && k < j) || (s->target > i && s->target <= j))
            return true;
    }
    return false;
}

/* The joined loop reads element e of everything before it stores element e of
 * anything: what it overwrites may only be read element for element. */
static bool overwrites_safely(const struct program *p, int i, int j)
{
    const struct step *a = &p->steps[i], *b = &p->steps[j];

    for (int o = b->u.chain->n_in; o < b->n_operands; o++)
        for (int k = 0; k < a->u.chain->n_in; k++) {
            const struct range in = range_of(p, &a->operands[k]);
            const struct range out = range_of(p, &b->operands[o]);

            if (overlap(in, out) && !(same_range(in, out) && is_dense(a->u.chain, k)))
                return false;
        }
    return true;
}

static void remove_step(struct program *p, int i)
{
    for (int k = 0; k < p->n_steps; k++)
        if (p->steps[k].target > i)
            p->steps[k].target--;
    memmove(&p->steps[i], &p->steps[i + 1],
            sizeof p->steps[0] * (size_t)(p->n_steps - i - 1));
    p->n_steps--;
}

static const char *both_cover(struct arena *a, const char *first, const char *second)
{
    return strlen(first) + strlen(second) > 200
               ? first
               : arena_printf(a, "%s+%s", first, second);
}

/* The last step before j that writes what input k of j reads; -1 if none. */
static int writer_before(const struct program *p, int j, int k)
{
    const struct range r = range_of(p, &p->steps[j].operands[k]);

    for (int i = j - 1; i >= 0; i--)
        if (touches(p, &p->steps[i], r, true))
            return i;
    return -1;
}

/* Joins step j with one chain that it reads; returns whether it did, and where the
 * joined step is. */
static bool fuse_one(struct builder *b, int *j)
{
    struct program *p = b->program;

    for (int k = 0; k < p->steps[*j].u.chain->n_in; k++) {
        const int i = writer_before(p, *j, k);
        struct step joined;

        if (i < 0 || p->steps[i].kind != STEP_CHAIN || linked_value(p, i, *j, k) < 0
            || chain_count(p->steps[i].u.chain) == 0 || control_between(p, i, *j)
            || !overwrites_safely(p, i, *j))
            continue;
        const bool sink = can_sink(p, i, *j);

        if ((!sink && !can_hoist(p, i, *j)) || !join(b, i, *j, &joined))
            continue;
        joined.covers = both_cover(b->arena, p->steps[i].covers, joined.covers);
        p->steps[sink ? *j : i] = joined;
        remove_step(p, sink ? i : *j);
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
