/* SPDX-License-Identifier: Apache-2.0 */
/* A student of another shape is trained against its original, accuracy before and after
 * by the training engine itself (inference mode, float32).
 *
 *     bench-distill STUDENT.onnx ORIGINAL.onnx DATA SPEC SETTINGS [fold]
 *
 * SETTINGS as for --distill.  `fold`: batch normalization is folded before, as hadmcc
 * does it; otherwise it is trained and its statistics are made anew at the end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/training.h"
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

static int64_t best_of(int64_t n, const real *z)
{
    int64_t best = 0;

    for (int64_t i = 1; i < n; i++)
        best = z[i] > z[best] ? i : best;
    return best;
}

static double accuracy(const struct ir_graph *g, const struct dataset *d)
{
    const int64_t first = d->split[DATASET_TEST].first, n = d->split[DATASET_TEST].n;
    struct ir_value *z = train_logits(g);
    const struct tape_options o = {.batch = 64, .n_outputs = 1, .output = &z};
    struct tape *t;
    int64_t right = 0;

    die_if(tape_build(g, &o, &t));
    for (int64_t at = 0; at < n; at += o.batch) {
        const int64_t now = n - at < o.batch ? n - at : o.batch;

        for (int64_t i = 0; i < now; i++)
            die_if(dataset_read(d, first + at + i, 0, tape_input(t, i, 0)));
        tape_forward(t, now);
        for (int64_t i = 0; i < now; i++)
            right += best_of(ir_count(z), tape_output(t, i, 0))
                     == dataset_label(d, first + at + i);
    }
    tape_destroy(t);
    return 100.0 * (double)right / (double)n;
}

static void show(void *arg, const struct train_progress *p)
{
    (void)arg;
    if (p->step % 70 == 0 || p->step == p->steps) {
        printf("step %lld of %lld, loss %.4f, %.0f s left\n", (long long)p->step,
               (long long)p->steps, p->loss, p->seconds_left);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct compile *student = compile_create(), *original = compile_create();
    struct dataset_options want = {0};
    struct train_options o;
    struct train_result result;
    struct dataset *d;

    if (argc < 6) {
        fprintf(stderr, "usage: bench-distill STUDENT ORIGINAL DATA SPEC SETTINGS "
                        "[fold]\n");
        return 2;
    }

    const bool fold = argc > 6 && strcmp(argv[6], "fold") == 0;
    struct ir_graph *g = load(student, argv[1], fold);
    struct ir_graph *teacher = load(original, argv[2], true);

    die_if(training_parse(argv[5], &o));
    die_if(dataset_inputs_of(g, student->perm, &want));
    want.spec = argv[4];
    die_if(dataset_open(argv[3], &want, student->perm, &d));

    const struct splits_options all = {.seed = 1};
    const struct splits s = splits_make(d, &all, student->perm);

    o.data = d;
    o.n_samples = s.use[SPLITS_CALIBRATION].n;
    o.sample = s.use[SPLITS_CALIBRATION].at;
    o.progress = show;
    o.reestimate = 20;
    printf("original %.2f %%, student %.2f %%\n", accuracy(teacher, d), accuracy(g, d));
    fflush(stdout);
    die_if(train_graph(student, g, teacher, &o, &result));
    printf("after %lld steps on %lld samples: %.2f %%\n", (long long)result.steps,
           (long long)o.n_samples, accuracy(g, d));
    dataset_close(d);
    compile_destroy(original);
    compile_destroy(student);
    return 0;
}
