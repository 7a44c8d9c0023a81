/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of kernel calls: how they are built, and 16-bit floats.
 *
 * Arithmetic on f16 and bf16 is done in float32: when an operator has no kernel
 * for them, lower_node lowers a shadow of the node whose 16-bit operands are
 * float32 temporaries, between casts in and casts out.  No operator has to know. */
#include "frontend/lower.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void no_kernel(const char *name)
{
    fprintf(stderr, "hadmcc: no kernel '%s': kernels.def and lowering disagree\n", name);
    abort();
}

static struct kcall *append_call(struct lowering *lw, const struct kernel_info *kernel,
                                 const void *params, int64_t n_units)
{
    struct kcall *call = arena_new(lw->compile->perm, struct kcall);

    call->kernel = kernel;
    call->params = arena_copy(lw->compile->perm, params, kernel->params_size);
    call->n_units = n_units;
    lw->calls = arena_grow(lw->compile->perm, lw->calls, sizeof *lw->calls, lw->n_calls,
                           &lw->cap_calls);
    lw->calls[lw->n_calls++] = call;
    return call;
}

struct kcall *lower_call(struct lowering *lw, const char *kernel, const void *params,
                         int64_t n_units)
{
    const struct kernel_info *info = kernel_find(kernel);

    if (!info)
        no_kernel(kernel);
    return append_call(lw, info, params, n_units);
}

struct kcall *lower_call_typed(struct lowering *lw, const char *op, enum dtype dtype,
                               const void *params, int64_t n_units)
{
    const struct kernel_info *info = kernel_find_typed(op, dtype);

    return info ? append_call(lw, info, params, n_units) : NULL;
}

static struct kbuf *append_buf(struct kcall *call, struct kbuf buf)
{
    assert(call->n_bufs < K_MAX_BUFS);
    call->bufs[call->n_bufs] = buf;
    return &call->bufs[call->n_bufs++];
}

void lower_in(struct kcall *call, struct ir_value *v)
{
    lower_in_at(call, v, 0);
}

void lower_in_at(struct kcall *call, struct ir_value *v, int64_t offset_bytes)
{
    append_buf(call, (struct kbuf){.kind = KB_VALUE, .value = v, .offset = offset_bytes});
}

void lower_out(struct kcall *call, struct ir_value *v)
{
    lower_out_at(call, v, 0);
}

void lower_out_at(struct kcall *call, struct ir_value *v, int64_t offset_bytes)
{
    append_buf(call, (struct kbuf){.kind = KB_VALUE, .written = true, .value = v,
                                   .offset = offset_bytes});
}

void lower_dims(struct kcall *call, struct ir_value *v, bool written)
{
    append_buf(call, (struct kbuf){.kind = KB_DIMS, .written = written, .value = v});
}

void lower_scratch(struct kcall *call, int64_t bytes)
{
    append_buf(call, (struct kbuf){.kind = KB_SCRATCH, .written = true, .size = bytes});
}

int lower_temp(struct lowering *lw, int64_t bytes)
{
    assert(lw->n_temps < (int)(sizeof lw->temp_bytes / sizeof *lw->temp_bytes));
    lw->temp_bytes[lw->n_temps] = bytes;
    return lw->n_temps++;
}

void lower_in_temp(struct kcall *call, int temp)
{
    append_buf(call, (struct kbuf){.kind = KB_TEMP, .index = temp});
}

void lower_out_temp(struct kcall *call, int temp)
{
    append_buf(call, (struct kbuf){.kind = KB_TEMP, .written = true, .index = temp});
}

/* ---- shapes ---------------------------------------------------------------- */

void lower_dims_of(const struct ir_value *v, int64_t dim[K_MAX_RANK])
{
    for (int i = 0; i < K_MAX_RANK; i++)
        dim[i] = i < K_MAX_RANK - v->rank ? 1 : v->dim[i - (K_MAX_RANK - v->rank)];
}

void lower_strides_of(const struct ir_value *v, int64_t stride[K_MAX_RANK])
{
    int64_t dim[K_MAX_RANK], step = 1;

    lower_dims_of(v, dim);
    for (int i = K_MAX_RANK - 1; i >= 0; i--) {
        stride[i] = i < K_MAX_RANK - v->rank ? 0 : step;
        step *= dim[i];
    }
}

