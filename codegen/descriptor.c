/* SPDX-License-Identifier: Apache-2.0 */
/* The model's descriptor: a placed program as the runtime sees it.  The same
 * numbers end up in foo.c as text and in libfoo.a through LLVM. */
#include "codegen/codegen.h"

/* A condition that is known now is not a condition: go where it leads. */
static struct hadm_step jump_on_constant(const struct ptensor *root, int64_t at, int here,
                                         int target)
{
    const bool value = ((const uint8_t *)root->data)[at] != 0;

    return (struct hadm_step){.kind = HADM_JUMP, .target = value ? here + 1 : target};
}

static struct hadm_step describe_branch(const struct program *p, int here)
{
    const struct step *s = &p->steps[here];
    int64_t at;
    const struct ptensor *root = &p->tensors[program_root(p, s->operands[0].tensor, &at)];

    at += s->operands[0].offset;
    switch (root->place) {
    case IN_WEIGHTS:
        return jump_on_constant(root, at, here, s->target);
    case IN_IO:
        return (struct hadm_step){.kind = HADM_BRANCH_IO, .at = at,
                                  .n_units = root->io_index, .target = s->target};
    default:
        return (struct hadm_step){.kind = HADM_BRANCH, .at = root->offset + at,
                                  .target = s->target};
    }
}

static struct hadm_step describe_step(const struct program *p, int here)
{
    const struct step *s = &p->steps[here];

    if (s->kind == STEP_BRANCH)
        return describe_branch(p, here);
    if (s->kind == STEP_JUMP)
        return (struct hadm_step){.kind = HADM_JUMP, .target = s->target};
    return (struct hadm_step){.kind = HADM_CALL, .n_units = s->n_units, .grain = s->grain};
}

struct hadm_model *model_describe(struct arena *a, const struct program *p,
                                  uint64_t cpu_features)
{
    struct hadm_model *m = arena_new(a, struct hadm_model);
    struct hadm_step *steps = arena_new_array(a, struct hadm_step, p->n_steps + 1);

    for (int i = 0; i < p->n_steps; i++)
        steps[i] = describe_step(p, i);
    *m = (struct hadm_model){
        .abi = HADM_ABI,
        .n_steps = (uint32_t)p->n_steps,
        .steps = steps,
        .payload_bytes = (uint64_t)weights_payload_bytes(p),
        .workspace_bytes = (uint64_t)p->workspace_bytes,
        .cpu_features = cpu_features,
        .n_io = (uint32_t)p->n_io,
        .max_workers = p->max_workers > 0 ? (uint32_t)p->max_workers : 1,
    };
    structure_hash(p, m->structure_hash);
    return m;
}
