/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed from the tables of verbs and options: --help, the man page and
 * the completions for bash and zsh. */
#include "cli/option.h"

#include <string.h>

#include "frontend/pass.h"

enum { HELP_COLUMN = 24 };

static const char exit_codes[] =
    "0 done; 1 model, data or budget refused; 2 bad usage; 3 a bug in hadmcc";

static void print_verb_names(struct text *out)
{
    for (int i = 1; all_verbs[i]; i++)
        text_printf(out, "%s%s", i > 1 ? " " : "", all_verbs[i]->name);
}

/* ---- --help ---------------------------------------------------------------- */

static void print_indented(struct text *out, const char *lines)
{
    for (const char *at = lines; *at;) {
        const size_t n = strcspn(at, "\n");

        text_append(out, at, n + (at[n] == '\n'));
        at += n + (at[n] == '\n');
        if (*at)
            text_printf(out, "%*s", HELP_COLUMN, "");
    }
    text_puts(out, "\n");
}

static void print_option(struct text *out, const struct option *o)
{
    const size_t start = out->len;

    text_printf(out, "  %s%s%s", o->name, *o->arg ? " " : "", o->arg);

    const int used = (int)(out->len - start);

    if (used >= HELP_COLUMN)
        text_printf(out, "\n%*s", HELP_COLUMN, "");
    else
        text_printf(out, "%*s", HELP_COLUMN - used, "");
    print_indented(out, o->help);
}

static void print_options(struct text *out, const struct verb *v)
{
    for (int i = 0; i < v->n_options; i++)
        if (v->options[i].kind == OPTION_SECTION)
            text_printf(out, "\n%s\n", v->options[i].help);
        else if (*v->options[i].name)
            print_option(out, &v->options[i]);
}

static void print_usage(struct text *out, const struct verb *v)
{
    if (*v->name) {
        text_printf(out, "usage: hadmcc %s%s%s%s\n", v->name, *v->operand ? " " : "",
                    v->operand, v->n_options ? " [options]" : "");
        return;
    }
    text_printf(out, "usage: hadmcc %s --target NAME [options]\n", v->operand);
    text_puts(out, "       hadmcc VERB ...        ");
    print_verb_names(out);
    text_puts(out, "\n");
}

void option_print_help(const struct verb *v, struct text *out)
{
    print_usage(out, v);
    text_printf(out, "\n%s\n", v->about);
    if (v->n_options && v->options[0].kind != OPTION_SECTION)
        text_puts(out, "\n");
    print_options(out, v);
    text_printf(out, "\nexit status: %s\n", exit_codes);
    text_printf(out, "\nexample: %s\n", v->example);
}

/* ---- hadmcc.1 -------------------------------------------------------------- */

/* Text with the characters that troff gives a meaning escaped. */
static void put_troff(struct text *out, const char *text)
{
    bool line_start = true;

    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            text_puts(out, "\\&");
        if (*text == '\\')
            text_puts(out, "\\e");
        else if (*text == '-')
            text_puts(out, "\\-");
        else
            text_append(out, text, 1);
        line_start = *text == '\n';
    }
}

static void man_option(struct text *out, const struct option *o)
{
    text_puts(out, ".TP\n\\fB");
    put_troff(out, o->name);
    text_puts(out, "\\fR");
    if (*o->arg) {
        text_puts(out, " \\fI");
        put_troff(out, o->arg);
        text_puts(out, "\\fR");
    }
    text_puts(out, "\n");
    put_troff(out, o->help);
    text_puts(out, "\n");
}

static void man_verb(struct text *out, const struct verb *v)
{
    text_puts(out, ".SS hadmcc");
    if (*v->name)
        text_printf(out, " %s", v->name);
    text_printf(out, "%s%s", *v->operand ? " " : "", v->operand);
    text_puts(out, "\n");
    put_troff(out, v->about);
    text_puts(out, "\n");
    for (int i = 0; i < v->n_options; i++) {
        if (*v->options[i].name)
            man_option(out, &v->options[i]);
        if (v->options[i].kind != OPTION_SECTION)
            continue;
        text_puts(out, ".PP\n");
        put_troff(out, v->options[i].help);
        text_puts(out, "\n");
    }
    text_puts(out, ".PP\nExample: \\fB");
    put_troff(out, v->example);
    text_puts(out, "\\fR\n");
}

void option_print_man(struct text *out)
{
    text_puts(out, ".TH HADMCC 1\n.SH NAME\nhadmcc \\- compile ONNX models into small, "
                   "fast C libraries\n.SH SYNOPSIS\n");
    text_printf(out, ".B hadmcc\n\\fI%s\\fR \\-\\-target \\fINAME\\fR [options]\n.br\n",
                all_verbs[0]->operand);
    text_puts(out, ".B hadmcc\n\\fIVERB\\fR ...\n.SH DESCRIPTION\n");
    for (int i = 0; all_verbs[i]; i++)
        man_verb(out, all_verbs[i]);
    text_puts(out, ".SH EXIT STATUS\n");
    put_troff(out, exit_codes);
    text_puts(out, "\n");
}

/* ---- completion ------------------------------------------------------------ */

/* What may follow an option: @files, @dirs, @targets, words between spaces, or ""
 * for a text of the user's own.  NULL when nothing follows.  `words` has room. */
