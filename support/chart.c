/* SPDX-License-Identifier: Apache-2.0 */
/* Charts as SVG: see chart.h. */
#include "support/chart.h"

#include <math.h>

enum { WIDTH = 640, HEIGHT = 300, LEFT = 62, RIGHT = 12, TOP = 12, BOTTOM = 44 };
enum { MOST_TICKS = 12, LETTER = 7 };

const char chart_style[] =
    "svg.chart{width:100%;height:auto;font:11px system-ui,sans-serif}"
    "svg.chart text{fill:#57606a}svg.chart .grid{stroke:#e3e6ea}"
    "svg.chart .axis{stroke:#8c959f}svg.chart polyline{fill:none;stroke-width:1.8}"
    "svg.chart .faint{opacity:.35}";

/* Okabe and Ito's, told apart without colour sight, and three more. */
static const char *const colors[CHART_COLORS] = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
    "#56b4e9", "#7a6a00", "#6f4fa0", "#444c56", "#9a9fa5"};

struct axis {
    double low, high;
    bool log;
    int from, to; /* pixels */
    int n;
    double tick[MOST_TICKS];
};

void chart_put_escaped(struct text *t, const char *words)
{
    for (; *words; words++)
        switch (*words) {
        case '&':
            text_puts(t, "&amp;");
            break;
        case '<':
            text_puts(t, "&lt;");
            break;
        case '>':
            text_puts(t, "&gt;");
            break;
        case '"':
            text_puts(t, "&quot;");
            break;
        default:
            text_append(t, words, 1);
        }
}

/* 1, 2 or 5 times a power of ten, so that 4 to 8 of them cover `range`. */
static double round_step(double range)
{
    const double rough = range / 6, power = pow(10, floor(log10(rough))),
                 digit = rough / power;

    return power * (digit < 1.5 ? 1 : digit < 3.5 ? 2 : digit < 7.5 ? 5 : 10);
}

static void add_ticks(struct axis *a)
{
    if (a->log) {
        static const double digits[] = {1, 2, 5};
        const bool few = log10(a->high / a->low) > 3;

        for (double p = pow(10, floor(log10(a->low))); p <= a->high; p *= 10)
            for (int d = 0; d < (few ? 1 : 3); d++)
                if (digits[d] * p >= a->low && digits[d] * p <= a->high
                    && a->n < MOST_TICKS)
                    a->tick[a->n++] = digits[d] * p;
        return;
    }

    const double step = round_step(a->high - a->low);

    for (double v = ceil(a->low / step) * step;
         v <= a->high + 1e-9 * step && a->n < MOST_TICKS; v += step)
        a->tick[a->n++] = fabs(v) < 1e-9 * step ? 0 : v;
}

/* Over all values, with a little room. */
static struct axis make_axis(const struct chart *c, bool is_y, int from, int to)
{
    struct axis a = {.low = INFINITY,
                     .high = -INFINITY,
                     .log = is_y ? c->y_log : c->x_log,
                     .from = from,
                     .to = to};

    for (int s = 0; s < c->n; s++)
        for (int i = 0; i < c->series[s].n; i++) {
            const double v = is_y ? c->series[s].y[i] : c->series[s].x[i];

            a.low = fmin(a.low, v);
            a.high = fmax(a.high, v);
        }
    if (a.log) {
        a.low /= 1.15;
        a.high *= 1.15;
    } else {
        const double room =
            a.high > a.low ? 0.04 * (a.high - a.low) : fmax(fabs(a.high), 1) * 0.1;

        a.low = a.low >= 0 && a.low < 4 * room ? 0 : a.low - room;
        a.high += room;
    }
    add_ticks(&a);
    return a;
}

static double place(const struct axis *a, double v)
{
    const double share = a->log ? log(v / a->low) / log(a->high / a->low)
                                : (v - a->low) / (a->high - a->low);

    return a->from + share * (a->to - a->from);
}