void lower_broadcast_strides(const struct ir_value *v, const struct ir_value *to,
                             int64_t stride[K_MAX_RANK])
{
    int64_t from_dim[K_MAX_RANK], to_dim[K_MAX_RANK];

    lower_dims_of(v, from_dim);
    lower_dims_of(to, to_dim);
    lower_strides_of(v, stride);
    for (int i = 0; i < K_MAX_RANK; i++)
        if (from_dim[i] == 1)
            stride[i] = 0;
    assert(v->rank <= to->rank || ir_count(v) == ir_count(to));
}

void lower_merge_dims(struct k_eltwise *p, int arity)
{
    struct k_eltwise merged = *p;
    int at = K_MAX_RANK; /* [at, K_MAX_RANK) of `merged` is done */

    for (int d = K_MAX_RANK - 1; d >= 0; d--) {
        if (p->dim[d] == 1)
            continue;
        /* merged[at] keeps the strides of the innermost dim that joined it. */
        bool joins = at < K_MAX_RANK;
        for (int k = 0; joins && k < arity; k++)
            joins = p->in[k][d] == merged.in[k][at] * merged.dim[at];
        if (joins) {
            merged.dim[at] *= p->dim[d];
            continue;
        }
        at--;
        merged.dim[at] = p->dim[d];
        for (int k = 0; k < arity; k++)
            merged.in[k][at] = p->in[k][d];
    }
    while (at-- > 0) {
        merged.dim[at] = 1;
        for (int k = 0; k < arity; k++)
            merged.in[k][at] = 0;
    }
    *p = merged;
}

/* ---- element operators ------------------------------------------------------ */

/* Elements of a dynamic value are dense in its actual dims, so operators that
 * stretch one operand along another need them; a single element has no layout. */
static bool dynamic_is_fine(int arity, struct ir_value *const *in, int *which)
{
    int n_many = 0;

    *which = -1;
    for (int k = 0; k < arity; k++) {
        n_many += ir_count(in[k]) != 1;
        if (in[k]->dynamic)
            *which = k;
    }
    return *which < 0 || n_many <= 1;
}

/* The result has as many elements as the dynamic operand. */
static void copy_dims(struct lowering *lw, struct ir_value *from, struct ir_value *to)
{
    struct k_eltwise p = {.dim = {1, 1, 1, 1, 1, 1, 1, to->rank}};

    p.in[0][K_MAX_RANK - 1] = 1;
    struct kcall *call = lower_call(lw, "id_i64", &p, to->rank);
    lower_dims(call, from, false);
    lower_dims(call, to, true);
}

struct status *lower_eltwise(struct lowering *lw, const struct ir_node *n, const char *op,
                             enum dtype dtype, int arity, struct ir_value *const *in,
                             struct ir_value *out, const float *f)
{
    struct k_eltwise p = {0};
    int dynamic;

    if (!dynamic_is_fine(arity, in, &dynamic))
        return FAIL_AT(n, UNSUPPORTED,
                       "stretches an operand whose size is known only when running");
    if (dynamic >= 0 && in[dynamic]->rank != out->rank)
        return FAIL_AT(n, UNSUPPORTED, "changes the rank of a value of dynamic size");
    lower_dims_of(out, p.dim);
    for (int k = 0; k < arity; k++)
        lower_broadcast_strides(in[k], out, p.in[k]);
    if (f)
        memcpy(p.f, f, sizeof p.f);

    struct kcall *call = lower_call_typed(lw, op, dtype, &p, ir_count(out));
    if (!call)
        return FAIL_AT(n, UNSUPPORTED, "is not implemented for %s",
                       dtype_info[dtype].name);
    assert(call->kernel->arity == arity);
    for (int k = 0; k < arity; k++)
        lower_in(call, in[k]);
    lower_out(call, out);
    if (dynamic >= 0)
        copy_dims(lw, in[dynamic], out);
    return OK;
}

/* ---- 16-bit floats ------------------------------------------------------------ */

enum { MAX_SHADOWS = 24 };

struct shadows {
    int n;
    struct {
        struct ir_value *of, *value; /* the node's operand and its float32 stand-in */
        int temp;
        bool written;
    } at[MAX_SHADOWS];
};

static bool is_half(const struct ir_value *v)
{
    return v && !v->is_sequence && (v->dtype == DT_f16 || v->dtype == DT_bf16);
}

static bool has_half(const struct ir_node *n)
{
    bool found = false;

    for (int i = 0; i < n->n_in; i++)
        found |= is_half(n->in[i]);
    for (int i = 0; i < n->n_out; i++)
        found |= is_half(n->out[i]);
    return found && n->n_in + n->n_out <= MAX_SHADOWS;
}

static const struct kernel_info *cast_kernel(enum dtype from, enum dtype to,
                                             struct k_eltwise *p, int64_t count)
{
    char name[32];

