/* SPDX-License-Identifier: Apache-2.0 */
/* JSON on stdout: see json_out.h. */
#include "cli/json_out.h"

struct status *json_out_print(json_t *value)
{
    const int failed =
        json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(7));

    json_decref(value);
    if (failed)
        return FAIL(IO_ERROR, "cannot write JSON to stdout");
    puts("");
    return OK;
}
