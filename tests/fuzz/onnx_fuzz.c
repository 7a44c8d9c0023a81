/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Bytes of an ONNX file: imported, and what was accepted is printed, read back and,
 * where it is small, run. */
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx_import.h"
#include "tests/fuzz/fuzz.h"

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
    }
    compile_destroy(c);
    return 0;
}
