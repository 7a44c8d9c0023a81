/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Bytes of an ONNX file: imported, and what was accepted is printed, read back and,
 * where it is small, run; then it goes through the passes. */
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx_import.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/proto_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compile *c = compile_create();
    struct onnx_problems problems = {0};
    struct ir_graph *g = NULL;

    fuzz_check(onnx_import_bytes(c, data, size, NULL, NULL,
                                 size % 2 ? &problems : NULL, &g));
    if (g) {
        fuzz_reads_back(g);
        fuzz_run(g);
        fuzz_passes(c, g);
    }
    compile_destroy(c);
    return 0;
}

#ifdef HADMC_FUZZ
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned int seed);

/* One time in eight bytes are changed without regard to fields. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size,
                               unsigned int seed)
{
    struct text out = {0};
    uint32_t state = seed;

    if (proto_random(&state) % 8 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    proto_mutate(data, size, &state, 0, &out);
    if (!out.len || out.len > max_size) {
        text_free(&out);
        return LLVMFuzzerMutate(data, size, max_size);
    }
    memcpy(data, out.bytes, out.len);
    const size_t made = out.len;

    text_free(&out);
    return made;
}
#endif
