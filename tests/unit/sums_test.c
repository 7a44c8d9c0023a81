/* SPDX-License-Identifier: Apache-2.0 */
/* links: frontend kernels runtime
 *
 * Operators that sum products: Einsum, transforms, recurrent layers, against plain
 * loops in double precision or against themselves. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "frontend/interpret.h"
#include "tests/test.h"

struct run {
    struct compile *c;
    struct arena *a;
    struct ir_graph *g;
    struct interpretation io;
    struct tensor in[8];
};

static uint32_t seed = 1;

static float next_float(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
}

static void start(struct run *r, const char *text)
{
    *r = (struct run){.c = compile_create(), .a = arena_create()};
    CHECK_OK(ir_parse(r->c, text, strlen(text), &r->g));
    for (int i = 0; i < r->g->n_in; i++) {
        const struct ir_value *v = r->g->in[i];
        float *data = arena_new_array(r->a, float, ir_count(v));
        for (int64_t k = 0; k < ir_count(v); k++)
            data[k] = next_float();
        r->in[i] = (struct tensor){.dtype = v->dtype, .rank = v->rank, .data = data};
        memcpy(r->in[i].dim, v->dim, sizeof r->in[i].dim);
    }
    CHECK_OK(interpret(r->a, r->g, r->in, &r->io));
}

static const float *out(const struct run *r, int i)
{
    return r->io.by_id[r->g->out[i]->id].data;
}

static void end(struct run *r)
{
    arena_destroy(r->a);
    compile_destroy(r->c);
}

static void check_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.9g instead of %.9g", got, want);
}

/* ---- Einsum ----------------------------------------------------------------- */

TEST(einsum_takes_diagonals_and_stretches)
{
    struct run r;

    start(&r, "graph g(%a: f32[3,3], %b: f32[1,3]) {\n"
              "  %y = Einsum(%a, %b) {equation=\"ii,ji->j\"} : f32[1]\n"
              "  return %y\n"
              "}\n");
    const float *a = r.in[0].data, *b = r.in[1].data;
    check_near((double)out(&r, 0)[0],
               (double)a[0] * (double)b[0] + (double)a[4] * (double)b[1]
                   + (double)a[8] * (double)b[2],
               1e-6);
    end(&r);
}

TEST(einsum_refuses_labels_of_two_sizes)
{
    struct compile *c = compile_create();
    struct ir_graph *g;
    const char *text = "graph g(%a: f32[3], %b: f32[4]) {\n"
                       "  %y = Einsum(%a, %b) {equation=\"i,i->\"}\n"
                       "  return %y\n"
                       "}\n";

    CHECK_FAILS(ir_parse(c, text, strlen(text), &g), INVALID, "label i is 3 and 4");
    compile_destroy(c);
}

/* ---- transforms ------------------------------------------------------------- */

/* Powers of 2, odd lengths, and both. */
TEST(dft_agrees_with_its_definition)
{
    static const int lengths[] = {1, 2, 8, 9, 12, 40};

    for (int k = 0; k < 6; k++) {
        const int n = lengths[k];
        char text[256];
        struct run r;

        snprintf(text, sizeof text,
                 "graph g(%%x: f32[1,%d,2]) {\n"
                 "  %%y = DFT(%%x) {axis=1, length=%d}\n"
                 "  return %%y\n"
                 "}\n",
                 n, n);
        start(&r, text);
        const float *x = r.in[0].data;
        for (int f = 0; f < n; f++) {
            double re = 0, im = 0;
            for (int t = 0; t < n; t++) {
                const double angle = -2 * 3.14159265358979323846 * f * t / n;
                re += (double)x[2 * t] * cos(angle) - (double)x[2 * t + 1] * sin(angle);
                im += (double)x[2 * t] * sin(angle) + (double)x[2 * t + 1] * cos(angle);
            }
            check_near((double)out(&r, 0)[2 * f], re, 1e-5);
            check_near((double)out(&r, 0)[2 * f + 1], im, 1e-5);
        }
        end(&r);
    }
}

TEST(half_a_spectrum_gives_the_signal_back)
{
    struct run r;

    start(&r,
          "graph g(%x: f32[2,20,1]) {\n"
          "  %f = DFT(%x) {axis=1, length=20, onesided=1} : f32[2,11,2]\n"
          "  %y = DFT(%f) {axis=1, length=20, onesided=1, inverse=1} : f32[2,20,1]\n"
          "  return %y\n"
          "}\n");
    for (int i = 0; i < 40; i++)
        check_near((double)out(&r, 0)[i], (double)((const float *)r.in[0].data)[i],
                   1e-6);
    end(&r);
}

/* ---- recurrent layers ------------------------------------------------------- */

