/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum.  Import spells the equation out (an explicit result, letters for "..."),
 * combines more than two operands pair by pair, and turns what is a product of
 * matrices into Transpose, Reshape and MatMul; what is left is
 *
 *     y = Einsum(a[, b]) {equation="ij,jk->ik"}
 *
 * where a label may occur twice in one operand (its diagonal) and an operand's dim of 1
 * is stretched. */
#include <ctype.h>
#include <string.h>

#include "frontend/op_help.h"

enum { MAX_OPERANDS = 26, MAX_LABELS = 2 * K_MAX_RANK, N_LETTERS = 52 };

static int letter_index(char c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' : c >= 'A' && c <= 'Z' ? c - 'A' + 26 : -1;
}

static char letter_of(int i)
{
    return (char)(i < 26 ? 'a' + i : 'A' + i - 26);
}

struct equation {
    int n_in;
    char in[MAX_OPERANDS][IR_MAX_RANK + 1]; /* one label per dim */
    char out[2 * IR_MAX_RANK + 1];
};

/* ---- reading ---------------------------------------------------------------- */

/* One term: labels before and after the ellipsis. */
struct term {
    char before[IR_MAX_RANK + 1], after[IR_MAX_RANK + 1];
    bool ellipsis;
};

static struct status *read_term(const struct ir_node *n, const char **text,
                                struct term *t)
{
    int n_before = 0, n_after = 0;

    *t = (struct term){.ellipsis = false};
    for (; **text && **text != ',' && **text != '-'; ++*text) {
        if (isspace((unsigned char)**text))
            continue;
        if (**text == '.') {
            if (t->ellipsis || strncmp(*text, "...", 3) != 0)
                return FAIL_AT(n, INVALID, "equation has misplaced dots");
            t->ellipsis = true;
            *text += 2;
            continue;
        }
        if (letter_index(**text) < 0)
            return FAIL_AT(n, INVALID, "equation contains '%c'", **text);
        if (n_before + n_after >= IR_MAX_RANK)
            return FAIL_AT(n, UNSUPPORTED, "equation has a term of more than %d dims",
                           IR_MAX_RANK);
        if (t->ellipsis)
            t->after[n_after++] = **text;
        else
            t->before[n_before++] = **text;
    }
    return OK;
}

static int length(const struct term *t)
{
    return (int)(strlen(t->before) + strlen(t->after));
}

/* The term's labels, `dots` being the letters that stand for all ellipses, of which it
 * takes the last `n_dots`. */
static struct status *spell(const struct ir_node *n, const struct term *t,
                            const char *dots, int n_dots, char *out, int most)
{
    const int skip = (int)strlen(dots) - n_dots;

    if (length(t) + n_dots > most)
        return FAIL_AT(n, UNSUPPORTED, "a term has more than %d dims", most);
    strcpy(out, t->before);
    strcat(out, dots + skip);
    strcat(out, t->after);
    return OK;
}

/* Letters that the equation does not use, as many as the longest ellipsis. */
static void free_letters(const char *text, int count, char *out)
{
    for (int i = N_LETTERS - 1; i >= 0 && count > 0; i--)
        if (!strchr(text, letter_of(i))) {
            *out++ = letter_of(i);
            count--;
        }
    *out = 0;
}

/* Without "->": labels that occur once, in alphabetical order, after the ellipsis. */
static void implicit_result(const struct term *terms, int n_terms, struct term *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    int at = 0;

    *out = (struct term){.ellipsis = true};
    for (const char *c = alphabet; *c; c++) {
        int uses = 0;
        for (int i = 0; i < n_terms; i++) {
            for (const char *l = terms[i].before; *l; l++)
                uses += *l == *c;
            for (const char *l = terms[i].after; *l; l++)
                uses += *l == *c;
        }
        if (uses == 1 && at < IR_MAX_RANK)
            out->after[at++] = *c;
    }
}

static struct status *read_equation(const struct ir_node *n, struct equation *e)
{
    const char *text = ir_attr_str(n, "equation", ""), *at = text;
    struct term terms[MAX_OPERANDS], result;
    int longest = 0, n_dots[MAX_OPERANDS];
    char dots[IR_MAX_RANK + 1];

