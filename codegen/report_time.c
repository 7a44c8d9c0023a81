/* SPDX-License-Identifier: Apache-2.0 */
/* What hal's model expects of every step: the roofline of one core (hal/cost.h) for its
 * multiply-adds and for the bytes of its operands.  Measured times are no part of a
 * bundle, whose bytes depend on its inputs alone. */
#include <math.h>
#include <string.h>

#include "codegen/bundle.h"
#include "hal/cost.h"

static bool is_integer(const struct step *s)
{
    return s->kind == STEP_INT_CONV || s->kind == STEP_INT_DEPTHWISE
           || s->kind == STEP_INT_POOL || s->kind == STEP_INT_ELEMENTS;
}

static int weight_bits(const struct step *s)
{
    switch (s->kind) {
    case STEP_CONV:
    case STEP_DEPTHWISE:
        return s->u.conv.conv.half_weights ? 16 : 32;
    case STEP_INT_CONV:
    case STEP_INT_DEPTHWISE:
        return s->u.int_conv.conv.weight_bits;
    default:
        return is_integer(s) ? 8 : 32;
    }
}

/* Of a convolution or product; otherwise so many that whole tiles do not matter. */
static int64_t channels(const struct step *s)
{
    const struct conv *c = s->kind == STEP_CONV || s->kind == STEP_DEPTHWISE
                               ? &s->u.conv.conv
                           : s->kind == STEP_INT_CONV || s->kind == STEP_INT_DEPTHWISE
                               ? &s->u.int_conv.conv.shape
                               : NULL;

    if (c)
        return c->groups * c->c_out;
    return s->kind == STEP_MATMUL ? s->u.matmul.n : s->flops / 2 + 1;
}

static struct work work_of(const struct program *p, const struct step *s)
{
    const int bits = is_integer(s) ? 8 : 32;
    struct work w = {.channels = channels(s),
                     .weight_bits = weight_bits(s),
                     .activation_bits = bits};

    w.macs_per_channel = s->flops / 2 / w.channels;
    for (int k = 0; k < s->n_operands; k++) {
        const int at = s->operands[k].tensor;

        if (at < 0)
            continue;
        const struct ptensor *t = &p->tensors[program_root(p, at, NULL)];
        const int64_t bytes = p->tensors[at].bytes;

        if (t->place == IN_WEIGHTS)
            w.weights += bytes * 8 / w.weight_bits;
        else
            *(s->operands[k].written ? &w.out_elements : &w.in_elements) +=
                bytes * 8 / bits;
    }
    return w;
}

const int64_t *report_times(const struct bundle_job *job, const char **device)
{
    const struct bundle_options *o = job->options;
    const struct program *p = job->program;
    int64_t *ns = arena_new_array(job->arena, int64_t, p->n_steps + 1);
    struct device d;

    if (o->kind == EMIT_C)
        return NULL;
    struct status *s = device_parse(job->arena, o->target->name, o->target->device_json,
                                    strlen(o->target->device_json), &d);

    if (s) { /* no rates: no times */
        status_free(s);
        return NULL;
    }
    device_use_vectors(&d, o->isa.vector_bytes);
    *device = d.name;
    for (int i = 0; i < p->n_steps; i++) {
        const struct work w = work_of(p, &p->steps[i]);

        ns[i] = (int64_t)round(cost_of(&d, &w).time_ns);
    }
    return ns;
}
