/* SPDX-License-Identifier: Apache-2.0 */
/* Steps as work for the cost model: see step_work.h. */
#include "codegen/step_work.h"

#include <string.h>

static bool is_product(const struct step *s)
{
    switch (s->node ? s->node->op : OP_Conv) {
    case OP_Gemm:
    case OP_MatMul:
    case OP_QLinearMatMul:
    case OP_MatMulInteger:
        return true;
    default:
        return false;
    }
}

/* Shapes may be hostile: both factors below 2^46, their product may be above 2^63. */
static int64_t times(int64_t a, int64_t b)
{
    int64_t product;

    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static struct work conv_work(const struct step *s, const struct conv *c,
                             int weight_bits, int activation_bits)
{
    const int64_t channels = c->groups * c->c_out, depth = c->c_in * c->kh * c->kw;
    const int64_t rows = c->n * c->oh * c->ow;

    return (struct work){
        .macs_per_channel = times(rows, depth),
        .channels = channels,
        .weights = channels * depth,
        .in_elements = c->n * c->groups * c->c_in * c->h * c->w
                       + (c->has_residual ? rows * channels : 0),
        .out_elements = rows * channels,
        .weight_bits = weight_bits,
        .activation_bits = activation_bits,
        .rows = rows,
        .added = c->has_residual ? rows * channels : 0,
        .kind = is_product(s) ? WORK_PRODUCT
                              : work_kind_of_window(c->groups, c->c_in, c->kh * c->kw,
                                                    c->stride_y > 1 || c->stride_x > 1),
    };
}

static struct work float_conv_work(const struct step *s)
{
    const struct conv *c = &s->u.conv.conv;
    struct work w = conv_work(s, c, c->half_weights ? 16 : 32, 32);

    if (s->kind == STEP_CONV && s->u.conv.tiling.winograd)
        w.kind = WORK_WINOGRAD;
    return w;
}

static struct work int_conv_work(const struct step *s)
{
    const struct int_conv *c = &s->u.int_conv.conv;
    struct work w = conv_work(s, &c->shape, c->weight_bits, 8);

    w.weight_zeros = c->weight_zeros;
    if (c->shape.act != ACT_NONE)
        w.added += w.out_elements;
    return w;
}

static struct work matmul_work(const struct matmul *m)
{
    return (struct work){
        .macs_per_channel = times(m->batch * m->m, m->k),
        .channels = m->n,
        .in_elements = m->batch * (m->m * m->k + m->k * m->n),
        .out_elements = m->batch * m->m * m->n,
        .weight_bits = 32,
        .activation_bits = 32,
        .rows = m->batch * m->m,
        .kind = WORK_PRODUCT,
    };
}

/* ---- work without weights ----------------------------------------------------- */

/* All its operands as bytes. */
static struct work moving_work(const struct program *p, const struct step *s)
{
    struct work w = {
        .channels = 1, .weight_bits = 8, .activation_bits = 8, .kind = WORK_MOVE};

    for (int i = 0; i < s->n_operands; i++)
        if (s->operands[i].tensor >= 0)
            w.in_elements += p->tensors[s->operands[i].tensor].bytes;
    return w;
}

/* The same operands; `depth` for each of `rows`. */
static struct work computing_work(const struct program *p, const struct step *s,
                                  enum work_kind kind, int64_t depth, int64_t rows)
{
    struct work w = moving_work(p, s);

    w.kind = kind;
    w.rows = rows;
    w.macs_per_channel = times(rows, depth);
    return w;
}

static struct work pool_work(const struct program *p, const struct step *s,
                             const struct conv *c, int bits)
{
    struct work w =
        computing_work(p, s, WORK_POOL, c->kh * c->kw, c->n * c->oh * c->ow);

    w.channels = c->groups * c->c_out;
    w.in_elements = w.in_elements * 8 / bits;
    w.weight_bits = w.activation_bits = bits;
    return w;
}

/* An element that has to be looked for takes as long as so many operations. */
enum { STRIDED_OPERATIONS = 8, MOVE_OPERATIONS = 8 };

static int64_t operations_of(const struct kernel_info *kernel)
{
    static const struct {
        const char *name;
        int64_t operations;
    } functions[] = {
#define FUNCTION(name, operations) {#name "_", operations},
#include "codegen/functions.def"
    };

    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strncmp(kernel->name, functions[i].name, strlen(functions[i].name)) == 0)
            return functions[i].operations;
    return 1;
}

static struct work chain_work(const struct program *p, const struct step *s)
{
    const struct chain *ch = s->u.chain;
    int64_t operations = 0, elements = 1;

    for (int i = 0; i < ch->n_ops; i++)
        operations += operations_of(ch->ops[i].kernel);
    for (int i = 0; i < ch->n_in; i++)
        operations += ch->stride[i][K_MAX_RANK - 1] > 1 ? STRIDED_OPERATIONS : 0;
    for (int d = 0; d < K_MAX_RANK; d++)
        elements = times(elements, ch->dim[d]);
    return operations < MOVE_OPERATIONS
               ? moving_work(p, s)
               : computing_work(p, s, WORK_FUNCTION, operations, elements);
}

static struct work codes_work(const struct program *p, const struct step *s)
{
    const struct int_elements *e = &s->u.int_elements;

    return e->op == INT_SCALE || e->op == INT_TABLE
               ? moving_work(p, s)
               : computing_work(p, s, WORK_CODES, 1, e->n * e->rows * e->columns);
}

static struct work library_work(const struct program *p, const struct step *s)
{
    const struct kcall *call = s->u.call;
    const char *params = call->kernel->params;

    if (strcmp(params, "rows") == 0 && strstr(call->kernel->name, "softmax"))
        return computing_work(p, s, WORK_SOFTMAX,
                              ((const struct k_rows *)call->params)->n, call->n_units);
    if (strcmp(params, "norm") == 0)
        return computing_work(p, s, WORK_NORMALIZATION,
                              ((const struct k_norm *)call->params)->n, call->n_units);
    return moving_work(p, s);
}

/* ---- any step ------------------------------------------------------------------ */

/* Graphs have at most 2 000 nodes: linear search is fine. */
static const struct unit *unit_of(const struct step *s, int n_units,
                                  const struct unit *units)
{
    for (int i = 0; s->kind == STEP_LIBRARY && i < n_units; i++)
        if (units[i].node == s->node)
            return &units[i];
    return NULL;
}

struct work step_work(const struct program *p, const struct step *s, int n_units,
                      const struct unit *units)
{
    const struct unit *unit = unit_of(s, n_units, units);

    if (unit)
        return unit_work(unit, unit->weight_bits, unit->activation_bits);
    switch (s->kind) {
    case STEP_CONV:
    case STEP_DEPTHWISE:
        return float_conv_work(s);
    case STEP_INT_CONV:
    case STEP_INT_DEPTHWISE:
        return int_conv_work(s);
    case STEP_MATMUL:
        return matmul_work(&s->u.matmul);
    case STEP_POOL:
        return pool_work(p, s, &s->u.conv.conv, 32);
    case STEP_INT_POOL:
        return pool_work(p, s, &s->u.int_pool.shape, 8);
    case STEP_CHAIN:
        return chain_work(p, s);
    case STEP_INT_ELEMENTS:
        return codes_work(p, s);
    case STEP_LIBRARY:
        return library_work(p, s);
    default:
        return moving_work(p, s);
    }
}