    *e = (struct equation){.n_in = n->n_in};
    if (n->n_in > MAX_OPERANDS)
        return FAIL_AT(n, UNSUPPORTED, "has more than %d operands", MAX_OPERANDS);
    for (int i = 0; i < n->n_in; i++) {
        if (!n->in[i])
            return FAIL_AT(n, INVALID, "operand %d is left out", i);
        RETURN_IF_FAIL(read_term(n, &at, &terms[i]));
        n_dots[i] = n->in[i]->rank - length(&terms[i]);
        if (n_dots[i] < 0 || (n_dots[i] && !terms[i].ellipsis))
            return FAIL_AT(n, INVALID, "operand '%s' has rank %d but %d labels",
                           n->in[i]->name, n->in[i]->rank, length(&terms[i]));
        longest = n_dots[i] > longest ? n_dots[i] : longest;
        if (*at == ',' && i + 1 < n->n_in)
            at++;
        else if (i + 1 < n->n_in)
            return FAIL_AT(n, INVALID, "equation has %d terms for %d operands", i + 1,
                           n->n_in);
    }
    if (!strncmp(at, "->", 2)) {
        at += 2;
        RETURN_IF_FAIL(read_term(n, &at, &result));
    } else {
        implicit_result(terms, n->n_in, &result);
    }
    if (*at)
        return FAIL_AT(n, INVALID, "equation '%s' is malformed", text);
    free_letters(text, longest, dots);
    for (int i = 0; i < n->n_in; i++)
        RETURN_IF_FAIL(spell(n, &terms[i], dots, n_dots[i], e->in[i], IR_MAX_RANK));
    return spell(n, &result, result.ellipsis ? dots : "", result.ellipsis ? longest : 0,
                 e->out, IR_MAX_RANK);
}

/* ---- labels ----------------------------------------------------------------- */

struct labels {
    int64_t size[N_LETTERS]; /* 0: not used */
};

static struct status *measure(const struct ir_node *n, const struct equation *e,
                              struct labels *l)
{
    bool used[N_LETTERS] = {false};

    for (int i = 0; i < N_LETTERS; i++)
        l->size[i] = 1;
    for (int i = 0; i < e->n_in; i++)
        for (int d = 0; e->in[i][d]; d++) {
            const int at = letter_index(e->in[i][d]);
            const int64_t dim = n->in[i]->dim[d];
            if (dim != 1 && l->size[at] != 1 && l->size[at] != dim)
                return FAIL_AT(n, INVALID, "label %c is %lld and %lld", e->in[i][d],
                               (long long)l->size[at], (long long)dim);
            l->size[at] = dim != 1 ? dim : l->size[at];
            used[at] = true;
        }
    for (const char *c = e->out; *c; c++) {
        if (!used[letter_index(*c)])
            return FAIL_AT(n, INVALID, "label %c of the result is in no operand", *c);
        if (strchr(c + 1, *c))
            return FAIL_AT(n, INVALID, "label %c is twice in the result", *c);
    }
    return OK;
}

/* ---- import: more than two operands ----------------------------------------- */

static void set_equation(struct ir_node *n, const struct equation *e)
{
    char text[256];

    if (e->n_in == 2)
        snprintf(text, sizeof text, "%s,%s->%s", e->in[0], e->in[1], e->out);
    else
        snprintf(text, sizeof text, "%s->%s", e->in[0], e->out);
    ir_set_attr_str(n, "equation", text);
}

/* Labels of the first two operands that somebody still asks for. */
static struct status *needed_later(const struct ir_node *n, const struct equation *e,
                                   char *out)
{
    int at = 0;

    for (int i = 0; i < 2; i++)
        for (const char *c = e->in[i]; *c; c++) {
            bool needed = strchr(e->out, *c) != NULL;
            for (int k = 2; k < e->n_in; k++)
                needed |= strchr(e->in[k], *c) != NULL;
            if (!needed || memchr(out, *c, (size_t)at))
                continue;
            if (at == IR_MAX_RANK)
                return FAIL_AT(n, UNSUPPORTED, "needs a product of more than %d dims",
                               IR_MAX_RANK);
            out[at++] = *c;
        }
    out[at] = 0;
    return OK;
}

/* Replace the first two operands by their product. */
static struct status *combine_pair(struct ir_node *n, struct equation *e)
{
    struct equation pair = {.n_in = 2};
    struct ir_node *product = ir_node_create(n->graph, n, OP_Einsum, n->name, 2, 1);

    product->onnx_index = n->onnx_index;
    memcpy(pair.in, e->in, 2 * sizeof *pair.in);
    struct status *s = needed_later(n, e, pair.out);
    set_equation(product, &pair);
    for (int i = 0; i < 2; i++)
        ir_set_input(product, i, n->in[i]);
    struct ir_value *y = ir_new_output(product, 0, NULL);
    if (!s)
        s = import_Einsum(product, n->graph->compile->opset);
    if (!s)
        s = ir_infer(product);
    if (s)
        return s;
    ir_set_input(n, 0, y);
    strcpy(e->in[0], pair.out);
    for (int i = 1; i + 1 < e->n_in; i++) {
        ir_set_input(n, i, n->in[i + 1]);
        strcpy(e->in[i], e->in[i + 1]);
    }
    op_keep_inputs(n, --e->n_in);
    return OK;
}

/* ---- import: products of matrices ------------------------------------------- */

