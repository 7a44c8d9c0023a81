/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen frontend kernels runtime */
/* A model compiled by hand: the specification of the ABI between generated code and
 * the runtime, as a program.  It computes
 *
 *     loop twice:  h[i] = h[i] + w[i]     (h = x before the first round)
 *     if (flag) y = h else y = -h
 *
 * with two kernels over units, a counter in the workspace, a branch of each kind and
 * jumps; the weights come from the weights writer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "codegen/codegen.h"
#include "tests/test.h"

enum { N = 100 };

/* Workspace: h at 0, the loop's counter at 448, its condition at 452. */
enum { H_AT = 0, COUNTER_AT = 448, GO_ON_AT = 452, WORKSPACE = 512 };

/* io: inputs x, flag; output y. */
enum { IO_X, IO_FLAG, IO_Y, N_IO };

static void start(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,
                  int64_t end, int64_t worker)
{
    (void)w, (void)worker;
    memcpy(ws + H_AT + 4 * begin, (const float *)io[IO_X] + begin,
           4 * (size_t)(end - begin));
    if (begin == 0)
        memset(ws + COUNTER_AT, 0, 8);
}

static void add_weights(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,
                        int64_t end, int64_t worker)
{
    float *h = (float *)(ws + H_AT);

    (void)io, (void)worker;
    for (int64_t i = begin; i < end; i++)
        h[i] += ((const float *)w)[i];
}

static void count(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,
                  int64_t end, int64_t worker)
{
    (void)w, (void)io, (void)begin, (void)end, (void)worker;
    ws[COUNTER_AT]++;
    ws[GO_ON_AT] = ws[COUNTER_AT] < 2;
}

static void give(const uint8_t *ws, float *y, int64_t begin, int64_t end, float factor)
{
    for (int64_t i = begin; i < end; i++)
        y[i] = factor * ((const float *)(ws + H_AT))[i];
}

static void plain(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,
                  int64_t end, int64_t worker)
{
    (void)w, (void)worker;
    give(ws, io[IO_Y], begin, end, 1);
}

static void negated(uint8_t *ws, const uint8_t *w, void *const *io, int64_t begin,
                    int64_t end, int64_t worker)
{
    (void)w, (void)worker;
    give(ws, io[IO_Y], begin, end, -1);
}

static const struct hadm_step steps[] = {
    {start, N, 16, 0, HADM_CALL, 0},
    {add_weights, N, 16, 0, HADM_CALL, 0},           /* 1: the loop begins        */
    {count, 1, 1, 0, HADM_CALL, 0},
    {NULL, 0, 0, GO_ON_AT, HADM_BRANCH, 5},          /* leave it when the byte is 0 */
    {NULL, 0, 0, 0, HADM_JUMP, 1},
    {NULL, IO_FLAG, 0, 0, HADM_BRANCH_IO, 8},        /* 5: if (flag)               */
    {plain, N, N, 0, HADM_CALL, 0},                  /* grain N: never shared      */
    {NULL, 0, 0, 0, HADM_JUMP, 9},
    {negated, N, 16, 0, HADM_CALL, 0},               /* 8: else                    */
};

static const struct hadm_model model = {
    .abi = HADM_ABI,
    .n_steps = sizeof steps / sizeof steps[0],
    .steps = steps,
    .structure_hash = "by hand",
    .payload_bytes = 4 * N,
    .workspace_bytes = WORKSPACE,
    .n_io = N_IO,
    .max_workers = 3,
};

/* ---- weights --------------------------------------------------------------------- */

/* w[i] = i, in a file; the caller frees it. */
static uint8_t *make_weights(size_t *len)
{
    static float numbers[N];
    struct ptensor w = {.name = "w", .bytes = sizeof numbers, .place = IN_WEIGHTS,
                        .alias_of = -1, .data = numbers};
    const struct program p = {.n_tensors = 1, .tensors = &w};
    const struct weights_info info = {.structure_hash = model.structure_hash};
    char path[] = "/tmp/abi_model_XXXXXX";
    uint64_t n_bytes;

    for (int i = 0; i < N; i++)
        numbers[i] = (float)i;
    close(mkstemp(path));
    CHECK_OK(weights_write(path, &p, &info, &n_bytes));
    *len = (size_t)n_bytes;

    uint8_t *bytes = aligned_alloc(64, (*len + 63) & ~(size_t)63);
    FILE *f = fopen(path, "rb");

    CHECK_EQ(fread(bytes, 1, *len, f), *len);
    fclose(f);
    unlink(path);
    return bytes;
}

