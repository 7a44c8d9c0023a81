/* SPDX-License-Identifier: Apache-2.0 */
/* Weights become zero, one by one or two of each four, and the others are fitted to
 * make good for it.  Sizes stay: kernels multiply zeros like other numbers, unless a
 * device skips them (hal/cost.h, sparse_2_4).
 *
 *     RETURN_IF_FAIL(sparsify_decide(g, &o, a, &s));    from samples, seconds
 *     RETURN_IF_FAIL(sparsify_apply(g, s));             at once, on any equal graph
 *
 * How many of each layer: a share of all weights together, those that each layer could
 * make up for best, by w^2 / (H^-1)_jj as a share of the variance of what the layer
 * gives (quadratic.h).
 *
 * Which ones: sparse_weights.h.  With `two_of_four` two of four input channels in a
 * row, at each place of a window.
 *
 * The others: least squares against what the original layer gives (unit_fit.h), layer
 * after layer, on inputs that carry the errors of the layers before.
 *
 * All units of plan/units.h that are seen as products (product.h) lose weights; two of
 * four only those that read a multiple of four channels.
 */
#ifndef HADMC_COMPRESS_SPARSIFY_H
#define HADMC_COMPRESS_SPARSIFY_H

#include "frontend/dataset.h"
#include "plan/plan.h"

struct sparsify_options {
    double share; /* of the weights, 0 to 0.99; not read with the others */
    bool two_of_four;
    const struct plan *plan; /* NULL, or what each unit loses */
    const struct dataset *data;
    int64_t n_samples; /* at least one */
    const int64_t *sample;
    /* Told before each unit, with how many there are; or NULL. */
    void (*progress)(int unit, int n_units, void *arg);
    void *progress_arg;
};

/* A unit of plan/units.h, in their order. */
struct sparse_unit {
    enum plan_zeros zeros;
    int64_t n_weights, n_zeros; /* as decided; others may be zero by chance */
    const float *weights;       /* as they lie in the model; NULL: they stay */
    const float *bias;          /* [channels]; NULL: none, or it stays */
};

struct sparsity {
    int n_units;
    struct sparse_unit *units;
    int64_t n_weights, n_zeros; /* of units that may lose any */
};

/* What becomes of g, in `a`.  UNSUPPORTED without OpenBLAS, and when no unit can lose
 * any weight; INVALID names a unit that cannot lose what the plan says. */
struct status *sparsify_decide(const struct ir_graph *g,
                               const struct sparsify_options *o, struct arena *a,
                               struct sparsity **out);

/* Changes g, which is the graph that was decided on, or made in the same way. */
struct status *sparsify_apply(struct ir_graph *g, const struct sparsity *s);

#endif /* HADMC_COMPRESS_SPARSIFY_H */
