/* SPDX-License-Identifier: Apache-2.0 */
/* Values of earlier plans: a search comes back to how its plans begin.
 *
 * A value is worth keeping where nothing else is alive, between two blocks of a
 * network, and a unit reads it: from there on a plan runs with it alone.  Its memory is
 * not copied but changes hands, so that keeping costs nothing but memory; what was used
 * last stays.
 */
#include <string.h>

#include "compress/variants_parts.h"

static const int64_t MOST_BYTES = INT64_C(1) << 30;

struct kept_value {
    struct kept_value *next; /* used before this one */
    uint64_t signature;
    int64_t bytes;
    struct flow_memory memory;
};

/* ---- which ----------------------------------------------------------------------- */

static bool is_plain(const struct ir_value *v)
{
    return v && v->dtype == DT_f32 && !v->dynamic && !v->is_sequence;
}

static void read_by_units(const struct variants_whole *w, bool *is_read)
{
    int at = 0;

    for (const struct ir_node *n = w->g->first; n; n = n->next, at++)
        if (w->unit_of[at] >= 0)
            is_read[n->in[0]->id] = true;
}

/* None where a body may read any value. */
void variants_find_cuts(struct variants_whole *w)
{
    bool *is_read = arena_new_array(w->arena, bool, w->c->n_values);
    bool *is_cut = arena_new_array(w->arena, bool, w->c->n_values);
    int *readers = arena_new_array(w->arena, int, w->c->n_values);
    int n_live = w->g->n_in;

    w->is_cut = is_cut;
    read_by_units(w, is_read);
    for (int i = 0; i < w->g->n_in; i++)
        readers[w->g->in[i]->id] = w->g->in[i]->n_uses;
    for (const struct ir_node *n = w->g->first; n; n = n->next) {
        if (n->body[0]) {
            memset(is_cut, 0, (size_t)w->c->n_values * sizeof *is_cut);
            return;
        }
        for (int i = 0; i < n->n_out; i++)
            if (n->out[i] && (readers[n->out[i]->id] = n->out[i]->n_uses) > 0)
                n_live++;
        for (int i = 0; i < n->n_in; i++)
            if (n->in[i] && !n->in[i]->data && --readers[n->in[i]->id] == 0)
                n_live--;
        if (n_live == 1 && is_plain(n->out[0]) && readers[n->out[0]->id] > 0)
            is_cut[n->out[0]->id] = is_read[n->out[0]->id];
    }
}

/* ---- keeping --------------------------------------------------------------------- */

static struct kept_value *unlink_at(struct kept_value **at)
{
    struct kept_value *k = *at;

    *at = k->next;
    return k;
}

/* The last one of so many bytes, else the last one. */
static struct kept_value *oldest(struct variants_whole *w, int64_t bytes)
{
    struct kept_value **last = &w->kept, **same = NULL;

    for (struct kept_value **at = &w->kept; *at; at = &(*at)->next) {
        last = at;
        same = (*at)->bytes == bytes ? at : same;
    }
    return unlink_at(same ? same : last);
}

static void add(struct variants_whole *w, uint64_t signature, int64_t bytes,
                struct flow_memory memory)
{
    struct kept_value *k = arena_new(memory.arena, struct kept_value);

    *k = (struct kept_value){w->kept, signature, bytes, memory};
    w->kept = k;
    w->kept_bytes += bytes;
}

void variants_keep(struct variants_whole *w, const struct ir_value *v)
{
    const int64_t bytes = flow_n(w->stitched) * ir_bytes(v);

    if (w->forgets || !w->is_cut[v->id] || !w->signature[v->id])
        return;
    add(w, w->signature[v->id], bytes, flow_take(w->stitched, v));
    w->signature[v->id] = 0;
    while (w->kept_bytes > MOST_BYTES) {
        const struct kept_value *k = oldest(w, bytes);

        w->kept_bytes -= k->bytes;
        if (k->bytes == bytes && !flow_at(w->stitched, v, 0))
            flow_give(w->stitched, v, k->memory);
        else
            arena_destroy(k->memory.arena);
    }
}

bool variants_recall(struct variants_whole *w, const struct ir_value *v,
                     uint64_t signature)
{
    struct kept_value **at = &w->kept;

    if (!w->is_cut[v->id])
        return false;
    while (*at && (*at)->signature != signature)
        at = &(*at)->next;
    if (!*at)
        return false;

    const struct kept_value *k = unlink_at(at);

    w->kept_bytes -= k->bytes;
    if (w->signature[v->id])
        add(w, w->signature[v->id], k->bytes, flow_take(w->stitched, v));
    else
        arena_destroy(flow_take(w->stitched, v).arena);
    flow_give(w->stitched, v, k->memory);
    w->signature[v->id] = signature;
    return true;
}

void variants_forget(struct variants_whole *w)
{
    for (struct kept_value *k = w->kept, *next; k; k = next) {
        next = k->next;
        arena_destroy(k->memory.arena);
    }
}
