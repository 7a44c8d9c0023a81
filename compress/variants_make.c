/* SPDX-License-Identifier: Apache-2.0 */
/* One unit's weights for the inputs that are left, and their codes: see variants.h.
 *
 *     V_s = W_s + W_r H_rs (H_ss + l)^-1        s stays, r is removed
 *
 * minimises E |W x - V_s x_s - c|^2; rows of W are independent of each other.
 */
#include <string.h>

#include "compress/round_weights.h"
#include "compress/variants_parts.h"
#include "support/blas.h"

static const double RIDGE = 0.01; /* of the mean of H's diagonal */

struct making {
    const struct made_unit *u;
    const bool *gone;
    struct arena *a;
    int64_t n;        /* inputs that stay */
    const int64_t *s; /* [n] their numbers */
    int64_t rows;     /* of a group */
};

static void list_inputs(struct making *m)
{
    const int64_t k = m->u->p.k;
    int64_t *s = arena_new_array(m->a, int64_t, k);

    for (int64_t i = 0; i < k; i++)
        if (!m->gone || !m->gone[i])
            s[m->n++] = i;
    m->s = s;
    m->rows = m->u->p.channels / m->u->p.groups;
}

/* H_ss of a group. */
static double *kept_hessian(const struct making *m, int64_t group)
{
    const int64_t k = m->u->p.k;
    const double *h = m->u->hessian + group * k * k;
    double *to = arena_new_array(m->a, double, m->n * m->n);

    for (int64_t i = 0; i < m->n; i++)
        for (int64_t j = 0; j < m->n; j++)
            to[i * m->n + j] = h[m->s[i] * k + m->s[j]];
    return to;
}

/* What the removed inputs gave, as far as the others know it, is added to v[rows][n].
 */
static void make_good(const struct making *m, const float *w, float *v)
{
    const int64_t k = m->u->p.k, n = m->n, n_gone = k - n;
    double *inverse = kept_hessian(m, 0), trace = 0.0;
    double *gone = arena_new_array(m->a, double, m->rows *n_gone);
    double *across = arena_new_array(m->a, double, n_gone *n);
    double *seen = arena_new_array(m->a, double, m->rows *n);
    double *change = arena_new_array(m->a, double, m->rows *n);

    for (int64_t i = 0; i < n; i++)
        trace += inverse[i * n + i];
    for (int64_t i = 0; i < n; i++)
        inverse[i * n + i] += trace > 0.0 ? RIDGE * trace / (double)n : 1.0;
    if (!blas_inverse(n, inverse, n))
        return;
    for (int64_t i = 0, r = 0; i < k; i++) {
        if (!m->gone[i])
            continue;
        for (int64_t c = 0; c < m->rows; c++)
            gone[c * n_gone + r] = w[c * k + i];
        for (int64_t j = 0; j < n; j++)
            across[r * n + j] = m->u->hessian[i * k + m->s[j]];
        r++;
    }
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, m->rows, n, n_gone, 1.0, gone, n_gone, across, n,
               0.0, seen, n);
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, m->rows, n, n, 1.0, seen, n, inverse, n, 0.0,
               change, n);
    for (int64_t i = 0; i < m->rows * n; i++)
        v[i] += (float)change[i];
}

/* v[rows][n] of a group becomes what its codes say. */
static struct status *round_group(const struct making *m, int64_t group, float *v,
                                  struct made *to)
{
    const int64_t k = m->u->p.k;
    const struct rounding_task t = {
        .rows = m->rows,
        .k = m->n,
        .weights = v,
        .hessian = m->u->hessian ? kept_hessian(m, group) : NULL,
        .bits = to->bits,
    };
    struct rounding r;

    RETURN_IF_FAIL(round_weights(m->a, &t, &r));
    for (int64_t c = 0; c < m->rows; c++) {
        const int64_t row = group * m->rows + c;

        to->scale[row] = r.scale[c];
        for (int64_t i = 0; i < m->n; i++) {
            const int8_t code = r.codes[c * m->n + i];

            to->codes[row * k + m->s[i]] = code;
            v[c * m->n + i] = r.scale[c] * (float)code;
        }
    }
    return OK;
}

/* The means of the results stay: W Ex + b = V Ex + c. */
static void keep_means(const struct making *m, int64_t group, const float *w,
                       const float *v, float *bias)
{
    const int64_t k = m->u->p.k;
    const double *mean = m->u->mean_x + group * k;

    for (int64_t c = 0; c < m->rows; c++) {
        double change = 0.0;

        for (int64_t i = 0; i < k; i++)
            change += (double)w[c * k + i] * mean[i];
        for (int64_t i = 0; i < m->n; i++)
            change -= (double)v[c * m->n + i] * mean[m->s[i]];
        bias[group * m->rows + c] += (float)change;
    }
}

static struct status *make_group(const struct making *m, int64_t group, const float *w,
                                 struct made *to)
{
    const int64_t k = m->u->p.k;
    float *v = arena_new_array(m->a, float, m->rows * m->n);

    for (int64_t c = 0; c < m->rows; c++)
        for (int64_t i = 0; i < m->n; i++)
            v[c * m->n + i] = w[c * k + m->s[i]];
    if (m->n < k && m->u->hessian)
        make_good(m, w, v);
    if (to->bits < 32)
        RETURN_IF_FAIL(round_group(m, group, v, to));
    else
        for (int64_t c = 0; c < m->rows; c++)
            for (int64_t i = 0; i < m->n; i++)
                to->weights[(group * m->rows + c) * k + m->s[i]] = v[c * m->n + i];
    if (m->u->hessian && m->u->p.node->op != OP_MatMul)
        keep_means(m, group, w, v, to->bias);
    return OK;
}

static struct status *make(struct variants_whole *w, int unit, struct making *m,
                           struct made *to)
{
    const struct product *p = &w->made[unit].p;
    float *weights = arena_new_array(m->a, float, p->channels * p->k);

    list_inputs(m);
    product_weights(p, weights);
    to->bias = arena_new_array(w->arena, float, p->channels);
    product_bias(p, to->bias);
    if (to->bits < 32) {
        to->codes = arena_new_array(w->arena, int8_t, p->channels * p->k);
        to->scale = arena_new_array(w->arena, float, p->channels);
    } else {
        to->weights = arena_new_array(w->arena, float, p->channels * p->k);
    }
    for (int64_t g = 0; g < p->groups; g++)
        RETURN_IF_FAIL(make_group(m, g, weights + g * m->rows * p->k, to));
    return OK;
}

static struct made *find(const struct made_unit *u, const bool *gone, int bits)
{
    const size_t k = (size_t)u->p.k * sizeof *gone;

    for (struct made *m = u->first; m; m = m->next)
        if (m->bits == bits && !gone == !m->gone
            && (!gone || memcmp(m->gone, gone, k) == 0))
            return m;
    return NULL;
}

struct status *variants_make(struct variants_whole *w, int unit, const bool *gone,
                             int bits, const struct made **out)
{
    struct made_unit *u = &w->made[unit];
    struct made *to = find(u, gone, bits);
    struct making m = {.u = u, .gone = gone};

    *out = to;
    if (to)
        return OK;
    *out = to = arena_new(w->arena, struct made);
    *to = (struct made){.next = u->first, .id = ++u->n_made, .bits = bits};
    if (gone)
        to->gone = arena_copy(w->arena, gone, (size_t)u->p.k * sizeof *gone);
    u->first = to;
    w->v.n_made++;
    m.a = arena_create();

    struct status *s = make(w, unit, &m, to);

    arena_destroy(m.a);
    return status_note(s, "while compressing %s", ir_node_label(u->p.node));
}
