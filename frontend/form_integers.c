/* SPDX-License-Identifier: Apache-2.0 */
/* Write quantized islands in integers.
 *
 *     Q(act(Conv(DQ(x), DQ(w), b)))  =  QLinearConv(x, w, b, limits of act)
 *     Q(DQ(a) + DQ(b))               =  z + rne(clamp(a ma + b mb))    m = s / s_y
 *     Transpose(DQ(x))               =  DQ(Transpose(x))
 *     Q(DQ(x))                       =  x where scales and zero points are equal
 *
 * with one file for each kind of island (form_*.c).  Rules are applied until none
 * fits.  What stays in floats between codes is noted with its reason.  Functions of one
 * code, Q(f(DQ(x))), stay as they are: they are tables for the code generator.
 *
 * needs:     DequantizeLinear of constants not folded yet (ir_may_fold)
 * keeps:     codes as docs/numerics.md defines them
 * breaks:    use counts
 * source:    Jacob et al. 2018, section 2; docs/numerics.md
 */
#include "frontend/form_integers.h"

#include <float.h>
#include <math.h>

#include "frontend/match.h"
#include "frontend/op_help.h"
#include "frontend/pass.h"

enum { DATA, SCALE, ZERO };

/* ---- scales and zero points -------------------------------------------- */

static bool is_byte(enum dtype t)
{
    return t == DT_u8 || t == DT_i8;
}

static bool constant_grid(const struct ir_node *n, enum dtype dtype, struct grid *out)
{
    double scale, zero;

    if (!is_byte(dtype) || n->in[SCALE]->dtype != DT_f32
        || !ir_const_scalar(n->in[SCALE], &scale)
        || !ir_const_scalar(n->in[ZERO], &zero)
        || !(scale >= FLT_MIN && scale <= FLT_MAX))
        return false;
    *out = (struct grid){(float)scale, (int32_t)zero, dtype};
    return true;
}

bool grid_of_reals(const struct ir_value *v, struct ir_value **codes, struct grid *out)
{
    const struct ir_node *n = match_def(v, OP_DequantizeLinear);

    if (!n || !constant_grid(n, n->in[DATA]->dtype, out))
        return false;
    *codes = n->in[DATA];
    return true;
}

bool grid_of_codes(const struct ir_node *n, struct grid *out)
{
    return n->op == OP_QuantizeLinear && n->in[DATA]->dtype == DT_f32
           && constant_grid(n, n->in[ZERO]->dtype, out);
}

bool grid_equal(const struct grid *a, const struct grid *b)
{
    return a->scale == b->scale && a->zero == b->zero && a->dtype == b->dtype;
}

bool form_multiplier(double a, double b, float *out)
{
    *out = (float)(a / b);
    return *out >= FLT_MIN && *out <= 0x1p24f;
}

/* ---- what follows a result ---------------------------------------------- */

/* The code of a real limit, divided as QuantizeLinear divides; rounding keeps order, so
 * limiting codes is limiting reals. */
static int32_t code_of(float limit, const struct grid *g, int32_t lo, int32_t hi)
{
    const float t = limit / g->scale;
    const float least = (float)(lo - g->zero), most = (float)(hi - g->zero);

    return g->zero + (int32_t)nearbyintf(t < least ? least : t > most ? most : t);
}

static bool limits_of(const struct ir_node *act, float *lo, float *hi)
{
    *lo = -INFINITY;
    *hi = INFINITY;
    if (!act)
        return true;
    if (act->op == OP_Relu) {
        *lo = 0.0f;
        return true;
    }
    return act->op == OP_Clip && op_clip_limits(act, lo, hi);
}

bool read_requantization(struct ir_node *quantize, struct ir_node *act,
                         struct requantization *out, const char **why)
{
    float lo, hi;

    *out = (struct requantization){.act = act, .quantize = quantize};
    if (!grid_of_codes(quantize, &out->grid)) {
        *why = "its result is not quantized to 8 bits with one constant scale";
        return false;
    }
    if (!limits_of(act, &lo, &hi)) {
        *why = "the limits of its Clip are computed";
        return false;
    }
    const int32_t least = out->grid.dtype == DT_u8 ? 0 : -128;

