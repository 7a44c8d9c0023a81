/* SPDX-License-Identifier: Apache-2.0 */
/* Incremental updates: only the layers that changed most become new, as many as fit
 * into a share of the weights; the others stay as they are on the device.
 *
 * A tensor's change is |new - old| / |old| (Euclidean norms), a layer's that of the
 * largest of its tensors that changed: of its weights, from which its packed biases and
 * scales follow.  Layers are taken by falling change, each if it still fits.  Packed
 * tensors are float32 when all their numbers look like it, else 8-bit codes.
 */
#ifndef HADMC_UPDATE_LAYER_CHOICE_H
#define HADMC_UPDATE_LAYER_CHOICE_H

#include "update/weights_file.h"

struct layer_change {
    const char *name; /* of its largest tensor */
    uint64_t bytes;   /* of its tensors        */
    double change;    /* 0 and more            */
    bool is_new;      /* becomes new           */
};

struct layer_choice {
    int n_layers; /* in the order of the code */
    struct layer_change *layers;
    uint64_t total_bytes, new_bytes; /* of all layers; of those that become new */
    struct weights_file
        result; /* base with these layers; its origin is that of `fresh` */
};

/* `base` and `fresh` belong to the same code.  0 < ratio <= 1: new_bytes is at most
 * ratio times total_bytes.  INVALID when their tensors do not lie in the same places.
 */
struct status *layer_choice_make(struct arena *a, const struct weights_file *base,
                                 const struct weights_file *fresh, double ratio,
                                 struct layer_choice *out);

#endif /* HADMC_UPDATE_LAYER_CHOICE_H */