static const char *values_of(const struct option *o, struct text *words)
{
    words->len = 0;
    if (!*o->name || o->kind == OPTION_FLAG)
        return NULL;
    if (strcmp(o->arg, "FILE") == 0)
        return "@files";
    if (strcmp(o->arg, "DIR") == 0)
        return "@dirs";
    if (strcmp(o->name, "--target") == 0)
        return "@targets";
    if (strcmp(o->arg, "PASS") == 0) {
        for (int i = 0; i < pass_count(); i++)
            text_printf(words, "%s%s", i ? " " : "", pass_info[i].name);
        return words->bytes;
    }
    if (strcmp(o->arg, "SHELL") == 0)
        return "bash zsh";
    if (!strchr(o->arg, '|'))
        return "";
    text_puts(words, o->arg);
    for (char *c = words->bytes; *c; c++)
        if (*c == '|')
            *c = ' ';
    return words->bytes;
}

static void bash_reply(struct text *out, const char *values)
{
    if (strcmp(values, "@files") == 0)
        text_puts(out, "COMPREPLY=($(compgen -f -- \"$cur\"))");
    else if (strcmp(values, "@dirs") == 0)
        text_puts(out, "COMPREPLY=($(compgen -d -- \"$cur\"))");
    else if (strcmp(values, "@targets") == 0)
        text_puts(
            out, "COMPREPLY=($(compgen -W \"$(hadmcc targets --names)\" -- \"$cur\"))");
    else if (*values)
        text_printf(out, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", values);
    else
        text_puts(out, "COMPREPLY=()");
}

static void bash_values(struct text *out, const struct verb *v)
{
    struct text words = {0};

    for (int i = 0; i < v->n_options; i++) {
        const char *values = values_of(&v->options[i], &words);

        if (!values)
            continue;
        text_printf(out, "    '%s %s') ", v->name, v->options[i].name);
        bash_reply(out, values);
        text_puts(out, "; return ;;\n");
    }
    text_free(&words);
}

static void bash_names(struct text *out, const struct verb *v)
{
    text_printf(out, "    '%s') words='--help", v->name);
    for (int i = 0; i < v->n_options; i++)
        if (*v->options[i].name)
            text_printf(out, " %s", v->options[i].name);
    text_puts(out, "' ;;\n");
}

static void print_bash(struct text *out)
{
    text_puts(
        out,
        "# bash completion of hadmcc\n_hadmcc()\n{\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local verb='' words=''\n"
        "    case \" ");
    print_verb_names(out);
    text_puts(out, " \" in *\" ${COMP_WORDS[1]} \"*) verb=${COMP_WORDS[1]} ;; esac\n"
                   "    case \"$verb $prev\" in\n");
    for (int i = 0; all_verbs[i]; i++)
        bash_values(out, all_verbs[i]);
    text_puts(out, "    esac\n    case \"$verb\" in\n");
    for (int i = 0; all_verbs[i]; i++)
        bash_names(out, all_verbs[i]);
    text_puts(out, "    esac\n    if [[ $cur == -* ]]; then\n"
                   "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                   "    elif [[ $COMP_CWORD == 1 ]]; then\n"
                   "        COMPREPLY=($(compgen -f -- \"$cur\") $(compgen -W '");
    print_verb_names(out);
    text_puts(out, "' -- \"$cur\"))\n    else\n"
                   "        COMPREPLY=($(compgen -f -- \"$cur\"))\n    fi\n}\n"
                   "complete -o filenames -F _hadmcc hadmcc\n");
}

/* Text inside single quotes of an _arguments specification. */
static void put_zsh(struct text *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            text_puts(out, "'\\''");
        else if (*text == '\n')
            text_puts(out, " ");
        else if (strchr("[]:\\", *text))
            text_printf(out, "\\%c", *text);
        else
            text_append(out, text, 1);
}

static void zsh_option(struct text *out, const struct option *o)
{
    struct text words = {0};
    const char *values = values_of(o, &words);

    text_printf(out, "        '%s%s[", o->kind == OPTION_LIST ? "*" : "", o->name);
    put_zsh(out, o->help);
    text_puts(out, "]");
    if (values) {
        text_puts(out, ":");
        put_zsh(out, o->arg);
        text_puts(out, ":");
        if (strcmp(values, "@files") == 0)
            text_puts(out, "_files");
        else if (strcmp(values, "@dirs") == 0)
            text_puts(out, "_files -/");
        else if (strcmp(values, "@targets") == 0)
            text_puts(out, "($(hadmcc targets --names))");
        else
            text_printf(out, "(%s)", values);
    }
    text_puts(out, "' \\\n");
    text_free(&words);
}

static void zsh_verb(struct text *out, const struct verb *v)
{
    text_printf(out, "    %s) _arguments \\\n        '--help[print the help]' \\\n",
                *v->name ? v->name : "*");
    for (int i = 0; i < v->n_options; i++)
        if (*v->options[i].name)
            zsh_option(out, &v->options[i]);
    text_puts(out, "        '*:file:_files' ;;\n");
}

static void print_zsh(struct text *out)
{
    text_puts(out, "#compdef hadmcc\n_hadmcc()\n{\n    if (( CURRENT == 2 )); then\n"
                   "        compadd ");
    print_verb_names(out);
    text_puts(out, "\n    fi\n    case ${words[2]} in\n");
    for (int i = 1; all_verbs[i]; i++)
        zsh_verb(out, all_verbs[i]);
    zsh_verb(out, all_verbs[0]);
    text_puts(out, "    esac\n}\n_hadmcc \"$@\"\n");
}

struct status *option_print_completion(const char *shell, struct text *out)
{
    if (strcmp(shell, "bash") == 0)
        print_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        print_zsh(out);
    else
        return FAIL(BAD_USAGE, "there is completion for bash and zsh, not for '%s'",
                    shell);
    return OK;
}
