/* SPDX-License-Identifier: Apache-2.0 */
/* How fast controllers decide and learn; beside bench/ppo_torch.py. */
#ifndef HADMC_BENCH_LEARNING_SPEED_H
#define HADMC_BENCH_LEARNING_SPEED_H

void learning_speed(int rounds);

#endif /* HADMC_BENCH_LEARNING_SPEED_H */
