/* SPDX-License-Identifier: Apache-2.0 */
/* Charts as SVG inside HTML pages: lines and points over two axes, with ticks at round
 * numbers, a legend below and a title on every mark.  No scripts, prints well.
 */
#ifndef HADMC_SUPPORT_CHART_H
#define HADMC_SUPPORT_CHART_H

#include <stdbool.h>

#include "support/text.h"

enum chart_kind {
    CHART_LINE,
    CHART_STEPS, /* flat until the next point */
    CHART_POINTS,
};

struct chart_series {
    const char *name; /* of the legend; NULL: not in it */
    enum chart_kind kind;
    int n;
    const double *x, *y;       /* finite */
    const char *const *titles; /* of points, shown by pointing at them; or NULL */
    int color;                 /* 0 ... CHART_COLORS - 1 */
    bool faint, dashed;
};

enum { CHART_COLORS = 10 };

struct chart {
    const char *label, *x_title, *y_title; /* label: what it shows, for readers' aids */
    bool x_log, y_log;                     /* values are then above 0 */
    int n;
    const struct chart_series *series;
};

/* The colours and fonts, for the page's <style>. */
extern const char chart_style[];

/* Nothing where no series has a point. */
void chart_put(struct text *t, const struct chart *c);

/* `words` with &, <, > and quotes escaped. */
void chart_put_escaped(struct text *t, const char *words);

#endif /* HADMC_SUPPORT_CHART_H */
