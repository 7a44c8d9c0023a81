/* SPDX-License-Identifier: Apache-2.0 */
/* The command line as tables.
 *
 * A verb is a row of verbs.def and a file verb_<name>.c; its options are the rows of
 * verb_<name>.def:
 *
 *     SECTION("Looking inside:")
 *     OPTION(dump_after, TEXT, "--dump-after", "PASS", "print the IR after PASS")
 *
 *   field   member of the verb's struct of arguments that receives the value
 *   kind    FLAG (no value), TEXT, COUNT (a whole number >= 1), NUMBER (> 0),
 *           CHOICE (one of the words in the metavariable), LIST (may be repeated);
 *           OPERANDS takes what follows the first operand and has no name
 *   name    as typed
 *   arg     metavariable; says to the shell completion what it is: FILE, DIR,
 *           TARGET, PASS, or the words themselves, a|b|c.  "" for a FLAG
 *   help    lines separated by \n; 54 columns each
 *
 * Parsing, --help, the man page and both shell completions read the same rows.  A
 * verb's file takes them in with
 *
 *     #define OPTIONS_FILE "cli/verb_check.def"
 *     #include "cli/option_rows.h"
 */
#ifndef HADMC_CLI_OPTION_H
#define HADMC_CLI_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "support/status.h"
#include "support/text.h"

enum { LIST_MAX = 64 };

struct text_list {
    int n;
    const char *at[LIST_MAX];
};

typedef bool option_FLAG;
typedef const char *option_TEXT;
typedef int option_COUNT;
typedef double option_NUMBER;
typedef const char *option_CHOICE;
typedef struct text_list option_LIST;
typedef struct text_list option_OPERANDS;

enum option_kind {
    OPTION_SECTION, /* a heading in the help, not an option */
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_COUNT,
    OPTION_NUMBER,
    OPTION_CHOICE,
    OPTION_LIST,
    OPTION_OPERANDS,
};

struct option {
    enum option_kind kind;
    size_t offset; /* of the field */
    const char *name, *arg, *help; /* sections and OPERANDS have the name "" */
};

struct verb {
    const char *name;    /* "" is the main job */
    const char *operand; /* metavariable of its operand; "" if it has none */
    const char *about;   /* what it does, one paragraph */
    const char *example;
    const struct option *options;
    int n_options;
    size_t args_size; /* of its struct of arguments */
    struct status *(*run)(const char *operand, const void *args);
};

/* Rows of verbs.def, ends with NULL; the first is the main job. */
extern const struct verb *const all_verbs[];
const struct verb *verb_find(const char *name); /* NULL when there is none */

/* Parse `argv` (without program and verb) into `args`, which is zeroed.  *help is
 * set when --help was given; then nothing else is checked. */
struct status *option_parse(const struct verb *v, int argc, char *const argv[],
                            const char **operand, void *args, bool *help);

/* ---- printed from the tables (option_text.c) ---------------------------------- */

void option_print_help(const struct verb *v, struct text *out);
void option_print_man(struct text *out);
struct status *option_print_completion(const char *shell, struct text *out);

#endif /* HADMC_CLI_OPTION_H */
