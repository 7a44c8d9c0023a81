/* SPDX-License-Identifier: Apache-2.0 */
/* See probe.h. */
#include "train/probe.h"

#include <string.h>

#include "frontend/interpret.h"

struct status *probe(struct arena *a, const struct ir_node *n, int k, const float *x,
                     const float **out)
{
    struct interpretation io = {
        arena_new_array(a, struct tensor, n->graph->compile->n_values)};

    for (int i = 0; i < n->n_in; i++)
        if (n->in[i] && !n->in[i]->data)
            interpret_value(a, n->in[i], &io);
    memcpy(io.by_id[n->in[k]->id].data, x, (size_t)ir_bytes(n->in[k]));
    RETURN_IF_FAIL(interpret_node(a, n, &io));
    for (int i = 0; i < n->n_out; i++)
        out[i] = n->out[i] ? io.by_id[n->out[i]->id].data : NULL;
    return OK;
}

enum { MOST_ELEMENTS = 1 << 24 }; /* that float32 can count */

/* x[i] = i, and once more one larger: what moved has become one larger too. */
struct status *probe_moves(struct arena *a, const struct ir_node *n, int k,
                           const int64_t **at, const float **fill)
{
    const int64_t count = ir_count(n->in[k]);
    float *x = arena_new_array(a, float, count);
    const float **larger = arena_new_array(a, const float *, n->n_out);

    if (count >= MOST_ELEMENTS)
        return FAIL_AT(n, UNSUPPORTED, "has too many elements to train through");
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)i;
    RETURN_IF_FAIL(probe(a, n, k, x, fill));
    for (int64_t i = 0; i < count; i++)
        x[i] = (float)(i + 1);
    RETURN_IF_FAIL(probe(a, n, k, x, larger));
    for (int i = 0; i < n->n_out; i++) {
        const int64_t m = n->out[i] ? ir_count(n->out[i]) : 0;
        int64_t *from = arena_new_array(a, int64_t, m);

        for (int64_t j = 0; j < m; j++)
            from[j] = larger[i][j] == fill[i][j] ? -1 : (int64_t)fill[i][j];
        at[i] = from;
    }
    return OK;
}
