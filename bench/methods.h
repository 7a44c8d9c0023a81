/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of search against each other on nets whose loss is a formula. */
#ifndef HADMC_BENCH_METHODS_H
#define HADMC_BENCH_METHODS_H

void compare_methods(int n_instances, int budget);
/* On nets of 6 units, where every plan was tried: loss of the found plan less the least
 * there is, as a share of it. */
void regret_of_methods(int n_seeds, int budget);

#endif /* HADMC_BENCH_METHODS_H */
