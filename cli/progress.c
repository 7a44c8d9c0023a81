/* SPDX-License-Identifier: Apache-2.0 */
/* What is going on: see progress.h. */
#include "cli/progress.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum progress_kind kind;
static double last_shown = -INFINITY;

void progress_begin(const char *word)
{
    static const char *const names[] = {
#define PROGRESS_KIND(name) #name,
        PROGRESS_KINDS(PROGRESS_KIND)
#undef PROGRESS_KIND
    };

    for (int i = 0; word && i < PROGRESS_KIND_COUNT; i++)
        if (strcmp(word, names[i]) == 0)
            kind = (enum progress_kind)i;
}

double progress_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_live(void)
{
    return kind == PROGRESS_auto && isatty(STDERR_FILENO);
}

static void put_json(json_t *object)
{
    char *line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));

    fprintf(stderr, "%s\n", line ? line : "{}");
    free(line);
    json_decref(object);
}

void progress(const char *what)
{
    if (is_live())
        fprintf(stderr, "\r\033[K%s%s", what ? what : "", what ? " ..." : "");
    else if (kind == PROGRESS_plain && what)
        fprintf(stderr, "%s\n", what);
    else if (kind == PROGRESS_json && what)
        put_json(json_pack("{s:s}", "stage", what));
    fflush(stderr);
}

bool progress_is_due(void)
{
    const double every = is_live() ? 0.2 : 5.0;
    const double now = progress_seconds();

    if (kind == PROGRESS_none || (kind == PROGRESS_auto && !is_live())
        || now < last_shown + every)
        return false;
    last_shown = now;
    return true;
}

/* Seconds; negative: nothing is known yet. */
static double left(const struct progress_state *s)
{
    const int done = s->done - s->started_at;

    return done > 0 ? s->seconds / done * (s->all - s->done) : -1;
}

void progress_show(const struct progress_state *s)
{
    char line[320], rest[48] = "";

    if (kind == PROGRESS_json) {
        json_t *object = json_pack("{s:s, s:i, s:i, s:f, s:f}", "stage", s->stage,
                                   "done", s->done, "of", s->all, "seconds", s->seconds,
                                   "cpu_seconds", (double)clock() / CLOCKS_PER_SEC);

        if (left(s) >= 0)
            json_object_set_new(object, "seconds_left", json_real(left(s)));
        if (s->best)
            json_object_set_new(object, "best", json_string(s->best));
        if (s->loss)
            json_object_set_new(object, "loss", json_real(strtod(s->loss, NULL)));
        put_json(object);
        return;
    }
    if (left(s) >= 0)
        snprintf(rest, sizeof rest, ", about %.0f s left", ceil(left(s)));
    snprintf(line, sizeof line, "%s: %d of %d%s%s%s%s%s", s->stage, s->done, s->all,
             rest, s->best ? "; best so far: " : "", s->best ? s->best : "",
             s->loss ? "; loss " : "", s->loss ? s->loss : "");
    progress(line);
}
