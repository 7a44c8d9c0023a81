/* SPDX-License-Identifier: Apache-2.0 */
/* What is going on, on stderr: one line on a terminal that is written over; by
 * --progress lines for people, lines of JSON, or nothing at all. */
#ifndef HADMC_CLI_PROGRESS_H
#define HADMC_CLI_PROGRESS_H

#include <stdbool.h>

/*   NAME     of --progress */
#define PROGRESS_KINDS(P)                                                              \
    P(auto)  /* a line on a terminal, else nothing */                                  \
    P(plain) /* a line for each thing, and every few seconds */                        \
    P(json)  /* the same as objects */                                                 \
    P(none)

enum progress_kind {
#define PROGRESS_KIND(name) PROGRESS_##name,
    PROGRESS_KINDS(PROGRESS_KIND)
#undef PROGRESS_KIND
        PROGRESS_KIND_COUNT
};

/* By its word; NULL: auto. */
void progress_begin(const char *kind);

/* Replaces the line; NULL takes it away. */
void progress(const char *what);

/* Long work of equal steps. */
struct progress_state {
    const char *stage; /* "searching" */
    int done, all;
    int started_at;   /* steps that were done before, without taking time */
    double seconds;   /* since then */
    const char *best; /* so far; or NULL */
    const char *loss; /* at present; or NULL */
};

/* Often enough for who looks: a fifth of a second on a terminal, else a few. */
bool progress_is_due(void);
void progress_show(const struct progress_state *s);
double progress_seconds(void); /* of some clock that only goes on */

#endif /* HADMC_CLI_PROGRESS_H */