    out->lo = code_of(lo, &out->grid, least, least + 255);
    out->hi = code_of(hi, &out->grid, least, least + 255);
    return true;
}

bool find_requantization(const struct ir_value *v, struct requantization *out,
                         const char **why)
{
    struct ir_node *n = match_only_reader(v), *act = NULL;

    if (n && (n->op == OP_Relu || n->op == OP_Clip)) {
        act = n;
        n = match_only_reader(n->out[0]);
    }
    if (n && n->op == OP_QuantizeLinear && n->in[DATA] == (act ? act->out[0] : v))
        return read_requantization(n, act, out, why);
    *why = "its result is read as a float";
    return false;
}

void form_replace(const struct requantization *r, struct ir_value *made)
{
    struct ir_graph *g = r->quantize->graph;

    ir_replace_uses(g, r->quantize->out[0], made);
    ir_remove(r->quantize);
    if (r->act)
        ir_remove(r->act);
}

/* ---- building ------------------------------------------------------------ */

static struct ir_value *zero_point(struct compile *c, enum dtype dtype, int32_t zero)
{
    const int8_t byte = (int8_t)zero;

    return ir_const(c, NULL, dtype, 0, NULL, &byte);
}

struct status *form_scaled(struct ir_node *at, struct ir_value *codes, float scale,
                           int32_t zero, struct ir_value **out)
{
    struct compile *c = at->graph->compile;
    struct ir_value *in[] = {codes, ir_const_f32(c, scale),
                             zero_point(c, codes->dtype, zero)};

    return ir_emit(at->graph, at, OP_DequantizeLinear, NULL, 3, in,
                   "axis=0 block_size=0", out);
}

static bool is_limited(const struct requantization *r)
{
    const int32_t least = r->grid.dtype == DT_u8 ? 0 : -128;

    return r->lo != least || r->hi != least + 255;
}

struct ir_value *form_limits(struct compile *c, const struct requantization *r)
{
    const int32_t pair[] = {r->lo, r->hi};

    return is_limited(r) ? ir_const(c, NULL, DT_i32, 1, &(int64_t){2}, pair) : NULL;
}

static struct status *limit(struct ir_node *at, const struct requantization *r,
                            struct ir_value **v)
{
    struct compile *c = at->graph->compile;
    struct ir_value *in[] = {*v, ir_const_f32(c, (float)(r->lo - r->grid.zero)),
                             ir_const_f32(c, (float)(r->hi - r->grid.zero))};

    if (!is_limited(r))
        return OK; /* QuantizeLinear's own limits */
    return ir_emit(at->graph, at, OP_Clip, NULL, 3, in, NULL, v);
}

struct status *form_rounded(struct ir_node *at, struct ir_value *v,
                            const struct requantization *r, struct ir_value **out)
{
    struct compile *c = at->graph->compile;

    RETURN_IF_FAIL(limit(at, r, &v));
    v->def->on_codes = true;
    struct ir_value *in[] = {v, ir_const_f32(c, 1.0f),
                             zero_point(c, r->grid.dtype, r->grid.zero)};

    return ir_emit(at->graph, at, OP_QuantizeLinear, NULL, 3, in, "axis=0 block_size=0",
                   out);
}

/* ---- the pass ------------------------------------------------------------- */

static form_fn *const rules[] = {form_movement, form_rescale, form_product, form_sum,
                                 form_pool,     form_mean,    form_rows};

enum { N_RULES = sizeof rules / sizeof rules[0], MOST_FORMED = 1 << 18 };

/* Rules remove n and what follows it, never what comes before: there the walk goes on,
 * through the nodes that a rule has put in n's place. */
