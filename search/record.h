/* SPDX-License-Identifier: Apache-2.0 */
/* Every evaluation of a search as a line of JSON, written as it happens: a report, and
 * where an interrupted search goes on.
 *
 *     {"search": 2, "model_sha256": "...", "options": "...", "data_sha256": "...", ...}
 *     {"n": 0, "by": "surrogate", "loss": 0.011, "drop": 0.4, "latency": 52100.0,
 *      "energy": 0.001, "bytes": 80000.0, "ram": 16384.0, "feasible": true,
 *      "pattern": [0, 0], "ratio": [0, 3], "bits": [8, 4], "temperature": 4.0,
 *      "alpha": 0.5, "update": 0, "update_bytes": 0.0}
 *
 * loss in nats, drop in points, costs in the units of search_problem.h; ratio in
 * tenths.  Numbers have 17 digits: what is read back is what was written.  A search is
 * a function of its results, so one that finds the results of its first evaluations in
 * the file goes the same way and ends with the same bytes.
 *
 * Lines go to the file as they are complete; one that was cut off by a kill is dropped.
 */
#ifndef HADMC_SEARCH_RECORD_H
#define HADMC_SEARCH_RECORD_H

#include "search/evaluator.h"
#include "support/status.h"

struct record;

/* `header` is a JSON object without line breaks that says which search this is.  With
 * `resume` the lines of an existing file are known; INVALID when its header is another
 * one, or a line is none of these.  Otherwise the file is begun anew.  `path` NULL: in
 * memory only. */
struct status *record_open(const char *path, const char *header, bool resume,
                           int n_units, struct record **out);
/* An existing file, to be read only. */
struct status *record_read(const char *path, const char *header, int n_units,
                           struct record **out);
/* Closes the file, which stays unless `remove`d.  NULL is fine. */
void record_close(struct record *r, bool remove_file);

/* How many evaluations were read. */
int record_n_known(const struct record *r);
/* Evaluation i of them, which lives as long as the record. */
void record_at(const struct record *r, int i, const struct choices **c,
               struct search_result *out);
/* evaluator's recall: evaluation n, if it was the same plan. */
bool record_recall(struct record *r, int n, const struct choices *c,
                   struct search_result *out);
/* The newest evaluation of `e`; those that were recalled are there already. */
struct status *record_add(struct record *r, const struct evaluator *e);

/* The whole file. */
const char *record_text(const struct record *r);

#endif /* HADMC_SEARCH_RECORD_H */
