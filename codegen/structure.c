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

static void add_step(struct sha256 *h, const struct step *s, const struct isa *isa)
{
    int64_t fields[STEP_MAX_FIELDS];
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
    default:
        add_i64s(h, fields, step_fields(s, isa, fields));
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
        add_step(&h, &p->steps[i], p->isa);
    sha256_end(&h, out);
}
