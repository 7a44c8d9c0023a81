/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of search against each other on nets whose loss is a formula. */
#ifndef HADMC_BENCH_METHODS_H
#define HADMC_BENCH_METHODS_H

void compare_methods(int n_instances, int budget);

#endif /* HADMC_BENCH_METHODS_H */
