/* SPDX-License-Identifier: Apache-2.0 */
/* One step of training, forwards and backwards, on random samples: for each line on
 * standard input one step and one line of output, milliseconds of processor time.
 * compare_pytorch.py asks in turn.
 *
 *     bench-training MODEL.onnx BATCH [THREADS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "frontend/onnx_import.h"
#include "frontend/pass.h"
#include "support/random.h"
#include "train/tape.h"

static void die_if(struct status *s)
{
    if (!s)
        return;
    status_print(s, stderr);
    exit(status_exit_code(s));
}

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* Batch normalization stays: it is trained. */
static struct tape *open_tape(struct compile *c, const char *model, int64_t batch,
                              int n_threads)
{
    const struct onnx_options onnx = {0};
    const struct pass_options passes = {.skip = {"fold-batchnorm"}, .n_skip = 1};
    const struct tape_options o = {
        .batch = batch, .n_threads = n_threads, .backward = true, .train_norms = true};
    struct ir_graph *g;
    struct tape *t;

    die_if(onnx_import(c, model, &onnx, NULL, &g));
    die_if(passes_run(c, g, &passes));
    die_if(tape_build(g, &o, &t));
    return t;
}

static void fill(struct tape *t, struct random *r)
{
    for (int64_t i = 0; i < t->options.batch; i++)
        for (int64_t k = 0; k < ir_count(t->graph->in[0]); k++)
            ((real *)tape_input(t, i, 0))[k] = (real)(2 * random_unit(r) - 1);
}

static void step(struct tape *t)
{
    const int64_t n = t->options.batch, count = t->output[0]->count;

    tape_forward(t, n);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < count; k++)
            tape_output_gradient(t, i, 0)[k] = (real)(1.0 / (double)(n * count));
    tape_backward(t, n);
}

int main(int argc, char **argv)
{
    struct compile *c = compile_create();
    struct random r = random_seeded(1);
    char line[64];

    if (argc < 3) {
        fprintf(stderr, "usage: bench-training MODEL.onnx BATCH [THREADS]\n");
        return 2;
    }

    struct tape *t =
        open_tape(c, argv[1], atoll(argv[2]), argc > 3 ? atoi(argv[3]) : 1);

    while (fgets(line, sizeof line, stdin)) {
        fill(t, &r);

        const double begin = now_ms();

        step(t);
        printf("%.3f\n", now_ms() - begin);
        fflush(stdout);
    }
    tape_destroy(t);
    compile_destroy(c);
    return 0;
}
