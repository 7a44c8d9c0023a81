/* SPDX-License-Identifier: Apache-2.0 */
/* A student of another shape is trained against its original, accuracy before and after
 * by the training engine itself (inference mode, float32).
 *
 *     bench-distill STUDENT.onnx ORIGINAL.onnx DATA SPEC SETTINGS [fold | int8 | int4]
 *
 * SETTINGS as for --distill.  `fold`: batch normalization is folded before, as hadmcc
 * does it; otherwise it is trained and its statistics are made anew at the end.  int8,
 * int4: the student is quantized before, weights of so many bits, activations of 8;
 * int4 are the 8-bit weights rounded once more, to the scale with the least square
 * error.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/training.h"
#include "compress/quantize.h"
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

/* Four-bit codes of n numbers, and their scale. */
static float round_channel(int64_t n, const float *w, int8_t *codes)
{
    double most = 0, best = INFINITY;
    float scale = 1;

    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)w[i]));
    for (int share = 30; share <= 100 && most > 0; share++) {
        const double s = most * share / 700;
        double error = 0;

        for (int64_t i = 0; i < n; i++) {
            const double q = fmin(7, fmax(-7, nearbyint((double)w[i] / s)));

            error += (q * s - (double)w[i]) * (q * s - (double)w[i]);
        }
        if (error < best) {
            best = error;
            scale = (float)s;
        }
    }
    for (int64_t i = 0; i < n; i++)
        codes[i] = (int8_t)fmin(7, fmax(-7, nearbyint((double)(w[i] / scale))));
    return scale;
}

/* Weights whose channels are the first dim; the others stay in 8 bits. */
static void halve_weights(struct compile *c, struct ir_node *n)
{
    const struct ir_value *w = n->in[0];
    const int64_t channels = ir_count(n->in[1]), each = ir_count(w) / channels;
    int8_t *codes = arena_new_array(c->perm, int8_t, ir_count(w));
    int8_t *zeros = arena_new_array(c->perm, int8_t, channels);
    float *scales = arena_new_array(c->perm, float, channels);
    float *row = arena_new_array(c->perm, float, each);

    for (int64_t k = 0; k < channels; k++) {
        for (int64_t i = 0; i < each; i++)
            row[i] = ((const float *)n->in[1]->data)[k]
                     * ((const int8_t *)w->data)[k * each + i];
        scales[k] = round_channel(each, row, codes + k * each);
    }
    ir_set_input(n, 0, ir_const_ref(c, NULL, DT_i4, w->rank, w->dim, codes));
    ir_set_input(n, 1, ir_const_ref(c, NULL, DT_f32, 1, &channels, scales));
    ir_set_input(n, 2, ir_const_ref(c, NULL, DT_i4, 1, &channels, zeros));
}

static void quantize(struct compile *c, struct ir_graph *g,
                     const struct train_options *o, bool four_bits)
{
    const struct quantize_options q = {.data = o->data,
                                       .n_samples =
                                           o->n_samples < 128 ? o->n_samples : 128,
                                       .sample = o->sample};
    struct quantize_result result;

    die_if(quantize_graph(c, g, &q, &result));
    for (struct ir_node *n = g->first; n && four_bits; n = n->next)
        if (n->op == OP_DequantizeLinear && n->in[0]->data
            && ir_attr_int(n, "axis", 0) == 0)
            halve_weights(c, n);
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
                        "[fold | int8 | int4]\n");
        return 2;
    }

    const bool fold = argc > 6;
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
    printf("%s %s: student before compression %.2f %%\n", argv[5], fold ? argv[6] : "",
           accuracy(g, d));
    if (fold && strncmp(argv[6], "int", 3) == 0)
        quantize(student, g, &o, strcmp(argv[6], "int4") == 0);
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
