/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a verb's struct of arguments and its table from OPTIONS_FILE:
 *
 *     #define OPTIONS_FILE "cli/verb_check.def"
 *     #include "cli/option_rows.h"
 *
 * defines `struct args` and `static const struct option options[]`.  No include
 * guard: once per verb. */
#include "cli/option.h"

struct args {
#define SECTION(title)
#define OPTION(field, kind, name, arg, help) option_##kind field;
#include OPTIONS_FILE
#undef OPTION
#undef SECTION
};

static const struct option options[] = {
#define SECTION(title) {OPTION_SECTION, 0, "", "", title},
#define OPTION(field, kind, name, arg, help)                                           \
    {OPTION_##kind, offsetof(struct args, field), name, arg, help},
#include OPTIONS_FILE
#undef OPTION
#undef SECTION
};

enum { N_OPTIONS = sizeof options / sizeof options[0] };