    snprintf(name, sizeof name, "cast_%s_%s", dtype_info[from].name, dtype_info[to].name);
    const struct kernel_info *kernel = kernel_find(name);
    if (!kernel)
        no_kernel(name);
    *p = (struct k_eltwise){.dim = {1, 1, 1, 1, 1, 1, 1, count}};
    p->in[0][K_MAX_RANK - 1] = 1;
    return kernel;
}

/* Lowering may look into constants (limits of Clip), so shadows have contents too. */
static const void *widened(struct compile *c, const struct ir_value *v)
{
    struct k_eltwise p;
    const int64_t count = ir_count(v);
    void *data = arena_alloc_array(c->perm, (size_t)(count ? count : 1), sizeof(float));

    cast_kernel(v->dtype, DT_f32, &p, count)
        ->fn(&p, (void *[]){(void *)v->data, data}, 0, count);
    return data;
}

static struct ir_value *shadow_of(struct lowering *lw, struct shadows *s,
                                  struct ir_value *v, bool written)
{
    if (!is_half(v))
        return v;
    for (int i = 0; i < s->n; i++)
        if (s->at[i].of == v)
            return s->at[i].value;

    struct ir_value *value = arena_copy(lw->compile->perm, v, sizeof *v);
    value->dtype = DT_f32;
    if (v->data)
        value->data = widened(lw->compile, v);
    s->at[s->n].of = v;
    s->at[s->n].value = value;
    s->at[s->n].written = written;
    s->at[s->n].temp = lower_temp(lw, ir_bytes(value));
    s->n++;
    return value;
}

static void cast_shadow(struct lowering *lw, const struct shadows *s, int i)
{
    struct ir_value *v = s->at[i].of;
    const bool out = s->at[i].written;
    struct k_eltwise p;
    const struct kernel_info *kernel = cast_kernel(
        out ? DT_f32 : v->dtype, out ? v->dtype : DT_f32, &p, ir_count(v));
    struct kcall *call = append_call(lw, kernel, &p, ir_count(v));

    if (out)
        lower_in_temp(call, s->at[i].temp);
    else
        lower_in(call, v);
    if (out)
        lower_out(call, v);
    else
        lower_out_temp(call, s->at[i].temp);
}

/* Calls were made for the shadow node: send its operands to the temporaries. */
static void redirect(struct kcall *call, const struct shadows *s)
{
    for (int b = 0; b < call->n_bufs; b++) {
        struct kbuf *buf = &call->bufs[b];

        for (int i = 0; i < s->n; i++) {
            if (buf->value != s->at[i].value)
                continue;
            buf->value = s->at[i].of;
            if (buf->kind == KB_VALUE) {
                buf->kind = KB_TEMP;
                buf->value = NULL;
                buf->index = s->at[i].temp;
            }
            break;
        }
    }
}

static struct status *lower_widened(struct lowering *lw, const struct ir_node *n)
{
    struct shadows s = {0};
    struct ir_node shadow = *n;

    shadow.in = arena_new_array(lw->compile->perm, struct ir_value *, n->n_in + 1);
    shadow.out = arena_new_array(lw->compile->perm, struct ir_value *, n->n_out + 1);
    for (int i = 0; i < n->n_in; i++)
        shadow.in[i] = shadow_of(lw, &s, n->in[i], false);
    for (int i = 0; i < n->n_out; i++)
        shadow.out[i] = shadow_of(lw, &s, n->out[i], true);
    for (int i = 0; i < s.n; i++)
        if (!s.at[i].written)
            cast_shadow(lw, &s, i);

    const int first = lw->n_calls;
    RETURN_IF_FAIL(op_info[n->op].lower(lw, &shadow));
    for (int i = first; i < lw->n_calls; i++)
        redirect(lw->calls[i], &s);
    for (int i = 0; i < s.n; i++)
        if (s.at[i].written)
            cast_shadow(lw, &s, i);
    return OK;
}

struct status *lower_node(struct compile *c, const struct ir_node *n, struct lowering *out)
{
    *out = (struct lowering){.compile = c};
    if (!op_info[n->op].lower)
        return FAIL_AT(n, UNSUPPORTED, "has no library kernel");

    struct status *s = op_info[n->op].lower(out, n);
    if (!s || status_code(s) != UNSUPPORTED || !has_half(n))
        return s;
    *out = (struct lowering){.compile = c};
    struct status *wide = lower_widened(out, n);
    if (wide) {
        status_free(wide);
        return s;
    }
    status_free(s);
    return OK;
}
