/* SPDX-License-Identifier: Apache-2.0 */
/* Units of a graph: see units.h. */
#include "plan/units.h"

#include "frontend/match.h"
#include "frontend/op_recurrent.h"
#include "support/json_door.h"
#include "support/name_map.h"

enum { LEFT, RIGHT };
enum { QX, QX_SCALE, QX_ZERO, QW }; /* QLinearConv, QLinearMatMul */

/* Weights that quantization has made float16 are behind a Cast. */
static const struct ir_value *constant_of(const struct ir_value *v)
{
    const struct ir_node *n = v ? v->def : NULL;

    return n && n->op == OP_Cast && n->graph->compile->halves_stay && n->in[0]->data
                   && n->in[0]->dtype == DT_f16
               ? n->in[0]
               : v;
}

static bool is_float_constant(const struct ir_value *v)
{
    v = constant_of(v);
    return v && v->data && ir_count(v) > 0
           && (v->dtype == DT_f32 || v->dtype == DT_f16 || v->dtype == DT_bf16
               || v->dtype == DT_f64);
}

static bool is_code_constant(const struct ir_value *v)
{
    return v && v->data && ir_count(v) > 0 && (v->dtype == DT_u8 || v->dtype == DT_i8);
}

/* The operand with the weights; -1: the node is no unit. */
static int find_weights(const struct ir_node *n)
{
    switch (n->op) {
    case OP_Conv:
    case OP_ConvTranspose:
    case OP_Gemm:
        return is_float_constant(ir_in(n, RIGHT)) ? RIGHT : -1;
    case OP_MatMul:
        return is_float_constant(ir_in(n, RIGHT))  ? RIGHT
               : is_float_constant(ir_in(n, LEFT)) ? LEFT
                                                   : -1;
    case OP_QLinearConv:
    case OP_QLinearMatMul:
        return is_code_constant(ir_in(n, QW)) ? QW : -1;
    case OP_ConvInteger:
    case OP_MatMulInteger:
        return is_code_constant(ir_in(n, RIGHT)) ? RIGHT : -1;
    default:
        return -1;
    }
}

static int64_t dim_from_end(const struct ir_value *v, int back, int64_t otherwise)
{
    return v->rank >= back ? v->dim[v->rank - back] : otherwise;
}

/* channels and k of a MatMul: [.., M, K] x [.., K, N], a vector on either side. */
static void measure_matmul(const struct ir_value *w, struct unit *u)
{
    if (u->weight_operand != LEFT) {
        u->k = dim_from_end(w, w->rank > 1 ? 2 : 1, 1);
        u->channels = w->rank > 1 ? dim_from_end(w, 1, 1) : 1;
    } else {
        u->k = dim_from_end(w, 1, 1);
        u->channels = dim_from_end(w, 2, 1);
    }
}

/* Shapes may be hostile: both factors below 2^46, their product may be above 2^63. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;

    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static bool all_ones(const struct ir_node *n, const char *attribute)
{
    int count;
    const int64_t *values = ir_attr_ints(n, attribute, &count);

    for (int i = 0; i < count; i++)
        if (values[i] != 1)
            return false;
    return true;
}

/* Which kernels a convolution takes. */
static enum work_kind window_kind(const struct ir_node *n, const struct ir_value *w)
{
    const int64_t window = ir_count(w) / (w->dim[0] * w->dim[1]);

    return work_kind_of_window(ir_attr_int(n, "group", 1), w->dim[1], window,
                               !all_ones(n, "strides"));
}

/* The layer that reads v, and nothing else does, reshaped or not, as its gates. */
static struct ir_node *recurrent_reader(const struct ir_value *v)
{
    struct ir_node *n = match_only_reader(v);

    for (; n && n->op == OP_Reshape; n = match_only_reader(v))
        v = n->out[0];
    return n && recurrent_weights(n) && n->in[RECURRENT_GATES] == v ? n : NULL;
}

int64_t unit_recurrent_bytes(const struct unit *u, int weight_bits)
{
    const struct ir_value *r = u->recurrent ? recurrent_weights(u->recurrent) : NULL;

    return !r                 ? 0
           : weight_bits < 16 ? recurrent_code_bytes(r)
                              : 4 * ir_count(r);
}

static void measure(struct unit *u)
{
    const struct ir_node *n = u->node;
    const struct ir_value *w = n->in[u->weight_operand];

    u->n_weights = ir_count(w);
    u->weight_bits = u->activation_bits = is_float_constant(w) ? 32 : 8;
    if (constant_of(w) != w)
        u->weight_bits = 16;
    u->in_elements = ir_count(n->in[u->weight_operand == LEFT ? RIGHT : LEFT]);
    u->out_elements = ir_count(n->out[0]);
    u->recurrent = recurrent_reader(n->out[0]);
    switch (n->op) {
    case OP_ConvTranspose: /* w [C, M/group, kernel...] */
        u->channels = w->dim[1] * ir_attr_int(n, "group", 1);
        u->k = u->n_weights / u->channels;
        u->macs = times(u->in_elements, u->n_weights / w->dim[0]);
        u->kind = WORK_WINDOW;
        return;
    case OP_Conv: /* w [M, C/group, kernel...] */
    case OP_QLinearConv:
    case OP_ConvInteger:
        u->channels = w->dim[0];
        u->k = u->n_weights / u->channels;
        u->kind = window_kind(n, w);
        break;
    case OP_Gemm:
        u->channels = dim_from_end(n->out[0], 1, 1);
        u->k = u->n_weights / u->channels;
        break;
    default:
        measure_matmul(w, u);
        break;
    }
    u->macs = times(u->out_elements, u->k);
}

/* ---- the list ---------------------------------------------------------------- */

struct list {
    struct arena *arena;
    struct name_map taken;
    struct unit *at;
    int n, cap;
};

static const char *unique_name(struct list *l, const char *wanted)
{
    const char *plain = json_door_plain(l->arena, wanted), *name = plain;

    for (int i = 2; name_map_get(&l->taken, name); i++)
        name = arena_printf(l->arena, "%s #%d", plain, i);
    name_map_put(&l->taken, name, l);
    return name;
}

static void add(struct list *l, const struct ir_node *n, int weight_operand)
{
    l->at = arena_grow(l->arena, l->at, sizeof *l->at, l->n, &l->cap);

    struct unit *u = &l->at[l->n++];

    *u = (struct unit){.node = n, .weight_operand = weight_operand};
    u->name = unique_name(l, n->name);
    measure(u);
}

/* The importer bounds how deep bodies nest. */
static void add_all(struct list *l, const struct ir_graph *g)
{
    for (const struct ir_node *n = g->first; n; n = n->next) {
        const int weight_operand = find_weights(n);

        if (weight_operand >= 0)
            add(l, n, weight_operand);
        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                add_all(l, n->body[b]);
    }
}

struct unit *units_find(const struct ir_graph *g, int *n)
{
    struct arena *a = g->compile->perm;
    struct list l = {.arena = a, .taken = {.arena = a}};

    add_all(&l, g);
    *n = l.n;
    return l.at;
}

struct work unit_work(const struct unit *u, int weight_bits, int activation_bits)
{
    return (struct work){
        .macs_per_channel = u->macs / u->channels,
        .channels = u->channels,
        .weights = u->n_weights,
        .in_elements = u->in_elements,
        .out_elements = u->out_elements,
        .weight_bits = weight_bits,
        .activation_bits = activation_bits,
        .rows = u->macs / u->channels / u->k,
        .kind = u->kind,
    };
}