/* ---- a pool that splits work unevenly and out of order --------------------------- */

static int n_calls;

static void uneven(void *pool, hadm_body *body, void *arg, int64_t n, int64_t grain)
{
    const int64_t cut = grain < n ? grain : n;

    (void)pool;
    body(arg, cut, n, 2);
    body(arg, 0, cut, 1);
    n_calls++;
}

static float run(const struct hadm_context *c, uint8_t flag, int i)
{
    static float x[N], y[N];
    void *const io[N_IO] = {x, &flag, y};

    for (int k = 0; k < N; k++)
        x[k] = 1;
    hadm_run(c, io);
    return y[i];
}

/* ---- the tests ------------------------------------------------------------------- */

/* x = 1, w[7] = 7, two rounds: 1 + 14. */
TEST(steps_loops_and_branches_do_what_the_table_says)
{
    static _Alignas(64) uint8_t workspace[WORKSPACE];
    struct hadm_context c;
    size_t len;
    uint8_t *weights = make_weights(&len);

    CHECK_EQ(hadm_open(&c, &model, weights, len, workspace, sizeof workspace,
                       HADM_CHECK_PAYLOAD),
             HADM_OK);
    CHECK(run(&c, 1, 7) == 15);
    CHECK(run(&c, 0, 7) == -15);
    CHECK(run(&c, 1, 0) == 1);
    free(weights);
}

TEST(workers_change_nothing_and_serial_steps_are_not_shared)
{
    static _Alignas(64) uint8_t workspace[WORKSPACE];
    struct hadm_context c;
    size_t len;
    uint8_t *weights = make_weights(&len);

    CHECK_EQ(hadm_open(&c, &model, weights, len, workspace, sizeof workspace, 0), HADM_OK);
    CHECK_EQ(hadm_use_workers(&c, uneven, NULL, 4), HADM_BAD_WORKERS);
    CHECK_EQ(hadm_use_workers(&c, uneven, NULL, 3), HADM_OK);
    n_calls = 0;
    CHECK(run(&c, 1, 99) == 1 + 2 * 99);
    CHECK_EQ(n_calls, 3); /* start, and add_weights twice */
    CHECK_EQ(hadm_use_workers(&c, NULL, NULL, 0), HADM_OK);
    CHECK(run(&c, 0, 99) == -(1 + 2 * 99));
    CHECK_EQ(n_calls, 3);
    free(weights);
}

TEST(contexts_share_weights_and_do_not_disturb_each_other)
{
    static _Alignas(64) uint8_t one[WORKSPACE], two[WORKSPACE];
    struct hadm_context a, b;
    size_t len;
    uint8_t *weights = make_weights(&len);

    CHECK_EQ(hadm_open(&a, &model, weights, len, one, sizeof one, 0), HADM_OK);
    CHECK_EQ(hadm_open(&b, &model, weights, len, two, sizeof two, 0), HADM_OK);
    CHECK(run(&a, 1, 3) == 7);
    CHECK(run(&b, 0, 3) == -7);
    CHECK(run(&a, 1, 3) == 7);
    free(weights);
}

TEST(a_model_for_another_processor_is_refused)
{
    static _Alignas(64) uint8_t workspace[WORKSPACE];
    struct hadm_model other = model;
    struct hadm_context c;

    other.cpu_features = UINT64_C(1) << 63; /* nobody has it */
    CHECK_EQ(hadm_open(&c, &other, NULL, 0, workspace, sizeof workspace, 0),
             HADM_WRONG_CPU);
}

TEST(a_failed_open_leaves_the_context_alone)
{
    static _Alignas(64) uint8_t workspace[WORKSPACE];
    struct hadm_context c, before;
    size_t len;
    uint8_t *weights = make_weights(&len);

    memset(&c, 0x5a, sizeof c);
    before = c;
    CHECK_EQ(hadm_open(&c, &model, weights, len, workspace, WORKSPACE - 1, 0),
             HADM_BAD_MEMORY);
    CHECK_EQ(hadm_open(&c, &model, weights, len, NULL, WORKSPACE, 0), HADM_BAD_MEMORY);
    CHECK_BYTES(&c, &before, sizeof c);
    free(weights);
}

TEST(the_context_fits_what_generated_headers_reserve)
{
    CHECK(sizeof(struct hadm_context) <= 64);
    CHECK_TEXT(hadm_strerror((enum hadm_status)99), "unknown status");
}