/* Both directions at once are a forward and a reverse layer side by side. */
TEST(both_directions_are_two_layers)
{
    struct run r;

    start(&r,
          "graph g(%gf: f32[4,2,12], %gb: f32[4,2,12], %rf: f32[1,3,12], %rb: "
          "f32[1,3,12]) {\n"
          "  %g = Concat(%gf, %gb) {axis=2}\n"
          "  %r = Concat(%rf, %rb) {axis=0}\n"
          "  %y, %h = LSTM(%g, %r) {direction=\"bidirectional\", "
          "activations=strings[\"Sigmoid\","
          "\"Tanh\",\"Tanh\",\"Sigmoid\",\"Tanh\",\"Tanh\"]}\n"
          "  %f = LSTM(%gf, %rf) {activations=strings[\"Sigmoid\",\"Tanh\",\"Tanh\"]}\n"
          "  %b = LSTM(%gb, %rb) {direction=\"reverse\","
          " activations=strings[\"Sigmoid\",\"Tanh\",\"Tanh\"]}\n"
          "  %z = Concat(%f, %b) {axis=1} : f32[4,2,2,3]\n"
          "  return %y, %z, %h\n"
          "}\n");
    CHECK_BYTES(out(&r, 0), out(&r, 1), 48 * sizeof(float));
    /* The last state of the reverse direction is its first output. */
    CHECK_BYTES(out(&r, 2) + 6, out(&r, 0) + 6, 6 * sizeof(float));
    end(&r);
}

TEST(short_sequences_leave_zeros_behind)
{
    struct run r;

    start(&r, "graph g(%g: f32[3,2,2], %r: f32[1,2,2]) {\n"
              "  %n = const i32[2] {1, 3}\n"
              "  %y, %h = RNN(%g, %r, %n) {activations=strings[\"Tanh\"]}\n"
              "  return %y, %h\n"
              "}\n");
    const float *y = out(&r, 0), *h = out(&r, 1), *g = r.in[0].data;
    check_near((double)y[0], tanh((double)g[0]), 1e-6);
    CHECK(y[4] == 0 && y[5] == 0 && y[8] == 0 && y[9] == 0);
    CHECK_BYTES(h, y, 2 * sizeof(float));          /* item 0 stopped after one step */
    CHECK_BYTES(h + 2, y + 10, 2 * sizeof(float)); /* item 1 took all three */
    end(&r);
}

struct cell {
    const char *op, *attrs;
    int gates;
    bool has_bias; /* inside of a GRU's reset */
};

/* Codes and zero points are bytes of random floats, steps up to 0.01. */
static void check_coded(const struct cell *cell, int hidden)
{
    char *text;
    const int n = cell->gates * hidden;
    struct run r;

    CHECK(asprintf(&text,
                   "graph g(%%g: f32[4,2,%d], %%r: u8[1,%d,%d], %%z: u8[1,%d], "
                   "%%p: f32[1,%d], %%b: f32[1,%d]) {\n"
                   "  %%k = const f32[] {0.01}\n"
                   "  %%s = Mul(%%p, %%k)\n"
                   "  %%y = %s(%%g, %%r, _, _, _, _, %s, %%s, %%z) {%s}\n"
                   "  %%rf = Cast(%%r) {to=1}\n"
                   "  %%zf = Cast(%%z) {to=1}\n"
                   "  %%zr = Reshape(%%zf) {shape=[1,1,%d]}\n"
                   "  %%sr = Reshape(%%s) {shape=[1,1,%d]}\n"
                   "  %%d = Sub(%%rf, %%zr)\n"
                   "  %%w = Mul(%%d, %%sr)\n"
                   "  %%f = %s(%%g, %%w%s) {%s}\n"
                   "  return %%y, %%f\n"
                   "}\n",
                   n, hidden, n, n, n, hidden, cell->op, cell->has_bias ? "%b" : "_",
                   cell->attrs, n, n, cell->op,
                   cell->has_bias ? ", _, _, _, _, %b" : "", cell->attrs)
          > 0);
    start(&r, text);
    free(text);
    for (int i = 0; i < 4 * 2 * hidden; i++)
        check_near((double)out(&r, 0)[i], (double)out(&r, 1)[i], 1e-3);
    end(&r);
}

/* Whole blocks of 16 columns and of 8 rows, what is left over from them, and both. */
TEST(cells_of_codes_are_near_those_of_what_they_mean)
{
    static const struct cell cells[] = {
        {"LSTM", "activations=strings[\"Sigmoid\",\"Tanh\",\"Tanh\"]", 4, false},
        {"GRU", "activations=strings[\"Sigmoid\",\"Tanh\"]", 3, false},
        {"GRU", "activations=strings[\"Sigmoid\",\"Tanh\"], linear_before_reset=1", 3,
         true},
        {"RNN", "activations=strings[\"Tanh\"]", 1, false},
    };

    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        check_coded(&cells[i], 1);
        check_coded(&cells[i], 3);
        check_coded(&cells[i], 16);
        check_coded(&cells[i], 21);
        check_coded(&cells[i], 90);
    }
}