static struct status *walk(struct ir_graph *g, int *n_formed)
{
    for (struct ir_node *n = g->first, *next; n; n = next) {
        struct ir_node *const before = n->prev;
        const char *why = NULL;
        bool formed = false;

        for (int b = 0; b < IR_MAX_BODIES; b++)
            if (n->body[b])
                RETURN_IF_FAIL(walk(n->body[b], n_formed));
        for (int i = 0; i < N_RULES && !formed && *n_formed < MOST_FORMED; i++)
            RETURN_IF_FAIL(rules[i](n, &formed, &why));
        *n_formed += formed;
        next = !formed ? n->next : before ? before->next : g->first;
    }
    return OK;
}

/* ---- what is left ---------------------------------------------------------- */

/* Values that take one of 256 values each: computed element by element from one tensor
 * of codes, and read by nothing that does not end in codes again. */
struct functions {
    struct ir_value **of; /* by value id: the codes; NULL: it is none */
    bool *ends;           /* by value id: all of its readers make codes */
};

static struct ir_value *codes_of(const struct functions *f, const struct ir_node *n)
{
    struct ir_value *of = NULL;
    struct grid grid;

    if (n->out[0]->dtype != DT_f32 || n->out[0]->dynamic)
        return NULL;
    if (grid_of_reals(n->out[0], &of, &grid))
        return of->data ? NULL : of;
    if (!(op_info[n->op].traits & OPT_ELTWISE) || n->op == OP_QuantizeLinear)
        return NULL;
    for (int i = 0; i < n->n_in; i++) {
        struct ir_value *v = n->in[i];

        if (!v || (v->data && ir_count(v) == 1))
            continue;
        if (!f->of[v->id] || (of && of != f->of[v->id]))
            return NULL;
        of = f->of[v->id];
    }
    return of;
}

static struct functions find_functions(const struct ir_graph *g)
{
    struct compile *c = g->compile;
    int *good = arena_new_array(c->scratch, int, c->n_values);
    struct functions f = {
        .of = arena_new_array(c->scratch, struct ir_value *, c->n_values),
        .ends = arena_new_array(c->scratch, bool, c->n_values)};
    struct grid grid;

    for (const struct ir_node *n = g->first; n; n = n->next)
        if (n->n_out == 1)
            f.of[n->out[0]->id] = codes_of(&f, n);
    for (const struct ir_node *n = g->last; n; n = n->prev) {
        const struct ir_value *y = n->n_out == 1 ? n->out[0] : NULL;

        if (!y)
            continue;
        f.ends[y->id] = f.of[y->id] && good[y->id] == y->n_uses;
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i])
                good[n->in[i]->id] += f.ends[y->id] || grid_of_codes(n, &grid);
    }
    return f;
}

static bool is_function(const struct functions *f, const struct ir_node *n)
{
    return n->n_out == 1 && f->ends[n->out[0]->id];
}

static bool is_dead(const struct ir_node *n)
{
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] && n->out[i]->n_uses)
            return false;
    return true;
}

static bool reads_codes(const struct ir_node *n)
{
    struct ir_value *codes;
    struct grid grid;

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && grid_of_reals(n->in[i], &codes, &grid) && !codes->data)
            return true;
    return false;
}

/* Operators on dequantized operands are what was left in floats, but for functions of
 * a code, which can be tables. */
static struct status *note_what_is_left(struct ir_graph *g)
{
    struct compile *c = g->compile;
    const struct functions f = find_functions(g);

    for (struct ir_node *n = g->first; n; n = n->next) {
        const char *why = NULL;
        bool formed = false;

        if (is_function(&f, n) || is_dead(n) || !reads_codes(n) || n->on_codes || n->op == OP_QuantizeLinear)
            continue;
        for (int i = 0; i < N_RULES && !why; i++)
            RETURN_IF_FAIL(rules[i](n, &formed, &why));
        text_printf(&c->left_in_floats, "%s: %s\n", ir_node_label(n),
                    why ? why : "there is no integer form of it");
    }
    return OK;
}

struct status *pass_form_integers(struct compile *c, struct ir_graph *g)
{
    int n_formed = 0, before;

    do {
        before = n_formed;
        RETURN_IF_FAIL(walk(g, &n_formed));
    } while (n_formed > before && n_formed < MOST_FORMED);
    text_free(&c->left_in_floats); /* of an earlier run */
    return note_what_is_left(g);
}
