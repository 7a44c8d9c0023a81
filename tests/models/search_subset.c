/* SPDX-License-Identifier: Apache-2.0 */
/* The search over bits on a real model, against every plan there is: five of its units
 * are free (float32, 8 bits, weights of 4), all others have 8 bits.
 *
 *     search_subset MODEL.onnx DATA SPEC.json [SEED] [SAMPLES]
 *
 * Bytes and modelled latency may be a share of what the five need in float32.  Ends
 * with an error when the plan found with half of the evaluations loses more than 1
 * % above the least.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "codegen/target.h"
#include "frontend/onnx_import.h"
#include "frontend/pass.h"
#include "frontend/splits.h"
#include "search/method.h"
#include "search/model_problem.h"
#include "support/blas.h"
#include "support/random.h"

enum { N_FREE = 5, N_PLANS = 3 * 3 * 3 * 3 * 3, N_EVALUATIONS = N_PLANS / 2 };

static const double shares[] = {0.5, 0.2}; /* floats are left; hardly 8 bits are */
static const uint8_t bits_free[] = {0, 1, 3};

static void die_if(struct status *s)
{
    if (!s)
        return;
    status_print(s, stderr);
    exit(status_exit_code(s));
}

struct subset {
    struct arena *a;
    struct model_problem *m;
    int free[N_FREE]; /* units */
};

static struct variants *compress(struct compile *c, char **argv, uint64_t seed,
                                 int64_t n_scored)
{
    const struct onnx_options onnx = {0};
    const struct pass_options passes = {0};
    const struct splits_options how = {
        .seed = seed,
        .wants_validation = true,
        .most = {[SPLITS_CALIBRATION] = 128, [SPLITS_VALIDATION] = n_scored}};
    struct dataset_options want = {.spec = argv[3]};
    struct ir_graph *g;
    struct dataset *d;
    struct variants *v;

    die_if(blas_open());
    die_if(onnx_import(c, argv[1], &onnx, NULL, &g));
    die_if(passes_run(c, g, &passes));
    die_if(dataset_inputs_of(g, c->perm, &want));
    die_if(dataset_open(argv[2], &want, c->perm, &d));

    const struct splits s = splits_make(d, &how, c->perm);
    const struct variants_options o = {
        .data = d,
        .n_calibration = s.use[SPLITS_CALIBRATION].n,
        .calibration = s.use[SPLITS_CALIBRATION].at,
        .n_scored = s.use[SPLITS_VALIDATION].n,
        .scored = s.use[SPLITS_VALIDATION].at,
        .tile = 1,
    };

    die_if(variants_create(c, g, &o, &v));
    return v;
}

/* Units of the model that may be codes, drawn without repetition; the others get 8 bits
 * where they may. */
static void draw_subset(struct subset *s, uint64_t seed)
{
    struct search_problem *p = &s->m->problem;
    struct search_unit *u = arena_copy(s->a, p->units, (size_t)p->n_units * sizeof *u);
    struct random r = random_seeded(seed);

    for (int i = 0; i < p->n_units; i++) {
        u[i].ratios = 1;
        u[i].bits = u[i].bits & 1u << 1 ? 1u << 1 : u[i].bits;
    }
    for (int k = 0; k < N_FREE;) {
        const int i = (int)random_below(&r, (uint64_t)p->n_units);

        if (u[i].bits != 1u << 1)
            continue;
        u[i].bits = 1u << 0 | 1u << 1 | 1u << 3;
        s->free[k++] = i;
    }
    p->units = u;
}

static struct choices *plan_at(const struct subset *s, int at)
{
    const struct search_problem *p = &s->m->problem;
    struct choices *c = choices_create(s->a, p->n_units);

    for (int i = 0; i < p->n_units; i++)
        c->units[i].bits = p->units[i].bits == 1u << 1 ? 1 : 3;
    for (int k = 0; k < N_FREE; k++, at /= 3)
        c->units[s->free[k]].bits = bits_free[at % 3];
    return c;
}

/* Between all five in float32 and nothing for them. */
static void set_budgets(struct subset *s, double share)
{
    struct search_problem *p = &s->m->problem;
    double all[COST_COUNT], coded[COST_COUNT];

    search_costs(p, plan_at(s, N_PLANS - 1), all);
    search_costs(p, plan_at(s, N_PLANS / 2),
                 coded); /* 8 bits: a quarter of the bytes */
    for (int k = 0; k < COST_COUNT; k++)
        p->budgets[k] = INFINITY;
    p->budgets[COST_bytes] =
        all[COST_bytes] - (all[COST_bytes] - coded[COST_bytes]) * (1 - share) / 0.75;
    if (share > 0.25)
        p->budgets[COST_latency] = (all[COST_latency] + coded[COST_latency]) / 2;
}

static double least_of_all(const struct subset *s, const struct search_result *all,
                           int *n_fit)
{
    double least = INFINITY;

    *n_fit = 0;
    for (int at = 0; at < N_PLANS; at++)
        if (search_is_feasible(&s->m->problem, all[at].costs)) {
            least = fmin(least, all[at].loss);
            ++*n_fit;
        }
    return least;
}

static double search(const struct subset *s)
{
    struct evaluator *e = evaluator_create(s->a, &s->m->problem, N_EVALUATIONS);
    struct method_options o = method_defaults();

    for (int k = 0; k < COST_COUNT; k++)
        o.reward.w[k] = 0;
    method_run(METHOD_surrogate, e, &o, 1);
    return evaluator_best_after(e, e->n);
}

static bool check(struct subset *s, const struct search_result *all, double share)
{
    int n_fit;

    set_budgets(s, share);

    const double least = least_of_all(s, all, &n_fit), found = search(s);
    const bool good = found <= 1.01 * least;

    printf("%s share %.2f: %d of %d plans fit, least loss %.6f, found %.6f (%+.2f %%) "
           "with %d evaluations\n",
           good ? "ok " : "BAD", share, n_fit, N_PLANS, least, found,
           100 * (found / least - 1), N_EVALUATIONS);
    return good;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;

    const uint64_t seed = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
    struct compile *c = compile_create();
    struct variants *v = compress(c, argv, seed, argc > 5 ? atoll(argv[5]) : 64);
    struct device device;
    struct subset s = {.a = arena_create()};
    struct model_problem_options o = {.device = &device};
    static struct search_result all[N_PLANS];
    bool good = true;

    die_if(target_device(s.a, target_find("host"), NULL, &device));
    s.m = model_problem_create(s.a, v, &o);
    draw_subset(&s, seed);
    for (int at = 0; at < N_PLANS; at++)
        s.m->problem.evaluate(s.m, plan_at(&s, at), &all[at]);
    die_if(s.m->failed);
    printf("free:");
    for (int k = 0; k < N_FREE; k++)
        printf(" %s", s.m->problem.units[s.free[k]].name);
    printf("\n");
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
        good &= check(&s, all, shares[i]);
    variants_destroy(v);
    arena_destroy(s.a);
    compile_destroy(c);
    return !good;
}
