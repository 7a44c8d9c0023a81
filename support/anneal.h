/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules for pruning while training: the share p of weights that are zero.
 *
 *     tau = clamp((i - begin) / (end - begin), 0, 1)
 *     harmonic  p = final + (first - final)/2 (1 + cos(pi tau)) + swing sin(2 pi n tau)
 *     linear    p = first + (final - first) tau
 *     cubic     p = final + (first - final) (1 - tau)^3
 *
 * within 0 ... 0.99.  The harmonic schedule is a reconstruction of arXiv:2503.15172,
 * whose exact equation is not public; with a whole number of waves n it starts at
 * `first` and ends at `final`.  cubic: Zhu and Gupta 2017, arXiv:1710.01878.
 *
 * Every 5 iterations the p n smallest weights by magnitude are masked.  A masked weight
 * keeps its value aside, frozen, and takes it up again where p falls.  From `end` on
 * the mask stays.
 */
#ifndef HADMC_SUPPORT_ANNEAL_H
#define HADMC_SUPPORT_ANNEAL_H

#include <stdbool.h>
#include <stdint.h>

enum anneal_kind { ANNEAL_NONE, ANNEAL_LINEAR, ANNEAL_CUBIC, ANNEAL_HARMONIC };

enum { ANNEAL_EVERY = 5 };

struct anneal {
    enum anneal_kind kind;
    int64_t begin, end; /* iterations; where they are equal, all is done at once */
    double first, final;
    double swing; /* amplitude of the waves; harmonic */
    int waves;
};

/* p at iteration i. */
double anneal_share(const struct anneal *s, int64_t i);
/* The mask is made anew before iteration i: every ANNEAL_EVERY from `begin` on, and at
 * `end`; never for ANNEAL_NONE. */
bool anneal_is_due(const struct anneal *s, int64_t i);
/* Times at which the schedule, sampled every ANNEAL_EVERY iterations, goes from rising
 * or standing to falling: windows in which weights grow back. */
int anneal_n_regrowths(const struct anneal *s);

#endif /* HADMC_SUPPORT_ANNEAL_H */
