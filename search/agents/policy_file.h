/* SPDX-License-Identifier: Apache-2.0 */
/* Actors in a file: what decides, without critics and whatever else only learning
 * needs.
 *
 *     "HADACT1\0"
 *     u32   bytes of an element (4), agents, actions of each agent, inputs of an
 *           observation, coordination, shared, LSTM cells, hidden layers, 3 widths,
 *           policies
 *     f64   prior weight, temperature, its rise
 *     elements  shift and scale of each input
 *     per actor and policy:
 *       f64       its weight in the ensemble
 *       bytes     a bit per learned number: not zero
 *       elements  the numbers that are not zero
 *
 * Little-endian; a pruned weight takes one bit.
 */
#ifndef HADMC_SEARCH_AGENTS_POLICY_FILE_H
#define HADMC_SEARCH_AGENTS_POLICY_FILE_H

#include "search/agents/actor.h"
#include "support/text.h"

void policy_write(const struct team *t, const struct controller_options *o,
                  struct text *out);
/* A team in `a` that decides as the written one did.  INVALID: not such a file, cut
 * short, too long, or for an environment of another shape; `what` names it. */
struct status *policy_read(struct arena *a, const char *what, const void *bytes,
                           size_t len, const struct environment *e, struct team **out);

#endif /* HADMC_SEARCH_AGENTS_POLICY_FILE_H */
