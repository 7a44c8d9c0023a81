/* SPDX-License-Identifier: Apache-2.0 */
/* links: codegen frontend kernels runtime */
/* Weights files: the reader never reads outside the file, what it accepts the
 * library's verifier accepts too, and every byte that it points to may be read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/weights_header.h"
#include "runtime/hadm.h"
#include "runtime/weights_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_model(const uint8_t *file, size_t size, const struct hadm_weights *w)
{
    static _Alignas(64) uint8_t workspace[64];
    struct hadm_model model = {.abi = HADM_ABI, .payload_bytes = w->payload_bytes};
    struct hadm_context context;

    memcpy(model.structure_hash, w->structure_hash, sizeof model.structure_hash);
    if (hadm_open(&context, &model, file, size, workspace, sizeof workspace,
                  HADM_CHECK_PAYLOAD) == HADM_OK)
        hadm_run(&context, NULL);
}

static void decode(const uint8_t *file)
{
    struct weights_header h = {0};

    weights_header_decode(file, &h, 0);
    h.tensors = calloc((size_t)h.n_tensors + 1, sizeof *h.tensors);
    weights_header_decode(file, &h, h.n_tensors);
    for (int i = 0; i < h.n_tensors; i++)
        if (h.tensors[i].offset + h.tensors[i].bytes > h.payload_bytes)
            abort();
    free(h.tensors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file = aligned_alloc(64, (size + 64) & ~(size_t)63);
    struct hadm_weights w;

    memcpy(file, data, size);
    if (hadm_weights_read(&w, file, size)) {
        if (!weights_header_verify(file, w.header_bytes))
            abort();
        decode(file);
        hadm_weights_check_payload(&w);
        open_model(file, size, &w);
    }
    free(file);
    return 0;
}
