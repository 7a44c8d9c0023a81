/* SPDX-License-Identifier: Apache-2.0 */
/* Emitted element operators on codes against the oracle, byte for byte.
 * // links: codegen oracle
 */
#include "tests/int_work.h"

struct work {
    struct int_elements c;
    uint8_t *a, *b, *want, *epilogue;
    int64_t n_a, n_b, n_out;
};

static int64_t extent(int64_t n, int64_t n_stride, int64_t rows, int64_t row,
                      int64_t columns)
{
    return (n - 1) * n_stride + (rows - 1) * row + columns;
}

static int32_t random_zero(bool is_signed)
{
    return (int32_t)random_in(0, 255) - (is_signed ? 128 : 0);
}

static int32_t want_code(const struct work *w, const struct oracle_output *y,
                         struct oracle_quant a_as, struct oracle_quant b_as,
                         int64_t at_a, int64_t at_b)
{
    static const enum oracle_binary_op op[] = {ORACLE_ADD, ORACLE_SUB, ORACLE_MUL};
    const int64_t dim[4] = {1, 1, 1, 1};
    const int32_t a = code_at(w->a, at_a, w->c.a_signed);
    const float m = oracle_multiplier(a_as.scale, 1, y->scale);
    int32_t b, code;

    if (w->c.op == INT_SCALE)
        return oracle_scale_down(a - a_as.zero, m, y);
    b = code_at(w->b, at_b, w->c.b_signed);
    oracle_binary(op[w->c.op], &a, dim, a_as, &b, dim, b_as, y, &code);
    return code;
}

static void make_operands(struct work *w)
{
    const struct int_elements *c = &w->c;

    w->n_a = extent(c->n, c->a_n, c->rows, c->a_row, c->columns);
    w->n_b = extent(c->n, c->b_n, c->rows, c->b_row, c->b_one ? 1 : c->columns);
    w->n_out = extent(c->n, c->out_n, c->rows, c->out_row, c->columns);
    w->a = guarded(w->n_a, 0);
    w->b = guarded(w->n_b, 0);
    w->want = guarded(w->n_out, 0x5a);
    w->epilogue = guarded(int_elements_epilogue_bytes(c), 0);
    random_codes(w->a, w->n_a, 0, 255);
    random_codes(w->b, w->n_b, 0, 255);
}

static void free_work(struct work *w)
{
    release(w->a);
    release(w->b);
    release(w->want);
    release(w->epilogue);
}

/* On all levels; fails with the operator's number. */
static void run_everywhere(const struct work *w)
{
    const struct int_run run = {
        w->a, NULL, w->epilogue, w->b, w->want, w->n_out, int_elements_units(&w->c)};

    for (int i = 0; i < INT_N_ISAS; i++) {
        struct jit j;

        if (!int_isa_runs(i))
            continue;
        j = jit_open(&int_isas[i]);
        emit_int_elements(&j.emitter, &w->c, "core");
        jit_finish(&j);
        if (!int_run_on(&run, int_jit_find(&j, "core"))) {
            print_error("level %d, operator %d, %ld x %ld x %ld\n", i, w->c.op,
                        (long)w->c.n, (long)w->c.rows, (long)w->c.columns);
            CHECK(false);
        }
        jit_close(&j);
    }
}

static void check_elements(struct int_elements c)
{
    struct work w = {.c = c};
    const struct oracle_quant a_as = {0.5f, random_zero(c.a_signed)};
    const struct oracle_quant b_as = {0.37f, random_zero(c.b_signed)};
    const struct oracle_output y =
        random_output(c.out_signed, c.op == INT_MUL ? 40.0f : 0.7f);
    const struct int_operands from = {
        .a_factor = c.op == INT_MUL ? oracle_multiplier(a_as.scale, b_as.scale, y.scale)
                                    : oracle_multiplier(a_as.scale, 1, y.scale),
        .b_factor = oracle_multiplier(b_as.scale, 1, y.scale),
        .a_zero = a_as.zero,
        .b_zero = b_as.zero,
        .out = codes_of(&y),
    };

    make_operands(&w);
    for (int64_t n = 0; n < c.n; n++)
        for (int64_t r = 0; r < c.rows; r++)
            for (int64_t x = 0; x < c.columns; x++)
                w.want[n * c.out_n + r * c.out_row + x] =
                    (uint8_t)want_code(&w, &y, a_as, b_as, n * c.a_n + r * c.a_row + x,
                                       n * c.b_n + r * c.b_row + (c.b_one ? 0 : x));
    int_elements_pack(&c, &from, w.epilogue);
    check_guards(w.epilogue);
    run_everywhere(&w);
    free_work(&w);
}

static struct int_elements dense(enum int_op op, int64_t n, int64_t rows,
                                 int64_t columns)
{
    return (struct int_elements){
        .op = op,
        .n = n,
        .rows = rows,
        .columns = columns,
        .a_n = rows * columns,
        .a_row = columns,
        .b_n = rows * columns,
        .b_row = columns,
        .out_n = rows * columns,
        .out_row = columns,
    };
}

TEST(int_elements_of_one_shape_are_one_long_row)
{
    for (int op = INT_ADD; op <= INT_SCALE; op++)
        for (int i = 0; i < 4; i++) {
            struct int_elements c = dense((enum int_op)op, 2, 3, i ? 211 : 4000);

            c.a_signed = i & 1;
            c.b_signed = c.out_signed = i >> 1;
            check_elements(c);
        }
}

TEST(int_elements_repeat_a_code_a_channel)
{
    struct int_elements c = dense(INT_MUL, 2, 30, 40);

    c.b_row = 0;
    c.b_n = 40;
    check_elements(c);
    c.op = INT_ADD;
    c.columns = c.a_row = c.out_row = c.b_n = 7;
    c.a_n = c.out_n = 210;
    check_elements(c);
}

TEST(int_elements_repeat_a_single_code)
{
    struct int_elements c = dense(INT_SUB, 1, 1, 100);

    c.b_one = c.b_signed = true;
    c.b_n = c.b_row = 0;
    check_elements(c);
}

TEST(int_elements_write_slices_of_wider_rows)
{
    struct int_elements c = dense(INT_SCALE, 2, 9, 21);

    c.out_row = 50;
    c.out_n = 9 * 50 + 3;
    check_elements(c);
}

TEST(int_table_gives_every_entry)
{
    for (int i = 0; i < 2; i++) {
        struct work w = {.c = dense(INT_TABLE, 1, 1, 5000 + 13 * i)};
        int32_t table[256], code, result;

        w.c.a_signed = w.c.out_signed = i;
        make_operands(&w);
        for (int k = 0; k < 256; k++)
            table[k] = (k * 77 + 5) % 256 - 128 * i;
        for (int64_t k = 0; k < 256; k++)
            w.a[k] = (uint8_t)k;
        for (int64_t k = 0; k < w.n_out; k++) {
            code = code_at(w.a, k, w.c.a_signed);
            oracle_lookup(&code, 1, i ? -128 : 0, table, &result);
            w.want[k] = (uint8_t)result;
        }
        int_table_pack(&w.c, table, w.epilogue);
        check_guards(w.epilogue);
        run_everywhere(&w);
        free_work(&w);
    }
}
