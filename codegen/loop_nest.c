/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of element chains: making them, merging and splitting their dims. */
#include "codegen/loop_nest.h"

#include <string.h>

/* ---- chains ------------------------------------------------------------- */

int64_t chain_count(const struct chain *ch)
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

struct nest nest_of(const struct chain *ch)
{
    struct nest l = {.n_in = ch->n_in};

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

static bool can_merge(const struct nest *l, int d)
{
    for (int k = 0; k < l->n_in; k++)
        if (l->stride[k][d] != l->stride[k][d + 1] * l->dim[d + 1])
            return false;
    return true;
}

void nest_merge(struct nest *l)
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

bool nest_store(struct chain *ch, const struct nest *l)
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

struct chain *chain_create(struct arena *a, int n_in, int n_ops, int n_out)
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
    struct chain *ch = chain_create(a, kernel->arity, 1, 1);

    memcpy(ch->dim, p->dim, sizeof ch->dim);
    for (int k = 0; k < kernel->arity; k++) {
        memcpy(ch->stride[k], p->in[k], sizeof ch->stride[k]);
        ch->in_dtype[k] = kernel->src[k];
        ch->ops[0].src[k] = k;
    }
    ch->ops[0].kernel = kernel;
    memcpy(ch->ops[0].f, p->f, sizeof ch->ops[0].f);
    ch->out[0] = kernel->arity;

    struct nest l = nest_of(ch);
    nest_merge(&l);
    nest_store(ch, &l);
    return ch;
}

struct chain *chain_of_copy(struct arena *a, enum dtype dtype, int64_t count)
{
    struct chain *ch = chain_create(a, 1, 0, 1);

    for (int d = 0; d < K_MAX_RANK - 1; d++)
        ch->dim[d] = 1;
    ch->dim[K_MAX_RANK - 1] = count;
    ch->stride[0][K_MAX_RANK - 1] = 1;
    ch->in_dtype[0] = dtype;
    ch->out[0] = 0;
    return ch;
}

enum dtype chain_dtype(const struct chain *ch, int value)
{
    return value < ch->n_in ? ch->in_dtype[value]
                            : ch->ops[value - ch->n_in].kernel->out;
}

bool chain_is_dense(const struct chain *ch, int input)
{
    int64_t n = 1;

    for (int d = K_MAX_RANK - 1; d >= 0; d--) {
        if (ch->dim[d] != 1 && ch->stride[input][d] != n)
            return false;
        n *= ch->dim[d];
    }
    return true;
}

/* ---- common refinement -------------------------------------------------- */

struct splitter {
    const struct nest *l;
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

static struct splitter split_start(const struct nest *l)
{
    return (struct splitter){l, l->rank, 1, 1};
}

static void split_take(struct splitter *s, int64_t n, int64_t (*stride)[NEST_MAX_RANK],
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

bool nest_refine(const struct nest *a, const struct nest *b, struct nest *out)
{
    struct splitter x = split_start(a), y = split_start(b);

    *out = (struct nest){.n_in = a->n_in + b->n_in};
    for (;;) {
        next_dim(&x);
        next_dim(&y);
        if (x.left == 1 && y.left == 1)
            break;
        const int64_t n = x.left < y.left ? x.left : y.left;

        if (n == 1 || x.left % n != 0 || y.left % n != 0 || out->rank == NEST_MAX_RANK)
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
