/* SPDX-License-Identifier: Apache-2.0 */
/* hadmcc: finds the verb, parses its options, runs it, prints what went wrong. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/option.h"
#include "support/nearest.h"
#include "support/scratch_folder.h"

#define VERB(name) extern const struct verb verb_##name;
#include "cli/verbs.def"

const struct verb *const all_verbs[] = {
#define VERB(name) &verb_##name,
#include "cli/verbs.def"
    NULL,
};

const struct verb *verb_find(const char *name)
{
    for (int i = 1; all_verbs[i]; i++)
        if (strcmp(all_verbs[i]->name, name) == 0)
            return all_verbs[i];
    return NULL;
}

/* A word that is neither a verb nor a file is more likely a verb mistyped. */
static struct status *check_first_word(const char *word)
{
    const char *names[LIST_MAX] = {NULL};

    if (word[0] == '-' || access(word, F_OK) == 0)
        return OK;
    for (int i = 1; all_verbs[i]; i++)
        names[i - 1] = all_verbs[i]->name;

    const char *near = nearest_word(word, names);

    if (near)
        return FAIL(BAD_USAGE, "there is no verb '%s'; did you mean '%s'?", word, near);
    return OK;
}

static struct status *run_verb(const struct verb *v, int argc, char *const argv[])
{
    void *args = calloc(1, v->args_size);
    const char *operand = NULL;
    bool help = false;
    struct status *s = args ? option_parse(v, argc, argv, &operand, args, &help)
                            : FAIL(NO_FIT, "out of memory");

    if (!s && help) {
        struct text text = {0};

        option_print_help(v, &text);
        fputs(text.bytes, stdout);
        text_free(&text);
    } else if (!s) {
        scratch_folders_watch();
        s = v->run(operand, args);
        scratch_folders_end();
    }
    free(args);
    return s;
}

static struct status *run_line(int argc, char *const argv[])
{
    const struct verb *v = argc > 1 ? verb_find(argv[1]) : NULL;

    if (v)
        return run_verb(v, argc - 2, argv + 2);
    if (argc > 1)
        RETURN_IF_FAIL(check_first_word(argv[1]));
    return run_verb(all_verbs[0], argc - 1, argv + 1);
}

int main(int argc, char *argv[])
{
    signal(SIGXFSZ, SIG_IGN); /* what cannot be written is named instead */

    struct status *s = run_line(argc, argv);

    if (!s && fflush(stdout) != 0)
        s = FAIL(IO_ERROR, "cannot write the result to stdout");
    fflush(stdout);
    if (s)
        status_print(s, stderr);

    const int code = status_exit_code(s);

    status_free(s);
    return code;
}
