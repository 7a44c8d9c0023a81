#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The PPO update and the decision of bench-controllers speed, in PyTorch on one thread:
an actor 124-256-128-64-10 with masked logits, a critic 138-512-256-128-1, 256 rows, 10
epochs, clip 0.2, value clip, entropy, gradient norm 0.5, Adam.  Prints the same lines."""
import statistics
import sys
import time

import torch
from torch import nn

INPUTS, STATE, ACTIONS, ROWS, EPOCHS = 124, 135, 10, 256, 10


def network(widths, gain):
    layers = []
    for i in range(len(widths) - 1):
        layers.append(nn.Linear(widths[i], widths[i + 1]))
        last = i + 2 == len(widths)
        nn.init.orthogonal_(layers[-1].weight, gain if last else 2 ** 0.5)
        nn.init.zeros_(layers[-1].bias)
        if not last:
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def timed(what, work, n):
    for _ in range(3):
        work()
    times = []
    for _ in range(n):
        begin = time.thread_time()
        work()
        times.append((time.thread_time() - begin) * 1e6)
    times.sort()
    print("torch %-32s p50 %10.2f us, p99 %10.2f us, best %10.2f us" %
          (what, statistics.median(times), times[min(n - 1, n * 99 // 100)], times[0]))


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("torch", torch.__version__)
    actor, critic = network([INPUTS, 256, 128, 64, ACTIONS], 0.01), network([STATE, 512, 256, 128, 1], 1)
    learn_actor = torch.optim.Adam(actor.parameters(), lr=3e-4, eps=1e-5)
    learn_critic = torch.optim.Adam(critic.parameters(), lr=3e-4, eps=1e-5)
    x, s = torch.randn(ROWS, INPUTS), torch.randn(ROWS, STATE)
    legal = torch.rand(ROWS, ACTIONS) < 0.7
    legal[:, 0] = True
    advantage, target = torch.randn(ROWS), torch.randn(ROWS)

    def log_p_all(rows):
        return torch.log_softmax(actor(x[rows]).masked_fill(~legal[rows], -1e9), 1)

    everything = torch.arange(ROWS)
    with torch.no_grad():
        old = log_p_all(everything)
        action = torch.multinomial(old.exp(), 1)
        old = old.gather(1, action).squeeze(1)
        value_old = critic(s).squeeze(1)

    def update():
        for _ in range(EPOCHS):
            rows = torch.randperm(ROWS)
            logs = log_p_all(rows)
            ratio = (logs.gather(1, action[rows]).squeeze(1) - old[rows]).exp()
            a = advantage[rows]
            gain = torch.min(ratio * a, ratio.clamp(0.8, 1.2) * a).mean()
            entropy = -(logs.exp() * logs).masked_fill(~legal[rows], 0).sum(1).mean()
            learn_actor.zero_grad()
            (-gain - 0.01 * entropy).backward()
            nn.utils.clip_grad_norm_(actor.parameters(), 0.5)
            learn_actor.step()
            rows = torch.randperm(ROWS)
            v, v_old, y = critic(s[rows]).squeeze(1), value_old[rows], target[rows]
            near = v_old + (v - v_old).clamp(-0.2, 0.2)
            loss = torch.max((v - y) ** 2, (near - y) ** 2).mean() / 2
            learn_critic.zero_grad()
            (0.5 * loss).backward()
            nn.utils.clip_grad_norm_(critic.parameters(), 0.5)
            learn_critic.step()

    def decide():
        with torch.no_grad():
            logits = actor(x[:1]).masked_fill(~legal[:1], -1e9)
            return int(torch.multinomial(torch.softmax(logits, 1), 1))

    timed("PPO update, 256 rows x 10 epochs", update, rounds)
    timed("decision of one agent", decide, 100 * rounds)


if __name__ == "__main__":
    main()
