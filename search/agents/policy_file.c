/* SPDX-License-Identifier: Apache-2.0 */
/* Actors in a file: see policy_file.h. */
#include "search/agents/policy_file.h"

#include <assert.h>
#include <string.h>

#define MAGIC "HADACT1"

enum { MAX_WIDTH = 4096 };

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are copied");

/* ---- writing ----------------------------------------------------------------------
 */

static void put_u32(struct text *t, int value)
{
    const uint32_t v = (uint32_t)value;

    text_append(t, &v, sizeof v);
}

static void put_f64(struct text *t, double v)
{
    text_append(t, &v, sizeof v);
}

static void put_net(struct text *t, const struct net *n)
{
    for (int64_t i = 0; i < n->n; i += 8) {
        uint8_t bits = 0;

        for (int k = 0; k < 8; k++)
            bits |= (uint8_t)((n->w[i + k] != 0) << k);
        text_append(t, &bits, 1);
    }
    for (int64_t i = 0; i < n->n; i++)
        if (n->w[i] != 0)
            text_append(t, &n->w[i], sizeof(real));
}

void policy_write(const struct team *t, const struct controller_options *o,
                  struct text *out)
{
    const struct environment *e = t->e;
    const size_t n_bytes = (size_t)e->n_observation * sizeof(real);

    text_append(out, MAGIC, sizeof MAGIC);
    put_u32(out, sizeof(real));
    put_u32(out, e->n_agents);
    for (int i = 0; i < e->n_agents; i++)
        put_u32(out, e->agents[i].n_actions);
    put_u32(out, e->n_observation);
    put_u32(out, (int)o->coordination);
    put_u32(out, t->n_actors == 1);
    put_u32(out, o->n_lstm);
    put_u32(out, o->n_hidden);
    for (int i = 0; i < NET_MAX_HIDDEN; i++)
        put_u32(out, o->actor_hidden[i]);
    put_u32(out, o->n_policies);
    put_f64(out, t->prior_weight);
    put_f64(out, t->temperature);
    put_f64(out, t->temperature_rise);
    text_append(out, t->observations->shift, n_bytes);
    text_append(out, t->observations->scale, n_bytes);
    for (int k = 0; k < t->n_actors; k++)
        for (int m = 0; m < t->actors[k]->n_policies; m++) {
            put_f64(out, t->actors[k]->weights[m]);
            put_net(out, t->actors[k]->nets[m]);
        }
}

/* ---- reading ----------------------------------------------------------------------
 */

struct cursor {
    const char *what;
    const uint8_t *at, *end;
};

static struct status *take(struct cursor *c, void *to, size_t n_bytes)
{
    if ((size_t)(c->end - c->at) < n_bytes)
        return FAIL(INVALID, "'%s' is cut short", c->what);
    memcpy(to, c->at, n_bytes);
    c->at += n_bytes;
    return OK;
}

/* A number of the head that lies within low ... high. */
static struct status *take_u32(struct cursor *c, const char *name, int low, int high,
                               int *out)
{
    uint32_t v = 0;

    RETURN_IF_FAIL(take(c, &v, sizeof v));
    if (v < (uint32_t)low || v > (uint32_t)high)
        return FAIL(INVALID, "'%s' says %u for %s, which is from %d to %d", c->what, v,
                    name, low, high);
    *out = (int)v;
    return OK;
}

static struct status *take_f64(struct cursor *c, double *out)
{
    RETURN_IF_FAIL(take(c, out, sizeof *out));
    return isfinite(*out)
               ? OK
               : FAIL(INVALID, "'%s' holds a number that is not finite", c->what);
}

static struct status *take_elements(struct cursor *c, int64_t n, real *out)
{
    RETURN_IF_FAIL(take(c, out, (size_t)n * sizeof *out));
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(out[i]))
            return FAIL(INVALID, "'%s' holds a number that is not finite", c->what);
    return OK;
}

static struct status *take_net(struct cursor *c, struct net *n)
{
    const uint8_t *const bits = c->at;
    const int64_t n_bytes = n->n / 8;

