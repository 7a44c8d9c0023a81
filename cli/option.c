/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing of a command line against a verb's table. */
#include "cli/option.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/nearest.h"

static const struct option *find(const struct verb *v, const char *name, size_t len)
{
    for (int i = 0; i < v->n_options; i++) {
        const struct option *o = &v->options[i];

        if (*o->name && strlen(o->name) == len && strncmp(o->name, name, len) == 0)
            return o;
    }
    return NULL;
}

static const char *how_to_help(const struct verb *v)
{
    static char text[64];

    snprintf(text, sizeof text, "`hadmcc %s%s--help` lists the options", v->name,
             *v->name ? " " : "");
    return text;
}

static struct status *unknown(const struct verb *v, const char *word, size_t len)
{
    const char *names[LIST_MAX] = {"--help"};
    int n = 1;
    char name[64];

    for (int i = 0; i < v->n_options && n < LIST_MAX - 1; i++)
        if (*v->options[i].name)
            names[n++] = v->options[i].name;
    snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), word);

    const char *near = nearest_word(name, names);

    if (near)
        return FAIL(BAD_USAGE, "there is no option '%s'; did you mean '%s'?", name,
                    near);
    return FAIL(BAD_USAGE, "there is no option '%s'; %s", name, how_to_help(v));
}

/* ---- values ---------------------------------------------------------------- */

static struct status *set_count(const struct option *o, const char *value, int *out)
{
    char *end;

    errno = 0;
    const long n = strtol(value, &end, 10);

    if (errno || end == value || *end || n < 1 || n > INT_MAX)
        return FAIL(BAD_USAGE, "%s takes a whole number between 1 and %d, not '%s'",
                    o->name, INT_MAX, value);
    *out = (int)n;
    return OK;
}

static struct status *set_number(const struct option *o, const char *value, double *out)
{
    char *end;
    const double x = strtod(value, &end);

    if (end == value || *end || !isfinite(x) || x <= 0)
        return FAIL(BAD_USAGE, "%s takes a positive number, not '%s'", o->name, value);
    *out = x;
    return OK;
}

/* `arg` lists the words: obj|llvm|asm|c */
static struct status *set_choice(const struct option *o, const char *value,
                                 const char **out)
{
    const size_t len = strlen(value);

    for (const char *word = o->arg; *word;) {
        const size_t n = strcspn(word, "|");

        if (n == len && strncmp(word, value, n) == 0) {
            *out = value;
            return OK;
        }
        word += n + (word[n] == '|');
    }
    return FAIL(BAD_USAGE, "%s takes one of %s, not '%s'", o->name, o->arg, value);
}

static struct status *set(const struct option *o, const char *value, void *args)
{
    void *field = (char *)args + o->offset;
    struct text_list *list = field;

    switch (o->kind) {
    case OPTION_SECTION:
    case OPTION_OPERANDS:
        break;
    case OPTION_FLAG:
        *(bool *)field = true;
        break;
    case OPTION_TEXT:
        *(const char **)field = value;
        break;
    case OPTION_COUNT:
        return set_count(o, value, field);
    case OPTION_NUMBER:
        return set_number(o, value, field);
    case OPTION_CHOICE:
        return set_choice(o, value, field);
    case OPTION_LIST:
        if (list->n == LIST_MAX)
            return FAIL(BAD_USAGE, "%s is given more than %d times", o->name, LIST_MAX);
        list->at[list->n++] = value;
        break;
    }
    return OK;
}

static struct text_list *more_operands(const struct verb *v, void *args)
{
    for (int i = 0; i < v->n_options; i++)
        if (v->options[i].kind == OPTION_OPERANDS)
            return (struct text_list *)((char *)args + v->options[i].offset);
    return NULL;
}

/* ---- the line -------------------------------------------------------------- */

/* One option at argv[*i], with its value behind '=' or in the next word. */
static struct status *parse_option(const struct verb *v, int argc, char *const argv[],
                                   int *i, void *args)
{
    const char *word = argv[*i];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const size_t len = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *o = find(v, word, len);

    if (!o)
        return unknown(v, word, len);
    if (o->kind == OPTION_FLAG)
        return equals ? FAIL(BAD_USAGE, "%s takes no value", o->name)
                      : set(o, NULL, args);
    if (equals)
        return set(o, equals + 1, args);
    if (*i + 1 == argc)
        return FAIL(BAD_USAGE, "%s needs a value: %s %s", o->name, o->name, o->arg);
    return set(o, argv[++*i], args);
}

struct status *option_parse(const struct verb *v, int argc, char *const argv[],
                            const char **operand, void *args, bool *help)
{
    bool only_operands = false;

    struct text_list *more = more_operands(v, args);

    memset(args, 0, v->args_size);
    *operand = NULL;
    *help = false;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            *help = true;
            return OK;
        }
    for (int i = 0; i < argc; i++) {
        if (!only_operands && strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else if (!only_operands && argv[i][0] == '-' && argv[i][1]) {
            RETURN_IF_FAIL(parse_option(v, argc, argv, &i, args));
        } else if (*operand && more && more->n < LIST_MAX) {
            more->at[more->n++] = argv[i];
        } else if (*operand || !*v->operand) {
            return FAIL(BAD_USAGE, "'%s' is one operand too many", argv[i]);
        } else {
            *operand = argv[i];
        }
    }
    return OK;
}