static void put_axes(struct text *t, const struct chart *c, const struct axis *x,
                     const struct axis *y)
{
    for (int i = 0; i < x->n; i++)
        text_printf(t,
                    "<line class=grid x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                    "<text x=\"%.1f\" y=\"%d\" text-anchor=middle>%g</text>\n",
                    place(x, x->tick[i]), place(x, x->tick[i]), y->from, y->to,
                    place(x, x->tick[i]), y->from + 14, x->tick[i]);
    for (int i = 0; i < y->n; i++)
        text_printf(t,
                    "<line class=grid x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                    "<text x=\"%d\" y=\"%.1f\" text-anchor=end>%g</text>\n",
                    x->from, x->to, place(y, y->tick[i]), place(y, y->tick[i]),
                    x->from - 5, place(y, y->tick[i]) + 4, y->tick[i]);
    text_printf(t, "<path class=axis d=\"M%d %dV%dH%d\" fill=none />\n", x->from, y->to,
                y->from, x->to);
    text_printf(t, "<text x=\"%d\" y=\"%d\" text-anchor=middle>", (x->from + x->to) / 2,
                y->from + 32);
    chart_put_escaped(t, c->x_title);
    text_printf(t,
                "</text>\n<text transform=\"translate(13 %d) rotate(-90)\" "
                "text-anchor=middle>",
                (y->from + y->to) / 2);
    chart_put_escaped(t, c->y_title);
    text_puts(t, "</text>\n");
}

static void put_line(struct text *t, const struct chart_series *s, const struct axis *x,
                     const struct axis *y)
{
    text_printf(t, "<polyline stroke=\"%s\"%s%s points=\"", colors[s->color],
                s->faint ? " class=faint" : "",
                s->dashed ? " stroke-dasharray=\"5 3\"" : "");
    for (int i = 0; i < s->n; i++) {
        if (i && s->kind == CHART_STEPS)
            text_printf(t, "%.1f,%.1f ", place(x, s->x[i]), place(y, s->y[i - 1]));
        text_printf(t, "%.1f,%.1f ", place(x, s->x[i]), place(y, s->y[i]));
    }
    text_puts(t, "\"/>\n");
}

static void put_points(struct text *t, const struct chart_series *s,
                       const struct axis *x, const struct axis *y)
{
    for (int i = 0; i < s->n; i++) {
        text_printf(t, "<circle%s cx=\"%.1f\" cy=\"%.1f\" r=\"%s\" fill=\"%s\"",
                    s->faint ? " class=faint" : "", place(x, s->x[i]),
                    place(y, s->y[i]), s->faint ? "2.2" : "3.6", colors[s->color]);
        if (!s->titles) {
            text_puts(t, "/>\n");
            continue;
        }
        text_puts(t, "><title>");
        chart_put_escaped(t, s->titles[i]);
        text_puts(t, "</title></circle>\n");
    }
}

static int letters(const char *s)
{
    int n = 0;

    for (; *s; s++)
        n += (*s & 0xc0) != 0x80;
    return n;
}

/* Returns the height that the entries take. */
static int put_legend(struct text *t, const struct chart *c, int top)
{
    int x = LEFT, row = 0;

    for (int i = 0; i < c->n; i++) {
        const struct chart_series *s = &c->series[i];
        const int width = s->name ? 30 + LETTER * letters(s->name) : 0;

        if (!s->name || !s->n)
            continue;
        if (x + width > WIDTH - RIGHT && x > LEFT) {
            x = LEFT;
            row++;
        }
        text_printf(t,
                    "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" stroke=\"%s\" "
                    "stroke-width=\"%d\"%s/><text x=\"%d\" y=\"%d\">",
                    x, x + 14, top + 16 * row, top + 16 * row, colors[s->color],
                    s->kind == CHART_POINTS ? 6 : 3,
                    s->dashed ? " stroke-dasharray=\"5 3\"" : "", x + 19,
                    top + 16 * row + 4);
        chart_put_escaped(t, s->name);
        text_puts(t, "</text>\n");
        x += width;
    }
    return 16 * (row + 1);
}

void chart_put(struct text *t, const struct chart *c)
{
    const struct axis x = make_axis(c, false, LEFT, WIDTH - RIGHT),
                      y = make_axis(c, true, HEIGHT - BOTTOM, TOP);
    struct text legend = {0};
    const int height = HEIGHT + put_legend(&legend, c, HEIGHT + 4);

    if (isfinite(x.low) && isfinite(y.low)) {
        text_printf(t, "<svg class=chart viewBox=\"0 0 %d %d\" role=img aria-label=\"",
                    WIDTH, height);
        chart_put_escaped(t, c->label);
        text_puts(t, "\">\n");
        put_axes(t, c, &x, &y);
        for (int i = c->n - 1; i >= 0; i--) /* the first one on top */
            if (c->series[i].kind == CHART_POINTS)
                put_points(t, &c->series[i], &x, &y);
            else
                put_line(t, &c->series[i], &x, &y);
        if (legend.len)
            text_append(t, legend.bytes, legend.len);
        text_puts(t, "</svg>\n");
    }
    text_free(&legend);
}
