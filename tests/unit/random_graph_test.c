/* SPDX-License-Identifier: Apache-2.0 */
// links: codegen targets frontend kernels
/* Random graphs of data movement, element operators, reductions and products: what
 * is fused, aliased, written in place and placed must not show in the results. */
#include "tests/program_test.h"

#include <stdlib.h>

enum { MAX_VALUES = 64 };

struct growth {
    struct compile *c;
    struct ir_graph *g;
    int n;
    struct ir_value *v[MAX_VALUES];
    bool products; /* Conv and MatMul too: results are close, not equal */
};

static int below(int n)
{
    return (int)(draw() % (uint32_t)n);
}

static struct ir_value *any(struct growth *r)
{
    return r->v[below(r->n)];
}

static void emit(struct growth *r, enum ir_op op, int n_in, struct ir_value **in,
                 const char *attr)
{
    struct ir_value *out;
    struct status *s = ir_emit(r->g, NULL, op, NULL, n_in, in, attr, &out);

    CHECK_OK(s);
    if (ir_count(out) > 0 && ir_count(out) <= 4096 && r->n < MAX_VALUES)
        r->v[r->n++] = out;
}

static void grow_unary(struct growth *r)
{
    static const enum ir_op ops[] = {OP_Relu, OP_Neg, OP_Abs, OP_Sigmoid};
    struct ir_value *x = any(r);

    emit(r, ops[below(4)], 1, &x, NULL);
}

/* Of equal shape if there is one, otherwise with itself. */
static void grow_binary(struct growth *r)
{
    static const enum ir_op ops[] = {OP_Add, OP_Sub, OP_Max, OP_Min, OP_Add};
    struct ir_value *in[2] = {any(r), any(r)};

    for (int tries = 0; tries < 8 && !ir_same_shape(in[0], in[1]); tries++)
        in[1] = any(r);
    if (!ir_same_shape(in[0], in[1]))
        in[1] = in[0];
    emit(r, ops[below(5)], 2, in, NULL);
}

static const char *ints(struct growth *r, const char *name, int n, const int64_t *v)
{
    struct text t = {0};

    text_printf(&t, "%s=[", name);
    for (int i = 0; i < n; i++)
        text_printf(&t, "%s%lld", i ? "," : "", (long long)v[i]);
    text_puts(&t, "] ");
    const char *s = arena_strdup(r->c->perm, t.bytes);

    text_free(&t);
    return s;
}

static struct ir_value *cut(struct growth *r, struct ir_value *x, bool to_one)
{
    int64_t start[IR_MAX_RANK], step[IR_MAX_RANK], size[IR_MAX_RANK];

    for (int d = 0; d < x->rank; d++) {
        const int n = (int)x->dim[d];
        const bool whole = below(3) > 0;

        step[d] = 1;
        start[d] = whole ? 0 : below(n);
        size[d] = whole ? n : 1 + below(n - (int)start[d]);
        if (!whole && size[d] > 1 && below(3) == 0) {
            step[d] = below(2) ? 2 : -1;
            start[d] = step[d] < 0 ? start[d] + size[d] - 1 : start[d];
            size[d] = step[d] < 0 ? size[d] : (size[d] + 1) / 2;
        }
        if (to_one && below(2)) {
            size[d] = 1;
            step[d] = 1;
        }
    }
    emit(r, OP_Slice, 1, &x,
         arena_printf(r->c->perm, "%s%s%s", ints(r, "starts", x->rank, start),
                      ints(r, "steps", x->rank, step),
                      ints(r, "sizes", x->rank, size)));
    return r->v[r->n - 1];
}

static void grow_broadcast(struct growth *r)
{
    struct ir_value *in[2] = {any(r), NULL};

    in[1] = cut(r, in[0], true);
    for (int d = 0; d < in[0]->rank; d++)
        if (in[1]->dim[d] != 1 && in[1]->dim[d] != in[0]->dim[d])
            return;
    emit(r, OP_Add, 2, in, NULL);
}

static void grow_transpose(struct growth *r)
{
    struct ir_value *x = any(r);
    int64_t perm[IR_MAX_RANK] = {0};

    for (int d = 0; d < x->rank; d++) {
        const int other = below(d + 1);

        perm[d] = perm[other];
        perm[other] = d;
    }
    emit(r, OP_Transpose, 1, &x, ints(r, "perm", x->rank, perm));
}

static void grow_reshape(struct growth *r)
{
    struct ir_value *x = any(r);
    int64_t dim[IR_MAX_RANK];
    int rank = 0;

    for (int d = 0; d < x->rank; d++) {
        if (rank > 0 && below(3) == 0)
            dim[rank - 1] *= x->dim[d];
        else if (x->dim[d] % 2 == 0 && x->rank < 4 && below(2)) {
            dim[rank++] = x->dim[d] / 2;
            dim[rank++] = 2;
        } else
            dim[rank++] = x->dim[d];
    }
    emit(r, OP_Reshape, 1, &x, ints(r, "shape", rank, dim));
}

