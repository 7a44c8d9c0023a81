/* SPDX-License-Identifier: Apache-2.0 */
/* The nearest spelling by edit distance: see nearest.h. */
#include "support/nearest.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) between two short words. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 40 };
    const int n = (int)strlen(a), m = (int)strlen(b);
    int d[MAX + 1][MAX + 1];

    if (n > MAX || m > MAX)
        return INT_MAX;
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            const int replace = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

            d[i][j] = least(replace, least(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

const char *nearest_word(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    int best_distance = 1 + (int)strlen(word) / 3;

    for (; *candidates; candidates++) {
        const int d = distance(word, *candidates);

        if (d <= best_distance && (!best || d < best_distance)) {
            best = *candidates;
            best_distance = d;
        }
    }
    return best;
}