/* Labels by where they occur. */
struct roles {
    char batch[IR_MAX_RANK + 1], rows[IR_MAX_RANK + 1], columns[IR_MAX_RANK + 1],
        summed[IR_MAX_RANK + 1];
};

static void append(char *list, char c)
{
    const size_t n = strlen(list);

    list[n] = c;
    list[n + 1] = 0;
}

/* False when this is no plain product: a label summed in one operand only, a diagonal,
 * or a stretched dim. */
static bool find_roles(const struct ir_node *n, const struct equation *e,
                       const struct labels *l, struct roles *r)
{
    *r = (struct roles){.batch = ""};
    for (int i = 0; i < 2; i++)
        for (int d = 0; e->in[i][d]; d++) {
            const char c = e->in[i][d];
            const bool other = strchr(e->in[1 - i], c) != NULL,
                       kept = strchr(e->out, c) != NULL;
            if (strchr(e->in[i] + d + 1, c)
                || n->in[i]->dim[d] != l->size[letter_index(c)] || (!other && !kept))
                return false;
            if (!other)
                append(i ? r->columns : r->rows, c);
            else if (!i)
                append(kept ? r->batch : r->summed, c);
        }
    return true;
}

static int64_t size_of(const struct labels *l, const char *list)
{
    int64_t size = 1;

    for (; *list; list++)
        size = op_product(2, (int64_t[]){size, l->size[letter_index(*list)]});
    return size;
}

/* x with labels `from` in the order a b c, as [size a, size b, size c]. */
static struct status *as_matrices(struct ir_node *n, struct ir_value *x,
                                  const char *from, const struct labels *l,
                                  const char *a, const char *b, const char *c,
                                  struct ir_value **out)
{
    const char *const groups[3] = {a, b, c};
    int64_t perm[IR_MAX_RANK], dim[3];
    bool moves = false;
    int at = 0;

    for (int g = 0; g < 3; g++) {
        dim[g] = size_of(l, groups[g]);
        for (const char *p = groups[g]; *p; p++) {
            perm[at] = strchr(from, *p) - from;
            moves |= perm[at] != at;
            at++;
        }
    }
    if (moves)
        RETURN_IF_FAIL(op_emit_ints(n, OP_Transpose, x, "perm", at, perm, &x));
    return op_emit_ints(n, OP_Reshape, x, "shape", 3, dim, out);
}

static struct status *become_product(struct ir_node *n, const struct equation *e,
                                     const struct labels *l, const struct roles *r)
{
    char order[3 * IR_MAX_RANK + 1];
    struct ir_value *a, *b, *y, *operands[2];
    int64_t dim[IR_MAX_RANK], perm[IR_MAX_RANK];
    int rank = 0;

    RETURN_IF_FAIL(
        as_matrices(n, n->in[0], e->in[0], l, r->batch, r->rows, r->summed, &a));
    RETURN_IF_FAIL(
        as_matrices(n, n->in[1], e->in[1], l, r->batch, r->summed, r->columns, &b));
    operands[0] = a;
    operands[1] = b;
    RETURN_IF_FAIL(ir_emit(n->graph, n, OP_MatMul, NULL, 2, operands, NULL, &y));
    strcpy(order, r->batch);
    strcat(order, r->rows);
    strcat(order, r->columns);
    for (const char *c = order; *c; c++)
        dim[rank++] = l->size[letter_index(*c)];
    RETURN_IF_FAIL(op_emit_ints(n, OP_Reshape, y, "shape", rank, dim, &y));
    for (int i = 0; i < rank; i++)
        perm[i] = strchr(order, e->out[i]) - order;
    n->op = OP_Transpose;
    n->attrs = NULL;
    op_keep_inputs(n, 1);
    ir_set_input(n, 0, y);
    ir_set_attr_ints(n, "perm", rank, perm);
    return OK;
}

/* ---- import: labels of one operand that are summed away --------------------- */

/* Labels of operand i of two that nobody else has are summed before the product, which
 * would walk over all pairs otherwise. */
static struct status *sum_alone(struct ir_node *n, struct equation *e, int i)
{
    struct equation alone = {.n_in = 1};
    int at = 0;
    bool found = false;

    strcpy(alone.in[0], e->in[i]);
    for (const char *c = e->in[i]; *c; c++) {
        const bool needed = strchr(e->out, *c) || strchr(e->in[1 - i], *c);
        found |= !needed;
        if (needed && !memchr(alone.out, *c, (size_t)at))
            alone.out[at++] = *c;
    }
    if (!found)
        return OK;
    struct ir_node *sum = ir_node_create(n->graph, n, OP_Einsum, n->name, 1, 1);
    sum->onnx_index = n->onnx_index;
    set_equation(sum, &alone);
    ir_set_input(sum, 0, n->in[i]);
    ir_set_input(n, i, ir_new_output(sum, 0, NULL));
    strcpy(e->in[i], alone.out);
    return ir_infer(sum);
}