    if (c->end - c->at < n_bytes)
        return FAIL(INVALID, "'%s' is cut short", c->what);
    c->at += n_bytes;
    for (int64_t i = 0; i < n->n; i++) {
        n->w[i] = 0;
        if (bits[i / 8] >> i % 8 & 1)
            RETURN_IF_FAIL(take_elements(c, 1, &n->w[i]));
    }
    return OK;
}

/* The head, up to the first f64. */
static struct status *take_shape(struct cursor *c, const struct environment *e,
                                 struct controller_options *o, int *shared)
{
    char magic[sizeof MAGIC];
    int n, coordination;

    if (c->end - c->at < (ptrdiff_t)sizeof MAGIC || memcmp(c->at, MAGIC, sizeof MAGIC))
        return FAIL(INVALID, "'%s' is no file of actors", c->what);
    RETURN_IF_FAIL(take(c, magic, sizeof magic));
    RETURN_IF_FAIL(take_u32(c, "bytes of an element", sizeof(real), sizeof(real), &n));
    RETURN_IF_FAIL(take_u32(c, "agents", e->n_agents, e->n_agents, &n));
    for (int i = 0; i < e->n_agents; i++)
        RETURN_IF_FAIL(
            take_u32(c, "actions", e->agents[i].n_actions, e->agents[i].n_actions, &n));
    RETURN_IF_FAIL(take_u32(c, "inputs", e->n_observation, e->n_observation, &n));
    RETURN_IF_FAIL(take_u32(c, "coordination", 0, 1, &coordination));
    o->coordination = (enum coordination)coordination;
    RETURN_IF_FAIL(take_u32(c, "one actor for all", 0, 1, shared));
    RETURN_IF_FAIL(take_u32(c, "LSTM cells", 0, MAX_WIDTH, &o->n_lstm));
    RETURN_IF_FAIL(take_u32(c, "hidden layers", 0, NET_MAX_HIDDEN, &o->n_hidden));
    for (int i = 0; i < NET_MAX_HIDDEN; i++)
        RETURN_IF_FAIL(take_u32(c, "units of a layer", i < o->n_hidden, MAX_WIDTH,
                                &o->actor_hidden[i]));
    return take_u32(c, "policies", 1, MIXTURE_MAX, &o->n_policies);
}

struct status *policy_read(struct arena *a, const char *what, const void *bytes,
                           size_t len, const struct environment *e, struct team **out)
{
    struct cursor c = {what, bytes, (const uint8_t *)bytes + len};
    struct controller_options o = controller_defaults(CONTROLLER_mappo);
    int shared;

    RETURN_IF_FAIL(take_shape(&c, e, &o, &shared));
    RETURN_IF_FAIL(take_f64(&c, &o.prior_weight));
    RETURN_IF_FAIL(take_f64(&c, &o.temperature));
    RETURN_IF_FAIL(take_f64(&c, &o.temperature_rise));
    if (!(o.temperature > 0) || !(o.temperature_rise >= 0))
        return FAIL(INVALID, "'%s' says temperature %g, rising by %g", what,
                    o.temperature, o.temperature_rise);

    const bool one_for_all = shared && e->n_agents > 1;

    if (team_size(e, &o, one_for_all) / 8 > c.end - c.at) /* a bit each, at least */
        return FAIL(INVALID, "'%s' is cut short", what);

    struct team *t = team_create(a, e, &o, one_for_all, NULL);

    RETURN_IF_FAIL(take_elements(&c, e->n_observation, t->observations->shift));
    RETURN_IF_FAIL(take_elements(&c, e->n_observation, t->observations->scale));
    for (int k = 0; k < t->n_actors; k++)
        for (int m = 0; m < o.n_policies; m++) {
            RETURN_IF_FAIL(take_f64(&c, &t->actors[k]->weights[m]));
            RETURN_IF_FAIL(take_net(&c, t->actors[k]->nets[m]));
        }
    if (c.at != c.end)
        return FAIL(INVALID, "'%s' goes on after its last number", what);
    *out = t;
    return OK;
}
