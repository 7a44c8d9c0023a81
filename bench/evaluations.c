/* SPDX-License-Identifier: Apache-2.0 */
/* What an evaluation of the search costs: the plans of a record (search/record.h), in
 * the order in which the search asked for them, each put together and scored again.
 *
 *     bench-evaluations MODEL.onnx DATA SPEC foo.search.jsonl [TILE [PLANS]]
 *
 * Units are compressed on the way, as in a search.  Processor time of one thread.  TILE
 * as for the target of the record (default: 16).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "compress/variants.h"
#include "frontend/onnx_import.h"
#include "frontend/pass.h"
#include "frontend/splits.h"
#include "search/record.h"
#include "support/blas.h"

enum { MOST_CALIBRATION = 512, MOST_SCORED = 256, MOST_HEADER = 1 << 14 };

static void die_if(struct status *s)
{
    if (!s)
        return;
    status_print(s, stderr);
    exit(status_exit_code(s));
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static struct variants *prepare(struct compile *c, char **argv, int tile)
{
    const struct onnx_options onnx = {0};
    const struct pass_options passes = {0};
    struct dataset_options want = {.spec = argv[3]};
    struct ir_graph *g;
    struct dataset *d;
    struct variants *v;

    die_if(onnx_import(c, argv[1], &onnx, NULL, &g));
    die_if(passes_run(c, g, &passes));
    die_if(dataset_inputs_of(g, c->perm, &want));
    want.spec = argv[3];
    die_if(dataset_open(argv[2], &want, c->perm, &d));

    const struct splits_options how = {
        .seed = 1,
        .wants_validation = true,
        .most = {[SPLITS_CALIBRATION] = MOST_CALIBRATION}};
    const struct splits s = splits_make(d, &how, c->perm);
    const int64_t n = s.use[SPLITS_VALIDATION].n;
    const struct variants_options o = {
        .data = d,
        .n_calibration = s.use[SPLITS_CALIBRATION].n,
        .calibration = s.use[SPLITS_CALIBRATION].at,
        .n_scored = n < MOST_SCORED ? n : MOST_SCORED,
        .scored = s.use[SPLITS_VALIDATION].at,
        .tile = tile,
    };

    die_if(variants_create(c, g, &o, &v));
    return v;
}

static struct record *open_record(const char *path, int n_units)
{
    char header[MOST_HEADER] = "";
    FILE *f = fopen(path, "r");
    struct record *r;

    if (!f || !fgets(header, sizeof header, f)) {
        fprintf(stderr, "cannot read '%s'\n", path);
        exit(1);
    }
    fclose(f);
    header[strcspn(header, "\n")] = '\0';
    die_if(record_open(path, header, true, n_units, &r));
    return r;
}

/* The first n plans; the mean of their losses. */
static double run_all(struct variants *v, const struct record *r, int n)
{
    struct variant *plan = calloc((size_t)v->n_units, sizeof *plan);
    double sum = 0;

    for (int i = 0; i < n; i++) {
        struct variants_result result;
        struct search_result recorded;
        const struct choices *c;

        record_at(r, i, &c, &recorded);
        for (int k = 0; k < v->n_units; k++)
            plan[k] = (struct variant){choice_ratio(c->units[k].ratio),
                                       choice_bits[c->units[k].bits]};
        die_if(variants_run(v, plan, &result));
        sum += result.loss;
    }
    free(plan);
    return sum / n;
}

int main(int argc, char **argv)
{
    struct compile *c = compile_create();

    if (argc < 5) {
        fprintf(stderr, "usage: bench-evaluations MODEL DATA SPEC RECORD [TILE "
                        "[PLANS]]\n");
        return 2;
    }
    die_if(blas_open());

    double start = seconds();
    struct variants *v = prepare(c, argv, argc > 5 ? atoi(argv[5]) : 16);

    printf("%d units, %lld samples, prepared in %.1f s\n", v->n_units,
           (long long)v->n_scored, seconds() - start);
    fflush(stdout);

    struct record *r = open_record(argv[4], v->n_units);
    const int known = record_n_known(r);
    const int n = argc > 6 && atoi(argv[6]) < known ? atoi(argv[6]) : known;

    start = seconds();

    const double loss = run_all(v, r, n), each = (seconds() - start) / n;

    printf("%d evaluations: %.1f ms each, %.1f ms of it for the %lld variants of units "
           "that were made; mean loss %.6f nats\n",
           n, 1e3 * each, 1e3 * v->seconds_made / n, (long long)v->n_made, loss);
    record_close(r, false);
    variants_destroy(v);
    compile_destroy(c);
    return 0;
}