static bool matmul_can(enum dtype dtype)
{
    return dtype == DT_f32 || dtype == DT_f64 || dtype == DT_i32 || dtype == DT_i64
           || dtype == DT_f16 || dtype == DT_bf16;
}

struct status *import_Einsum(struct ir_node *n, int opset)
{
    struct equation e;
    struct labels l;
    struct roles r;

    (void)opset;
    RETURN_IF_FAIL(read_equation(n, &e));
    RETURN_IF_FAIL(measure(n, &e, &l));
    while (e.n_in > 2)
        RETURN_IF_FAIL(combine_pair(n, &e));
    for (int i = 0; e.n_in == 2 && i < 2; i++)
        RETURN_IF_FAIL(sum_alone(n, &e, i));
    set_equation(n, &e);
    if (e.n_in == 2 && matmul_can(n->in[0]->dtype) && n->in[1]->dtype == n->in[0]->dtype
        && find_roles(n, &e, &l, &r))
        return become_product(n, &e, &l, &r);
    return OK;
}

/* ---- shape and lowering ----------------------------------------------------- */

static struct status *check_equation(const struct ir_node *n, struct equation *e,
                                     struct labels *l)
{
    RETURN_IF_FAIL(read_equation(n, e));
    if (e->n_in > 2)
        return FAIL_AT(n, INVALID, "has %d operands; two are possible here", e->n_in);
    return measure(n, e, l);
}

struct status *shape_Einsum(struct ir_node *n)
{
    struct equation e;
    struct labels l;
    int64_t dim[IR_MAX_RANK];
    int rank = 0;

    RETURN_IF_FAIL(op_refuse_dynamic(n));
    RETURN_IF_FAIL(check_equation(n, &e, &l));
    RETURN_IF_FAIL(op_same_dtype(n, 0, 1));
    for (const char *c = e.out; *c; c++)
        dim[rank++] = l.size[letter_index(*c)];
    op_set_out(n, 0, n->in[0]->dtype, rank, dim);
    return OK;
}

/* Stride of label c in operand v; a diagonal adds its strides. */
static int64_t stride_of(const struct ir_value *v, const char *labels, char c)
{
    int64_t stride[IR_MAX_RANK], sum = 0;

    op_strides(v->rank, v->dim, stride);
    for (int d = 0; labels[d]; d++)
        if (labels[d] == c && v->dim[d] != 1)
            sum += stride[d];
    return sum;
}

/* Labels that are summed over: in an operand, not in the result. */
static int summed_labels(const struct equation *e, char *out)
{
    int count = 0;

    for (int i = 0; i < e->n_in; i++)
        for (const char *c = e->in[i]; *c; c++)
            if (!strchr(e->out, *c) && !memchr(out, *c, (size_t)count))
                out[count++] = *c;
    return count;
}

struct status *lower_Einsum(struct lowering *lw, const struct ir_node *n)
{
    struct equation e;
    struct labels l;
    char summed[2 * IR_MAX_RANK + 1];
    struct k_einsum p = {.has_b = n->n_in == 2};

    RETURN_IF_FAIL(check_equation(n, &e, &l));
    const int n_summed = summed_labels(&e, summed), n_out = (int)strlen(e.out);
    if (n_summed > K_MAX_RANK)
        return FAIL_AT(n, UNSUPPORTED, "sums over more than %d labels", K_MAX_RANK);
    for (int d = 0; d < K_MAX_RANK; d++)
        p.out[d] = p.red[d] = 1;
    for (int i = 0; i < n_out; i++) {
        const int d = K_MAX_RANK - n_out + i;
        p.out[d] = l.size[letter_index(e.out[i])];
        p.a_out[d] = stride_of(n->in[0], e.in[0], e.out[i]);
        p.b_out[d] = p.has_b ? stride_of(n->in[1], e.in[1], e.out[i]) : 0;
    }
    for (int i = 0; i < n_summed; i++) {
        const int d = K_MAX_RANK - n_summed + i;
        p.red[d] = l.size[letter_index(summed[i])];
        p.a_red[d] = stride_of(n->in[0], e.in[0], summed[i]);
        p.b_red[d] = p.has_b ? stride_of(n->in[1], e.in[1], summed[i]) : 0;
    }
    struct kcall *call =
        lower_call_typed(lw, "einsum", n->in[0]->dtype, &p, ir_count(n->out[0]));
    if (!call)
        return op_no_kernel(n, n->in[0]->dtype);
    lower_in(call, n->in[0]);
    if (p.has_b)
        lower_in(call, n->in[1]);
    lower_out(call, n->out[0]);
    return OK;
}
