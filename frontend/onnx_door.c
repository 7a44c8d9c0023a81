/* SPDX-License-Identifier: Apache-2.0 */
/* An input as the caller has it, when that is not how the model wants it:
 *
 *     camera bytes [N, H, W, C]  --Cast, Sub mean, Mul 1/std, Transpose-->  f32 [N, C,
 * H, W]
 *
 * The nodes that convert it become part of the graph, so they are compiled with it.
 */
#include <string.h>

#include "frontend/onnx_importer.h"

enum { CHANNELS = 1 }; /* dim of the channels in the model's order */

static const struct onnx_io *find_io(const struct importer *im, const char *name)
{
    for (int i = 0; i < im->options->n_ios; i++)
        if (!strcmp(im->options->io[i].input, name))
            return &im->options->io[i];
    return NULL;
}

static struct status *check(const struct onnx_io *io, enum dtype dtype, int rank,
                            const int64_t *dim)
{
    const int64_t channels = rank > CHANNELS ? dim[CHANNELS] : 1;

    if (io->channels_last && rank != 4)
        return FAIL(BAD_USAGE, "--io %s: nhwc needs 4 dimensions, the input has %d",
                    io->input, rank);
    if (io->n_mean && dtype != DT_f32)
        return FAIL(BAD_USAGE, "--io %s: mean and std need a float32 input, this is %s",
                    io->input, dtype_info[dtype].name);
    if (io->n_mean > 1 && io->n_mean != channels)
        return FAIL(BAD_USAGE, "--io %s: %d means for %lld channels", io->input,
                    io->n_mean, (long long)channels);
    if (io->n_std > 1 && io->n_std != channels)
        return FAIL(BAD_USAGE, "--io %s: %d deviations for %lld channels", io->input,
                    io->n_std, (long long)channels);
    return OK;
}

static struct status *apply(struct ir_graph *g, enum ir_op op, const char *attr,
                            struct ir_value *operand, struct ir_value **v)
{
    struct ir_value *in[] = {*v, operand};

    return ir_emit(g, NULL, op, NULL, operand ? 2 : 1, in, attr, v);
}

/* n numbers, one or one per channel of the caller's order. */
static struct ir_value *per_channel(struct ir_graph *g, const struct onnx_io *io, int n,
                                    const float *numbers, int rank)
{
    int64_t dim[IR_MAX_RANK];

    for (int i = 0; i < rank; i++)
        dim[i] = 1;
    if (n == 1)
        return ir_const(g->compile, NULL, DT_f32, 0, NULL, numbers);
    dim[io->channels_last ? rank - 1 : CHANNELS] = n;
    return ir_const(g->compile, NULL, DT_f32, rank, dim, numbers);
}

static struct status *normalise(struct ir_graph *g, const struct onnx_io *io, int rank,
                                struct ir_value **v)
{
    float *inverse = arena_new_array(g->compile->perm, float, io->n_std);

    for (int i = 0; i < io->n_std; i++)
        inverse[i] = (float)(1.0 / (double)io->std[i]);
    RETURN_IF_FAIL(
        apply(g, OP_Sub, NULL, per_channel(g, io, io->n_mean, io->mean, rank), v));
    return apply(g, OP_Mul, NULL, per_channel(g, io, io->n_std, inverse, rank), v);
}

struct status *import_door(struct scope *s, const char *name, enum dtype dtype,
                           int rank, const int64_t *dim, struct ir_value **out)
{
    const struct onnx_io *io = find_io(s->im, name);
    int64_t theirs[IR_MAX_RANK];

    if (!io) {
        *out = ir_input(s->g, name, dtype, rank, dim);
        return OK;
    }
    RETURN_IF_FAIL(check(io, dtype, rank, dim));
    for (int i = 0; i < rank; i++)
        theirs[i] =
            dim[io->channels_last && i > 0 ? i == rank - 1 ? CHANNELS : i + 1 : i];
    *out = ir_input(s->g, name, io->dtype, rank, theirs);
    if (io->dtype != dtype)
        RETURN_IF_FAIL(apply(
            s->g, OP_Cast,
            arena_printf(s->im->c->perm, "to=%d", dtype_info[dtype].onnx), NULL, out));
    if (io->n_mean)
        RETURN_IF_FAIL(normalise(s->g, io, rank, out));
    return io->channels_last ? apply(s->g, OP_Transpose, "perm=[0,3,1,2]", NULL, out)
                             : OK;
}
