/* SPDX-License-Identifier: Apache-2.0 */
/* Which step reads and writes which bytes. */
#include "codegen/step_range.h"

#include <string.h>

struct range step_range(const struct program *p, const struct operand *o)
{
    int64_t at;
    const int root = program_root(p, o->tensor, &at);

    return (struct range){root, at + o->offset, at + p->tensors[o->tensor].bytes};
}

bool range_overlap(struct range a, struct range b)
{
    return a.root == b.root && a.begin < b.end && b.begin < a.end;
}

bool range_same(struct range a, struct range b)
{
    return a.root == b.root && a.begin == b.begin && a.end == b.end;
}

/* An operand with negative strides is read from its offset downwards, so reading
 * counts as reading the whole tensor. */
static struct range touched(const struct program *p, const struct operand *o)
{
    struct operand whole = *o;

    if (!o->written)
        whole.offset = 0;
    return step_range(p, &whole);
}

bool step_touches(const struct program *p, const struct step *s, struct range r,
                  bool write)
{
    for (int k = 0; k < s->n_operands; k++) {
        const struct operand *o = &s->operands[k];

        if (o->tensor >= 0 && o->written == write && range_overlap(touched(p, o), r))
            return true;
    }
    return false;
}

bool step_touched_between(const struct program *p, int after, int before,
                          struct range r, bool write)
{
    for (int i = after + 1; i < before; i++)
        if (step_touches(p, &p->steps[i], r, write))
            return true;
    return false;
}

static bool is_part_of(const struct builder *b, int tensor, int root)
{
    return tensor >= 0 && program_root(b->program, tensor, NULL) == root;
}

bool range_is_output(const struct builder *b, struct range r)
{
    for (int i = 0; i < b->graph->n_out; i++) {
        const int id = b->graph->out[i]->id;

        if (is_part_of(b, b->tensor_of[id] - 1, r.root)
            || is_part_of(b, b->dims_of[id] - 1, r.root))
            return true;
    }
    return false;
}

bool range_read_elsewhere(const struct builder *b, int i, int j, struct range r)
{
    const struct program *p = b->program;

    if (range_is_output(b, r))
        return true;
    for (int s = 0; s < p->n_steps; s++)
        if (s != i && s != j && step_touches(p, &p->steps[s], r, false))
            return true;
    return false;
}

bool step_control_between(const struct program *p, int i, int j)
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

void step_remove(struct program *p, int i)
{
    for (int k = 0; k < p->n_steps; k++)
        if (p->steps[k].target > i)
            p->steps[k].target--;
    memmove(&p->steps[i], &p->steps[i + 1],
            sizeof p->steps[0] * (size_t)(p->n_steps - i - 1));
    p->n_steps--;
}

int step_writer_before(const struct program *p, int j, int k)
{
    const struct range r = step_range(p, &p->steps[j].operands[k]);

    for (int i = j - 1; i >= 0; i--)
        if (step_touches(p, &p->steps[i], r, true))
            return i;
    return -1;
}
