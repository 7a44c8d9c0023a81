/* SPDX-License-Identifier: Apache-2.0 */
/* One unit's weights for the inputs that are left, and their codes: see variants.h.
 *
 *     V_s = W_s + W_r H_rs (H_ss + l)^-1        s stays, r is removed
 *
 * minimises E |W x - V_s x_s - c|^2; rows of W are independent of each other.  All
 * widths share V and the factors of H_ss + l (quadratic.h), which take most of the
 * time.
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "compress/round_weights.h"
#include "compress/variants_parts.h"
#include "kernels/half.h"
#include "support/blas.h"

/* Of the fits that are kept, in bytes. */
static const size_t MOST_BYTES = (size_t)384 << 20;

/* What all widths of a unit with the same inputs share. */
struct made_fit {
    struct made_fit *next; /* used before this one */
    struct arena *a;
    const struct made_unit *u;
    const bool *gone;       /* [k] or NULL */
    int64_t n;              /* inputs that stay */
    const int64_t *s;       /* [n] their numbers */
    float *v;               /* [channels][n] */
    struct quadratic *form; /* [groups]; NULL without moments */
};

static int64_t rows_of(const struct product *p)
{
    return p->channels / p->groups; /* of a group */
}

static void list_inputs(struct made_fit *f)
{
    const int64_t k = f->u->p.k;
    int64_t *s = arena_new_array(f->a, int64_t, k);

    for (int64_t i = 0; i < k; i++)
        if (!f->gone || !f->gone[i])
            s[f->n++] = i;
    f->s = s;
}

/* ---- fits ------------------------------------------------------------------------ */

/* H_ss of a group. */
static struct status *make_form(const struct made_fit *f, int64_t group)
{
    const int64_t k = f->u->p.k, n = f->n;
    const double *h = f->u->hessian + group * k * k;
    struct arena *a = arena_create();
    double *kept = arena_new_array(a, double, n *n);

    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            kept[i * n + j] = h[f->s[i] * k + f->s[j]];

    struct status *s = quadratic_make(f->a, kept, n, &f->form[group]);

    arena_destroy(a);
    return s;
}

/* What the removed inputs gave, as far as the others know it, is added to v[rows][n].
 * (H_ss + l)^-1 is U^T U. */
static void make_good(const struct made_fit *f, const float *w)
{
    const int64_t k = f->u->p.k, n = f->n, n_gone = k - n, rows = rows_of(&f->u->p);
    const double *u = f->form[0].u;
    struct arena *a = arena_create();
    double *gone = arena_new_array(a, double, rows *n_gone);
    double *across = arena_new_array(a, double, n_gone *n);
    double *seen = arena_new_array(a, double, rows *n);
    double *turned = arena_new_array(a, double, rows *n);

    for (int64_t i = 0, r = 0; i < k; i++) {
        if (!f->gone[i])
            continue;
        for (int64_t c = 0; c < rows; c++)
            gone[c * n_gone + r] = w[c * k + i];
        for (int64_t j = 0; j < n; j++)
            across[r * n + j] = f->u->hessian[i * k + f->s[j]];
        r++;
    }
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, rows, n, n_gone, 1.0, gone, n_gone, across, n,
               0.0, seen, n);
    blas_dgemm(BLAS_PLAIN, BLAS_TRANSPOSED, rows, n, n, 1.0, seen, n, u, n, 0.0, turned,
               n);
    blas_dgemm(BLAS_PLAIN, BLAS_PLAIN, rows, n, n, 1.0, turned, n, u, n, 0.0, seen, n);
    for (int64_t i = 0; i < rows * n; i++)
        f->v[i] += (float)seen[i];
    arena_destroy(a);
}

static struct status *fit(struct made_fit *f, const float *weights)
{
    const struct product *p = &f->u->p;

    list_inputs(f);
    f->v = arena_new_array(f->a, float, p->channels * f->n);
    for (int64_t c = 0; c < p->channels; c++)
        for (int64_t i = 0; i < f->n; i++)
            f->v[c * f->n + i] = weights[c * p->k + f->s[i]];
    if (!f->u->hessian)
        return OK;
    f->form = arena_new_array(f->a, struct quadratic, p->groups);
    for (int64_t g = 0; g < p->groups; g++)
        RETURN_IF_FAIL(make_form(f, g));
    if (f->n < p->k) /* such units have one group */
        make_good(f, weights);
    return OK;
}

static bool same_inputs(const struct made_unit *u, const bool *a, const bool *b)
{
    return !a == !b && (!a || memcmp(a, b, (size_t)u->p.k * sizeof *a) == 0);
}

/* Those that were used last stay. */
static void drop_fits(struct variants_whole *w)
{
    size_t bytes = 0;

    for (struct made_fit **at = &w->fits; *at;) {
        struct made_fit *f = *at;

        bytes += arena_bytes(f->a);
        if (bytes < MOST_BYTES || f == w->fits) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        arena_destroy(f->a);
    }
}

