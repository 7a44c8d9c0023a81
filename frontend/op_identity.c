/* SPDX-License-Identifier: Apache-2.0 */
/* Identity.  The importer drops it; it stays only where an output of the model is
 * an input, a constant or another output of it. */
#include <string.h>

#include "frontend/ir.h"

struct status *shape_Identity(struct ir_node *n)
{
    const struct ir_value *x = n->in[0];
    struct ir_value *y = n->out[0];

    y->dtype = x->dtype;
    y->rank = x->rank;
    memcpy(y->dim, x->dim, sizeof y->dim);
    y->dynamic = x->dynamic;
    return OK;
}
