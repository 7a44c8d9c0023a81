/* SPDX-License-Identifier: Apache-2.0 */
/* What training gives back to a smaller student: accuracy and divergence from the
 * original before and after, in float32, by the training engine itself.
 *
 *     bench-distill MODEL.onnx DATA SPEC SETTINGS [prune=SHARE] [student=FILE.onnx]
 *                   [seed=N] [threads=N] [state=FILE] [own]
 *
 * SETTINGS as for --distill.  The student is the model without so many of its multiply-
 * adds (--prune), or another file's.  Scores are those of the validation samples, to
 * choose settings by, and of the test samples.  `own`: a student's batch normalization
 * is not folded before, but trained.  `state`: where the training's state is kept; the
 * same command goes on from it after an interruption, and removes it at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/training.h"
#include "compress/metrics.h"
#include "compress/prune.h"
#include "frontend/splits.h"
#include "train/tape.h"

static void die_if(struct status *s)
{
    if (!s)
        return;
    status_print(s, stderr);
    exit(status_exit_code(s));
}

static struct ir_graph *load(struct compile *c, const char *path, bool fold)
{
    const struct onnx_options onnx = {0};
    const struct pass_options passes = {.skip = {"fold-batchnorm"}, .n_skip = !fold};
    struct ir_graph *g;

    die_if(onnx_import(c, path, &onnx, NULL, &g));
    die_if(passes_run(c, g, &passes));
    return g;
}

static void prune(struct compile *c, struct ir_graph *g, double ratio,
                  const struct dataset *d, uint64_t seed)
{
    const struct splits_options how = {.seed = seed,
                                       .most = {[SPLITS_CALIBRATION] = 512}};
    const struct splits s = splits_make(d, &how, c->perm);
    const struct prune_options o = {
        .ratio = ratio,
        .data = d,
        .n_samples = s.use[SPLITS_CALIBRATION].n,
        .sample = s.use[SPLITS_CALIBRATION].at,
    };
    struct pruning *p;

    die_if(prune_decide(g, &o, c->perm, &p));
    die_if(prune_apply(c, g, p));
    printf("%.1f %% of the multiply-adds are left\n",
           100 * (double)p->macs_after / (double)p->macs_before);
}

/* ---- scores --------------------------------------------------------------------- */

struct scores {
    struct compile *c;
    const struct dataset *d;
    const float *original[DATASET_N_SPLITS]; /* its outputs */
};

static float *outputs_of(struct compile *c, const struct ir_graph *g,
                         const struct dataset *d, enum dataset_split split)
{
    const int64_t first = d->split[split].first, n = d->split[split].n;
    struct ir_value *z = train_logits(g);
    const int64_t row = ir_count(z);
    const struct tape_options o = {.batch = 64, .n_outputs = 1, .output = &z};
    float *to = arena_new_array(c->perm, float, n *row);
    struct tape *t;

    die_if(tape_build(g, &o, &t));
    for (int64_t at = 0; at < n; at += o.batch) {
        const int64_t now = n - at < o.batch ? n - at : o.batch;

        for (int64_t i = 0; i < now; i++)
            die_if(dataset_read(d, first + at + i, 0, tape_input(t, i, 0)));
        tape_forward(t, now);
        for (int64_t i = 0; i < now; i++)
            memcpy(to + (at + i) * row, tape_output(t, i, 0), (size_t)row * sizeof *to);
    }
    tape_destroy(t);
    return to;
}

static void score_split(const struct scores *s, const struct ir_graph *g,
                        enum dataset_split split)
{
    const int64_t row = ir_count(train_logits(g)), n = s->d->split[split].n;
    const float *z = outputs_of(s->c, g, s->d, split);
    double right = 0, kl = 0;

    for (int64_t i = 0; i < n; i++) {
        right += metrics_in_top(z + i * row, row,
                                dataset_label(s->d, s->d->split[split].first + i), 1);
        kl +=
            metrics_kl(s->original[split] + i * row, z + i * row, row, METRICS_LOGITS);
    }
    printf("  %.2f %% of %lld, divergence %.4f", 100 * right / (double)n, (long long)n,
           kl / (double)n);
}

static void score(const struct scores *s, const char *when, const struct ir_graph *g)
{
    printf("%-9s", when);
    for (int split = DATASET_VAL; split <= DATASET_TEST; split++)
        if (s->d->split[split].n)
            score_split(s, g, (enum dataset_split)split);
    printf("\n");
    fflush(stdout);
}

static void show(void *arg, const struct train_progress *p)
{
    const int64_t done = p->step - p->begun_at;

    (void)arg;
    if (done && (p->step % 100 == 0 || p->step == p->steps)) {
        printf("step %lld of %lld, loss %.4f, %.0f s left\n", (long long)p->step,
               (long long)p->steps, p->loss,
               p->seconds / (double)done * (double)(p->steps - p->step));
        fflush(stdout);
    }
}

/* ---- all ------------------------------------------------------------------------ */

static const char *option(int argc, char **argv, const char *name)
{
    const size_t n = strlen(name);

    for (int i = 5; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && (!argv[i][n] || argv[i][n] == '='))
            return argv[i][n] ? argv[i] + n + 1 : argv[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct compile *student = compile_create(), *original = compile_create();
    struct dataset_options want = {0};
    struct train_options o;
    struct train_result result;
    struct dataset *d;

    if (argc < 5) {
        fprintf(stderr, "usage: bench-distill MODEL DATA SPEC SETTINGS [prune=SHARE] "
                        "[student=FILE] [seed=N] [threads=N] [state=FILE] "
                        "[own]\n");
        return 2;
    }

    const char *share = option(argc, argv, "prune"), *seed = option(argc, argv, "seed");
    const char *file = option(argc, argv, "student");
    const char *threads = option(argc, argv, "threads");
    struct ir_graph *teacher = load(original, argv[1], true);
    struct ir_graph *g =
        load(student, file ? file : argv[1], !option(argc, argv, "own"));

    o = train_defaults();
    die_if(training_parse(argv[4], &o.set));
    die_if(dataset_inputs_of(g, student->perm, &want));
    want.spec = argv[3];
    die_if(dataset_open(argv[2], &want, student->perm, &d));
    o.seed = seed ? strtoull(seed, NULL, 10) : 1;
    if (share)
        prune(student, g, strtod(share, NULL), d, o.seed);

    const struct splits_options all = {.seed = o.seed};
    const struct splits s = splits_make(d, &all, student->perm);
    struct scores scores = {.c = original, .d = d};

    for (int split = DATASET_VAL; split <= DATASET_TEST; split++)
        scores.original[split] =
            outputs_of(original, teacher, d, (enum dataset_split)split);
    o.data = d;
    o.n_samples = s.use[SPLITS_CALIBRATION].n;
    o.sample = s.use[SPLITS_CALIBRATION].at;
    o.n_threads = threads ? atoi(threads) : 0;
    o.checkpoint = option(argc, argv, "state");
    o.progress = show;
    score(&scores, "original", teacher);
    score(&scores, "student", g);
    die_if(train_graph(student, g, teacher, &o, &result));
    printf("%lld steps on %lld samples\n", (long long)result.steps,
           (long long)o.n_samples);
    score(&scores, "trained", g);
    if (o.checkpoint)
        remove(o.checkpoint);
    dataset_close(d);
    compile_destroy(original);
    compile_destroy(student);
    return 0;
}