static void grow_concat(struct growth *r)
{
    struct ir_value *in[3] = {any(r), any(r), any(r)};
    const int axis = below(in[0]->rank);
    int n = 1;

    for (int i = 1; i < 3; i++) {
        bool fits = in[i]->rank == in[0]->rank;

        for (int d = 0; fits && d < in[0]->rank; d++)
            fits = d == axis || in[i]->dim[d] == in[0]->dim[d];
        if (fits)
            in[n++] = in[i];
    }
    if (n == 1)
        in[n++] = in[0];
    emit(r, OP_Concat, n, in, arena_printf(r->c->perm, "axis=%d", axis));
}

static void grow_expand(struct growth *r)
{
    struct ir_value *x = any(r);
    int64_t dim[IR_MAX_RANK];

    for (int d = 0; d < x->rank; d++)
        dim[d] = x->dim[d] == 1 ? 1 + below(4) : x->dim[d];
    emit(r, OP_Expand, 1, &x, ints(r, "shape", x->rank, dim));
}

static void grow_split(struct growth *r)
{
    struct ir_value *x = any(r);
    const int axis = below(x->rank);
    const int64_t n = x->dim[axis], split[2] = {n / 2, n - n / 2};

    if (n < 2 || r->n + 2 > MAX_VALUES)
        return;
    struct ir_node *node = ir_node_create(r->g, NULL, OP_Split, NULL, 1, 2);

    ir_set_input(node, 0, x);
    for (int i = 0; i < 2; i++)
        r->v[r->n++] = ir_new_output(node, i, NULL);
    ir_set_attr_int(node, "axis", axis);
    ir_set_attr_ints(node, "split", 2, split);
    CHECK_OK(ir_infer(node));
}

static void grow_reduce(struct growth *r)
{
    struct ir_value *x = any(r);
    const int64_t axis = below(x->rank);

    if (x->rank > 1)
        emit(r, OP_ReduceMax, 1, &x,
             arena_printf(r->c->perm, "axes=[%d] keepdims=1", (int)axis));
}

static struct ir_value *weights(struct growth *r, int rank, const int64_t *dim)
{
    int64_t n = 1;

    for (int d = 0; d < rank; d++)
        n *= dim[d];
    float *data = arena_new_array(r->c->perm, float, n);

    for (int64_t i = 0; i < n; i++)
        data[i] = (float)below(9) / 8.0f - 0.5f;
    return ir_const_ref(r->c, NULL, DT_f32, rank, dim, data);
}

/* Convolution over the inner dims of anything of rank 4, product of the last dim of
 * anything else. */
static void grow_product(struct growth *r)
{
    struct ir_value *in[2] = {any(r), NULL};
    const struct ir_value *x = in[0];
    const int64_t last = x->dim[x->rank - 1], out = 1 + below(20);
    const int k = 1 + below(3);

    if (!r->products || x->rank < 2)
        return;
    if (x->rank == 4 && below(2)) {
        in[1] = weights(r, 4, (int64_t[]){out, last, k, k});
        emit(r, OP_Conv, 2, in,
             arena_printf(r->c->perm,
                          "channels_last=1 kernel_shape=[%d,%d] pads=[%d,%d,%d,%d] "
                          "strides=[1,1] dilations=[1,1] group=1",
                          k, k, k / 2, k / 2, k - 1 - k / 2, k - 1 - k / 2));
    } else {
        in[1] = weights(r, 2, (int64_t[]){last, out});
        emit(r, OP_MatMul, 2, in, NULL);
    }
}

static void grow(struct growth *r)
{
    static void (*const ways[])(struct growth *) = {
        grow_unary,  grow_binary, grow_broadcast, grow_transpose, grow_reshape,
        grow_concat, grow_expand, grow_split,     grow_reduce,    grow_product,
        grow_unary,  grow_binary, grow_binary};

    if (r->n + 4 < MAX_VALUES)
        ways[below(sizeof ways / sizeof *ways)](r);
}

/* What nobody reads, and some of the rest, is what the graph returns. */
static void add_random_outputs(struct growth *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->g->n_out < 12 && (r->v[i]->n_uses == 0 || below(8) == 0)
            && !ir_is_graph_output(r->g, r->v[i]))
            ir_output(r->g, r->v[i]);
}

static void run_random(uint32_t from, int n_nodes, bool products)
{
    struct growth r = {.c = compile_create(), .products = products};
    const int64_t dims[][4] = {{2, 3, 4, 5}, {1, 6, 2, 8}, {4, 1, 3, 1}, {2, 2, 2, 16}};

    seed = from;
    r.g = ir_graph_create(r.c, "t");
    for (int i = 0; i < 3; i++)
        r.v[r.n++] = ir_input(r.g, NULL, DT_f32, 2 + below(3), dims[below(4)]);
    for (int i = 0; i < n_nodes; i++)
        grow(&r);
    add_random_outputs(&r);
    run_graph(r.c, r.g, false, products ? 1e-4f : 0.0f);
    compile_destroy(r.c);
}

static int rounds(int otherwise)
{
    const char *more = getenv("HADMC_TEST_ROUNDS");

    return more ? atoi(more) : otherwise;
}

TEST(random_graphs_keep_their_bytes)
{
    for (int i = 0; i < rounds(20); i++)
        run_random((uint32_t)i, 4 + i % 20, false);
}

TEST(random_graphs_with_products_keep_their_values)
{
    for (int i = 0; i < rounds(20); i++)
        run_random(100000u + (uint32_t)i, 4 + i % 16, true);
}
