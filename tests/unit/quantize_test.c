/* SPDX-License-Identifier: Apache-2.0 */
// links: compress
/* A float graph quantized, written in integers, and compared with itself. */
#include "tests/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compress/quantize.h"
#include "frontend/interpret.h"
#include "frontend/pass.h"

enum { N_SAMPLES = 8, N_PIXELS = 32 }; /* samples of 2 x 4 x 4 */

static const char graph_text[] =
    "graph g(%x: f32[1,2,4,4]) {\n"
    "  %w = const f32[2,2,3,3] {0.5,-0.25,0,1,0.125,-1,0.75,0.5,-0.5,0.25,1,-0.75,0.5,"
    "0,0.25,-0.125,1,0.5,-1,0.5,0.25,0.75,-0.5,0,1,0.125,-0.25,0.5,-1,0.75,0,0.25,1,"
    "-0.5,0.5,0.125}\n"
    "  %v = const f32[3,2] {1,-1,0.5,0.25,-0.75,1}\n"
    "  %b = const f32[2] {0.5,-0.5}\n"
    "  %c = Conv(%x, %w, %b) {kernel_shape=[3,3], pads=[1,1,1,1]} : f32[1,2,4,4]\n"
    "  %r = Relu(%c) : f32[1,2,4,4]\n"
    "  %s = Add(%r, %x) : f32[1,2,4,4]\n"
    "  %m = MaxPool(%s) {kernel_shape=[2,2], strides=[2,2], pads=[0,0,0,0], "
    "dilations=[1,1]} : f32[1,2,2,2]\n"
    "  %a = ReduceMean(%m) {axes=[2,3], keepdims=0} : f32[1,2]\n"
    "  %y = Gemm(%a, %v) {transB=1} : f32[1,3]\n"
    "  return %y\n"
    "}\n";

/* Between -1 and 1, without a pattern. */
static void fill(float *x)
{
    uint32_t state = 1;

    for (int i = 0; i < N_SAMPLES * N_PIXELS; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

static void write_npy(const char *path, const float *x)
{
    char header[128];
    FILE *f = fopen(path, "wb");
    const int n = snprintf(header, sizeof header,
                           "{'descr': '<f4', 'fortran_order': False, "
                           "'shape': (%d, 2, 4, 4), }",
                           N_SAMPLES);

    CHECK(f);
    fwrite("\x93NUMPY\x01\x00\x76\x00", 1, 10, f);
    fprintf(f, "%s%*s\n", header, 117 - n, "");
    fwrite(x, sizeof *x, N_SAMPLES * N_PIXELS, f);
    fclose(f);
}

static const float *scores(struct arena *a, const struct ir_graph *g, float *x)
{
    struct tensor in = {.dtype = DT_f32, .rank = 4, .dim = {1, 2, 4, 4}, .data = x};
    struct interpretation run;

    CHECK_OK(interpret(a, g, &in, &run));
    return run.by_id[g->out[0]->id].data;
}

static int count(const struct ir_graph *g, enum ir_op op)
{
    int n = 0;

    for (const struct ir_node *node = g->first; node; node = node->next)
        n += node->op == op;
    return n;
}

TEST(a_quantized_graph_has_its_products_in_integers_and_close_results)
{
    static const int64_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    float x[N_SAMPLES * N_PIXELS];
    char path[] = "/tmp/hadmc-quantize-XXXXXX.npy";
    struct compile *c = compile_create(), *other = compile_create();
    struct arena *a = arena_create();
    struct dataset_options want = {0};
    struct quantize_options o = {.n_samples = N_SAMPLES, .sample = all};
    const struct pass_options passes = {0};
    struct quantize_result result;
    struct ir_graph *g, *original;
    struct dataset *d;

    fill(x);
    CHECK(close(mkstemps(path, 4)) == 0);
    write_npy(path, x);
    CHECK_OK(ir_parse(c, graph_text, strlen(graph_text), &g));
    CHECK_OK(ir_parse(other, graph_text, strlen(graph_text), &original));
    CHECK_OK(dataset_inputs_of(g, a, &want));
    CHECK_OK(dataset_open(path, &want, a, &d));
    o.data = d;
    CHECK_OK(quantize_graph(c, g, &o, &result));
    CHECK_OK(passes_run(c, g, &passes));

    CHECK_EQ(result.n_products, 2);
    CHECK_EQ(result.n_quantized, 2);
    CHECK_EQ(result.macs, 16 * 2 * 18 + 6);
    CHECK_EQ(count(g, OP_QLinearConv), 1);
    CHECK_EQ(count(g, OP_MatMulInteger), 1);
    CHECK_EQ(count(g, OP_Conv) + count(g, OP_Gemm), 0);
    CHECK(!c->left_in_floats.len);
    for (int i = 0; i < N_SAMPLES; i++) {
        const float *got = scores(a, g, x + i * N_PIXELS);
        const float *exact = scores(a, original, x + i * N_PIXELS);

        for (int k = 0; k < 3; k++)
            CHECK(fabsf(got[k] - exact[k]) < 0.05f);
    }
    dataset_close(d);
    unlink(path);
    arena_destroy(a);
    compile_destroy(other);
    compile_destroy(c);
}
