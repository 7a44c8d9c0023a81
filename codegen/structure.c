/* SPDX-License-Identifier: Apache-2.0 */
/* The structure hash: it binds foo.weights to the code that reads it.
 *
 * It covers everything that decides where the code looks for which number and
 * what it does with it: the ABI, every tensor's place, every step with its
 * operands, shapes, tilings and parameters.  It does not cover the weights
 * themselves, so they can be replaced; nor names, which change nothing.
 */
#include <string.h>

#include "codegen/codegen.h"
#include "runtime/sha256.h"

static void add_i64(struct sha256 *h, int64_t value)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)value >> 8 * i);
    sha256_add(h, bytes, sizeof bytes);
}

static void add_i64s(struct sha256 *h, const int64_t *values, int n)
{
    for (int i = 0; i < n; i++)
        add_i64(h, values[i]);
}

static void add_f32s(struct sha256 *h, const float *values, int n)
{
    for (int i = 0; i < n; i++)
        add_i64(h, bits_of_f32(values[i]));
}

static void add_text(struct sha256 *h, const char *text)
{
    sha256_add(h, text, strlen(text) + 1);
}

static void add_tensor(struct sha256 *h, const struct ptensor *t)
{
    add_i64(h, t->place);
    add_i64(h, t->bytes);
    add_i64(h, t->offset);
    add_i64(h, t->io_index);
    add_i64(h, t->alias_of);
    add_i64(h, t->alias_offset);
}

static void add_conv(struct sha256 *h, const struct conv *c)
{
    const int64_t numbers[] = {
        c->n, c->h, c->w, c->oh, c->ow, c->groups, c->c_in, c->c_out, c->kh, c->kw,
        c->stride_y, c->stride_x, c->dilation_y, c->dilation_x, c->pad_top, c->pad_left,
        c->in_n, c->in_c, c->in_y, c->in_x, c->out_n, c->out_y, c->out_x,
        c->res_n, c->res_y, c->res_x, c->has_bias, c->has_residual, c->act_before, c->act,
    };

    add_i64s(h, numbers, (int)(sizeof numbers / sizeof numbers[0]));
    add_f32s(h, &c->act_a, 1);
    add_f32s(h, &c->act_b, 1);
}

static void add_tiling(struct sha256 *h, const struct conv_tiling *t)
{
    int64_t numbers[CONV_TILING_FIELDS];

    conv_tiling_fields(t, numbers);
    add_i64s(h, numbers, CONV_TILING_FIELDS);
}

static void add_matmul(struct sha256 *h, const struct matmul *m)
{
    const int64_t numbers[] = {
        m->batch, m->m, m->n, m->k, m->a_batch, m->a_row, m->a_col, m->b_batch, m->b_row,
        m->b_col, m->c_batch, m->c_row, m->has_bias, m->act,
    };

    add_i64s(h, numbers, (int)(sizeof numbers / sizeof numbers[0]));
    add_f32s(h, &m->alpha, 1);
    add_f32s(h, &m->act_a, 1);
    add_f32s(h, &m->act_b, 1);
}

static void add_call(struct sha256 *h, const struct kcall *c)
{
    add_text(h, c->kernel->name);
    add_i64s(h, c->params, c->kernel->n_i64);
    add_f32s(h, (const float *)((const int64_t *)c->params + c->kernel->n_i64),
             c->kernel->n_f32);
}

static void add_chain(struct sha256 *h, const struct chain *c)
{
    add_i64s(h, c->dim, K_MAX_RANK);
    add_i64(h, c->n_in);
    for (int i = 0; i < c->n_in; i++) {
        add_i64s(h, c->stride[i], K_MAX_RANK);
        add_i64(h, c->in_dtype[i]);
    }
    add_i64(h, c->n_ops);
    for (int i = 0; i < c->n_ops; i++) {
        const struct element_op *op = &c->ops[i];

        add_text(h, op->kernel->name);
        for (int k = 0; k < op->kernel->arity; k++)
            add_i64(h, op->src[k]);
        add_f32s(h, op->f, op->kernel->n_f);
    }
    add_i64(h, c->n_out);
    for (int i = 0; i < c->n_out; i++)
        add_i64(h, c->out[i]);
}

static void add_step(struct sha256 *h, const struct step *s)
{
    const int64_t numbers[] = {s->kind, s->n_units, s->grain, s->scratch_bytes,
                               s->scratch_offset, s->target, s->n_operands};

    add_i64s(h, numbers, (int)(sizeof numbers / sizeof numbers[0]));
    for (int i = 0; i < s->n_operands; i++) {
        add_i64(h, s->operands[i].tensor);
        add_i64(h, s->operands[i].offset);
    }
    switch (s->kind) {
    case STEP_LIBRARY:
        add_call(h, s->u.call);
        break;
    case STEP_CHAIN:
        add_chain(h, s->u.chain);
        break;
    case STEP_MATMUL:
        add_matmul(h, &s->u.matmul);
        break;
    case STEP_CONV:
    case STEP_DEPTHWISE:
    case STEP_POOL:
        add_conv(h, &s->u.conv.conv);
        add_tiling(h, &s->u.conv.tiling);
        add_i64(h, s->u.conv.pool_max);
        add_i64(h, s->u.conv.count_pad);
        break;
    default:
        break;
    }
}

void structure_hash(const struct program *p, uint8_t out[32])
{
    struct sha256 h;

    sha256_begin(&h);
    add_i64(&h, HADM_ABI);
    add_i64(&h, p->workspace_bytes);
    add_i64(&h, p->max_workers);
    add_i64(&h, p->n_io);
    add_i64(&h, p->n_tensors);
    for (int i = 0; i < p->n_tensors; i++)
        add_tensor(&h, &p->tensors[i]);
    add_i64(&h, p->n_steps);
    for (int i = 0; i < p->n_steps; i++)
        add_step(&h, &p->steps[i]);
    sha256_end(&h, out);
}
