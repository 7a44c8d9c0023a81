/* SPDX-License-Identifier: Apache-2.0 */
/* What `hadmcc bench` measures of a bundle, and the page about it. */
#ifndef HADMC_CLI_BENCH_REPORT_H
#define HADMC_CLI_BENCH_REPORT_H

#include "cli/bundle_args.h"

struct bench_figures {
    int n; /* runs */
    double median_us, p90_us, min_us, cpu_median_us, open_us;
    int64_t peak_rss_bytes; /* 0: not measured */
    int64_t weights_bytes, library_bytes;
    bool emulated;
};

/* The steps with their measured times, beside those that are modelled for the bundle's
 * target.  IO_ERROR. */
struct status *bench_report_write(const char *path, const struct bundle_args *b,
                                  const struct bench_figures *f,
                                  const struct run_result *steps);

#endif /* HADMC_CLI_BENCH_REPORT_H */
