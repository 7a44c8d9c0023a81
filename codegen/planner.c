/* SPDX-License-Identifier: Apache-2.0 */
/* Where everything in the workspace lies.
 *
 * 1. lifetimes  each tensor that owns memory lives from its first to its last
 *               access; a jump back stretches what was alive before the loop;
 * 2. in place   an element operator writes over an input that dies with it;
 * 3. placement  blocks (tensors, and scratch during its step) that are alive at
 *               the same time may not overlap: a colouring of intervals with
 *               sizes.  Greedy in several orders; each failure moves the blocks
 *               at the peak to the front of the order and tries again.  The best
 *               result counts; the search ends at the lower bound.
 *
 * Everything is deterministic.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/loop_nest.h"
#include "codegen/program.h"

enum { ALIGN = 64, MAX_ROUNDS = 200 };

struct block {
    int tensor; /* or -1: scratch of `step` */
    int step;
    int64_t bytes; /* rounded up to ALIGN */
    int first, last;
    int64_t offset;
};

struct placement {
    int n;
    struct block *blocks;
};

static int64_t round_up(int64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* ---- lifetimes ---------------------------------------------------------- */

static void touch(struct ptensor *t, int step)
{
    if (t->first < 0)
        t->first = step;
    t->last = step;
}

/* A tensor made before a loop and used in it must outlive every round. */
static void stretch_over_loops(struct program *p)
{
    for (int i = p->n_steps - 1; i >= 0; i--) {
        const int to = p->steps[i].target;

        if (p->steps[i].kind != STEP_JUMP || to > i)
            continue;
        for (int t = 0; t < p->n_tensors; t++) {
            struct ptensor *x = &p->tensors[t];

            if (x->first >= 0 && x->first < to && x->last >= to && x->last < i)
                x->last = i;
        }
    }
}

static void find_lifetimes(struct program *p)
{
    for (int t = 0; t < p->n_tensors; t++)
        if (p->tensors[t].place == IN_WORKSPACE)
            p->tensors[t].first = p->tensors[t].last = -1;
    for (int i = 0; i < p->n_steps; i++)
        for (int k = 0; k < p->steps[i].n_operands; k++) {
            const int tensor = p->steps[i].operands[k].tensor;

            if (tensor < 0)
                continue;
            struct ptensor *root = &p->tensors[program_root(p, tensor, NULL)];

            if (root->place == IN_WORKSPACE)
                touch(root, i);
        }
    stretch_over_loops(p);
    for (int t = 0; p->keep_all && t < p->n_tensors; t++)
        if (p->tensors[t].first >= 0)
            p->tensors[t].last = p->n_steps - 1;
}

/* ---- in place ----------------------------------------------------------- */

/* The operand is exactly the whole memory of its root. */
static int whole_root(const struct program *p, const struct operand *o)
{
    int64_t at;

    if (o->tensor < 0)
        return -1;
    const int root = program_root(p, o->tensor, &at);

    return at + o->offset == 0 && p->tensors[root].bytes == p->tensors[o->tensor].bytes
                   && p->tensors[root].place == IN_WORKSPACE
               ? root
               : -1;
}

/* Inputs of a step that computes element by element. */
static int element_inputs(const struct step *s)
{
    return s->kind == STEP_CHAIN ? s->u.chain->n_in
           : s->kind == STEP_INT_ELEMENTS ? s->n_operands - 1
                                          : 0;
}

/* Operand k of such a step is walked as the result is. */
static bool is_dense(const struct step *s, int k)
{
    enum { A };
    const struct int_elements *c = &s->u.int_elements;

    if (s->kind == STEP_CHAIN)
        return chain_is_dense(s->u.chain, k);
    return k == A ? c->a_n == c->out_n && c->a_row == c->out_row
                  : c->b_n == c->out_n && c->b_row == c->out_row && !c->b_one;
}

/* Every use of `root` in the step reads element i when element i is written. */
static bool only_dense_uses(const struct program *p, const struct step *s, int root)
{
    for (int k = 0; k < s->n_operands; k++) {
        const struct operand *o = &s->operands[k];

        if (o->tensor < 0 || program_root(p, o->tensor, NULL) != root)
            continue;
        if (o->written || whole_root(p, o) != root || !is_dense(s, k))
            return false;
    }
    return true;
}

/* Tensor `to`, made by `step`, takes the place of `from`, last read there. */
static bool can_take_over(const struct program *p, int step, int from, int to)
{
    return to >= 0 && from >= 0 && from != to && p->tensors[to].first == step
           && p->tensors[from].last == step
           && p->tensors[from].bytes == p->tensors[to].bytes;
}

static void take_over(struct program *p, int from, int to)
{
    p->tensors[to].alias_of = from;
    p->tensors[to].alias_offset = 0;
    p->tensors[from].last = p->tensors[to].last;
}

static void write_over_input(struct program *p, int step, const struct operand *out)
{
    const struct step *s = &p->steps[step];
    const int to = whole_root(p, out);

    for (int k = 0; k < element_inputs(s); k++) {
        const int from = whole_root(p, &s->operands[k]);

        if (can_take_over(p, step, from, to) && only_dense_uses(p, s, from)) {
            take_over(p, from, to);
            return;
        }
    }
}

/* A convolution reads an element of the residual right before it stores the result
 * there, unless the residual is its input too. */
static void write_over_residual(struct program *p, int step)
{
    enum { IN, RESIDUAL = 3, OUT };
    struct step *s = &p->steps[step];
    const struct conv *c = step_window(s);

    if (!c || !c->has_residual || c->res_x != c->out_x || c->res_y != c->out_y
        || c->res_n != c->out_n)
        return;
    const int from = whole_root(p, &s->operands[RESIDUAL]);
    const int to = whole_root(p, &s->operands[OUT]);

    if (can_take_over(p, step, from, to)
        && program_root(p, s->operands[IN].tensor, NULL) != from)
        take_over(p, from, to);
}

static bool in_loop(const struct program *p, int step)
{
    for (int i = step; i < p->n_steps; i++)
        if (p->steps[i].kind == STEP_JUMP && p->steps[i].target <= step)
            return true;
    return false;
}

static void work_in_place(struct program *p)
{
    for (int i = 0; i < p->n_steps; i++) {
        const struct step *s = &p->steps[i];

        if (in_loop(p, i))
            continue;
        write_over_residual(p, i);
        for (int o = element_inputs(s); o && o < s->n_operands; o++)
            write_over_input(p, i, &s->operands[o]);
    }
}

/* ---- blocks ------------------------------------------------------------- */

static struct placement collect(const struct program *p)
{
    struct placement out = {0};

    out.blocks = calloc((size_t)(p->n_tensors + p->n_steps + 1), sizeof *out.blocks);
    if (!out.blocks)
        abort();
    for (int t = 0; t < p->n_tensors; t++) {
        const struct ptensor *x = &p->tensors[t];

        if (x->place == IN_WORKSPACE && x->alias_of < 0 && x->first >= 0)
            out.blocks[out.n++] = (struct block){.tensor = t,
                                                 .step = -1,
                                                 .bytes = round_up(x->bytes),
                                                 .first = x->first,
                                                 .last = x->last};
    }
    for (int i = 0; i < p->n_steps; i++)
        if (p->steps[i].scratch_bytes > 0)
            out.blocks[out.n++] = (struct block){
                .tensor = -1,
                .step = i,
                .first = i,
                .last = i,
                .bytes = round_up(p->steps[i].scratch_bytes) * p->max_workers};
    return out;
}

static int64_t live_peak(const struct placement *x, int n_steps)
{
    int64_t *live = calloc((size_t)n_steps + 1, sizeof *live);
    int64_t peak = 0;

    if (!live)
        abort();
    for (int i = 0; i < x->n; i++) {
        live[x->blocks[i].first] += x->blocks[i].bytes;
        live[x->blocks[i].last + 1] -= x->blocks[i].bytes;
    }
    for (int i = 0; i < n_steps; i++) {
        live[i] += i ? live[i - 1] : 0;
        peak = live[i] > peak ? live[i] : peak;
    }
    free(live);
    return peak;
}

/* ---- greedy placement --------------------------------------------------- */

static bool same_time(const struct block *a, const struct block *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Puts `x` into the tightest hole between the blocks of done[] (sorted by offset)
 * that live at the same time, or on top of them. */
static void drop_in(struct block *const *done, int n_done, struct block *x)
{
    int64_t top = 0, best = -1, best_size = 0;

    for (int i = 0; i < n_done; i++) {
        const struct block *b = done[i];

        if (!same_time(b, x))
            continue;
        const int64_t hole = b->offset - top;

        if (hole >= x->bytes && (best < 0 || hole < best_size)) {
            best = top;
            best_size = hole;
        }
        if (b->offset + b->bytes > top)
            top = b->offset + b->bytes;
    }
    x->offset = best >= 0 ? best : top;
}

static void insert_sorted(struct block **done, int n_done, struct block *x)
{
    int i = n_done;

    for (; i > 0 && done[i - 1]->offset > x->offset; i--)
        done[i] = done[i - 1];
    done[i] = x;
}

static int64_t place_in_order(struct block *const *order, int n, struct block **done)
{
    int64_t peak = 0;

    for (int i = 0; i < n; i++) {
        drop_in(done, i, order[i]);
        insert_sorted(done, i, order[i]);
        if (order[i]->offset + order[i]->bytes > peak)
            peak = order[i]->offset + order[i]->bytes;
    }
    return peak;
}

static int64_t age(const struct block *b)
{
    return b->last - b->first + 1;
}

static int tie(const struct block *a, const struct block *b)
{
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a < b ? -1 : a > b;
}

static int by_size(const void *x, const void *y)
{
    const struct block *a = *(struct block *const *)x, *b = *(struct block *const *)y;

    return a->bytes != b->bytes ? (a->bytes > b->bytes ? -1 : 1) : tie(a, b);
}

static int by_area(const void *x, const void *y)
{
    const struct block *a = *(struct block *const *)x, *b = *(struct block *const *)y;
    const double p = (double)a->bytes * (double)age(a),
                 q = (double)b->bytes * (double)age(b);

    return p != q ? (p > q ? -1 : 1) : tie(a, b);
}

static int by_age(const void *x, const void *y)
{
    const struct block *a = *(struct block *const *)x, *b = *(struct block *const *)y;

    return age(a) != age(b) ? (age(a) > age(b) ? -1 : 1) : by_size(x, y);
}

static int by_time(const void *x, const void *y)
{
    const struct block *a = *(struct block *const *)x, *b = *(struct block *const *)y;

    return a->first != b->first ? (a->first < b->first ? -1 : 1) : by_size(x, y);
}

/* Blocks that reach the peak go first next time. */
static bool promote_peak(struct block **order, int n, int64_t peak)
{
    for (int i = 0; i < n; i++) {
        struct block *b = order[i];

        if (b->offset + b->bytes != peak)
            continue;
        const int to = i / 2;

        memmove(&order[to + 1], &order[to], sizeof *order * (size_t)(i - to));
        order[to] = b;
        return i != to;
    }
    return false;
}

static void keep(const struct placement *x, int64_t *offsets)
{
    for (int i = 0; i < x->n; i++)
        offsets[i] = x->blocks[i].offset;
}

static int64_t place(struct placement *x, int64_t bound)
{
    static int (*const orders[])(const void *, const void *) = {by_size, by_area,
                                                                by_age, by_time};
    const int rounds = x->n > 500 ? 4 : MAX_ROUNDS;
    struct block **order = calloc((size_t)x->n + 1, sizeof *order);
    struct block **done = calloc((size_t)x->n + 1, sizeof *done);
    int64_t *best_offset = calloc((size_t)x->n + 1, sizeof *best_offset);
    int64_t best = INT64_MAX;

    if (!order || !done || !best_offset)
        abort();
    for (int k = 0; k < 4 && best > bound; k++) {
        for (int i = 0; i < x->n; i++)
            order[i] = &x->blocks[i];
        qsort(order, (size_t)x->n, sizeof *order, orders[k]);
        for (int round = 0; round < rounds && best > bound; round++) {
            const int64_t peak = place_in_order(order, x->n, done);

            if (peak < best) {
                best = peak;
                keep(x, best_offset);
            }
            if (!promote_peak(order, x->n, peak))
                break;
        }
    }
    for (int i = 0; i < x->n; i++)
        x->blocks[i].offset = best_offset[i];
    free(order);
    free(done);
    free(best_offset);
    return x->n ? best : 0;
}

int64_t planner_lower_bound(const struct program *p)
{
    struct placement x = collect(p);
    const int64_t bound = live_peak(&x, p->n_steps);

    free(x.blocks);
    return bound;
}

void planner_place(struct program *p)
{
    find_lifetimes(p);
    if (!p->keep_all)
        work_in_place(p);

    struct placement x = collect(p);

    p->workspace_bytes = place(&x, live_peak(&x, p->n_steps));
    for (int i = 0; i < x.n; i++) {
        if (x.blocks[i].tensor >= 0)
            p->tensors[x.blocks[i].tensor].offset = x.blocks[i].offset;
        else
            p->steps[x.blocks[i].step].scratch_offset = x.blocks[i].offset;
    }
    free(x.blocks);
}