static struct status *fit_of(struct variants_whole *w, const struct made_unit *u,
                             const bool *gone, const float *weights,
                             const struct made_fit **out)
{
    struct made_fit **at = &w->fits, *f;
    struct status *s = OK;

    while (*at && ((*at)->u != u || !same_inputs(u, (*at)->gone, gone)))
        at = &(*at)->next;
    f = *at;
    if (f) {
        *at = f->next;
    } else {
        struct arena *a = arena_create();

        f = arena_new(a, struct made_fit);
        *f = (struct made_fit){.a = a, .u = u};
        if (gone)
            f->gone = arena_copy(a, gone, (size_t)u->p.k * sizeof *gone);
        s = fit(f, weights);
    }
    f->next = w->fits;
    w->fits = f;
    drop_fits(w);
    *out = f;
    return s;
}

void variants_drop_fits(struct variants_whole *w)
{
    for (struct made_fit *f = w->fits, *next; f; f = next) {
        next = f->next;
        arena_destroy(f->a);
    }
}

/* ---- widths ---------------------------------------------------------------------- */

struct making {
    const struct made_unit *u;
    const struct made_fit *f;
    struct arena *a;
    int64_t rows; /* of a group */
};

/* What a fit has made too large for binary16 stays. */
static void round_to_halves(int64_t n, float *v)
{
    for (int64_t i = 0; i < n; i++)
        if (fabsf(v[i]) < 65520.0f)
            v[i] = f32_of_f16(f16_of_f32(v[i]));
}

/* v[rows][n] of a group becomes what its codes say. */
static struct status *round_group(const struct making *m, int64_t group, float *v,
                                  struct made *to)
{
    const int64_t k = m->u->p.k, n = m->f->n;
    const struct rounding_task t = {
        .rows = m->rows,
        .k = n,
        .weights = v,
        .form = m->f->form ? &m->f->form[group] : NULL,
        .bits = to->bits,
    };
    struct rounding r;

    RETURN_IF_FAIL(round_weights(m->a, &t, &r));
    for (int64_t c = 0; c < m->rows; c++) {
        const int64_t row = group * m->rows + c;

        to->scale[row] = r.scale[c];
        for (int64_t i = 0; i < n; i++) {
            const int8_t code = r.codes[c * n + i];

            to->codes[row * k + m->f->s[i]] = code;
            v[c * n + i] = r.scale[c] * (float)code;
        }
    }
    return OK;
}

/* The means of the results stay: W Ex + b = V Ex + c. */
static void keep_means(const struct making *m, int64_t group, const float *w,
                       const float *v, float *bias)
{
    const int64_t k = m->u->p.k, n = m->f->n;
    const double *mean = m->u->mean_x + group * k;

    for (int64_t c = 0; c < m->rows; c++) {
        double change = 0.0;

        for (int64_t i = 0; i < k; i++)
            change += (double)w[c * k + i] * mean[i];
        for (int64_t i = 0; i < n; i++)
            change -= (double)v[c * n + i] * mean[m->f->s[i]];
        bias[group * m->rows + c] += (float)change;
    }
}

static struct status *make_group(const struct making *m, int64_t group, const float *w,
                                 struct made *to)
{
    const int64_t k = m->u->p.k, n = m->f->n, first = group * m->rows;
    float *v =
        arena_copy(m->a, m->f->v + first * n, (size_t)(m->rows * n) * sizeof(float));

    if (to->bits == 16)
        round_to_halves(m->rows * n, v);
    if (to->bits < 16)
        RETURN_IF_FAIL(round_group(m, group, v, to));
    else
        for (int64_t c = 0; c < m->rows; c++)
            for (int64_t i = 0; i < n; i++)
                to->weights[(first + c) * k + m->f->s[i]] = v[c * n + i];
    if (m->u->hessian && m->u->p.node->op != OP_MatMul)
        keep_means(m, group, w, v, to->bias);
    return OK;
}

/* Floats that read everything stay what they are. */
static struct status *make(struct variants_whole *w, struct making *m, struct made *to)
{
    const struct product *p = &m->u->p;
    float *weights = arena_new_array(m->a, float, p->channels * p->k);

    product_weights(p, weights);
    to->bias = arena_new_array(w->arena, float, p->channels);
    product_bias(p, to->bias);
    if (to->bits >= 16 && !to->gone) {
        to->weights = arena_copy(w->arena, weights,
                                 (size_t)(p->channels * p->k) * sizeof *weights);
        if (to->bits == 16)
            round_to_halves(p->channels * p->k, to->weights);
        return OK;
    }
    RETURN_IF_FAIL(fit_of(w, m->u, to->gone, weights, &m->f));
    if (to->bits < 16) {
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
    for (struct made *m = u->first; m; m = m->next)
        if (m->bits == bits && same_inputs(u, m->gone, gone))
            return m;
    return NULL;
}

struct status *variants_make(struct variants_whole *w, int unit, const bool *gone,
                             int bits, const struct made **out)
{
    struct made_unit *u = &w->made[unit];
    struct made *to = find(u, gone, bits);
    struct making m = {.u = u, .rows = rows_of(&u->p)};

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

    const clock_t start = clock();
    struct status *s = make(w, &m, to);

    w->v.seconds_made += (double)(clock() - start) / CLOCKS_PER_SEC;
    arena_destroy(m.a);
    return status_note(s, "while compressing %s", ir_node_label(u->p.node));
}
