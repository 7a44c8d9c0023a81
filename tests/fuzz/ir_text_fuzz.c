/* SPDX-License-Identifier: Apache-2.0 */
// links: frontend
/* Text of a graph: what is accepted prints and reads back the same, runs, and goes
 * through the passes. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compile *c = compile_create();
    struct ir_graph *g = NULL;

    fuzz_check(ir_parse(c, (const char *)data, size, &g));
    if (g) {
        fuzz_reads_back(g);
        fuzz_run(g);
        fuzz_passes(c, g);
    }
    compile_destroy(c);
    return 0;
}
