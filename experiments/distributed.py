"""Train on several processes, each with its shard, and re-weight over all of them.

torchrun --standalone --nproc-per-node 2 -m experiments.distributed
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from experiments.catalogue.own import DEMO_RRM
from experiments.data import load
from experiments.models import build
from experiments.problem import problem
from rrm_theory.reweight import Reweighter


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the main job's network on wrong labels; rank 0 prints what came of it."""
    parser = argparse.ArgumentParser(
        prog="torchrun --standalone --nproc-per-node 2 -m experiments.distributed",
        description="Handwritten digits, 40 % of the labels wrong, on several processes.",
    )
    parser.add_argument("--epochs", type=int, default=DEMO_RRM.epochs, help="(%(default)s)")
    parser.add_argument("--plain", action="store_true", help="without re-weighting")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    try:
        train(options.epochs, reweight=not options.plain)
        # Whoever leaves first would close connections that the others still use.
        dist.barrier()
    finally:
        dist.destroy_process_group()
    return 0


def train(epochs: int, *, reweight: bool) -> None:
    """Train on this rank's shard, every world-th sample."""
    rank, world = dist.get_rank(), dist.get_world_size()
    whole = problem(DEMO_RRM, load(DEMO_RRM.dataset))
    mine = torch.arange(rank, len(whole.labels), world)
    x, labels, wrong = whole.x[mine], whole.labels[mine], whole.contaminated[mine.numpy()]
    torch.manual_seed(DEMO_RRM.seed)
    network = build(DEMO_RRM, shape=whole.shape, n_classes=whole.n_classes)
    model = DistributedDataParallel(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=DEMO_RRM.learning_rate)
    rw = Reweighter(len(mine), contamination=DEMO_RRM.contamination, group=dist.group.WORLD)
    batches = torch.Generator().manual_seed(rank)
    # Every rank takes as many steps, though shards may differ by a sample.
    steps = len(whole.labels) // (world * DEMO_RRM.batch_size)
    for epoch in range(epochs):
        order = torch.randperm(len(mine), generator=batches)
        for index in torch.split(order, DEMO_RRM.batch_size)[:steps]:
            losses = F.cross_entropy(model(x[index]), labels[index], reduction="none")
            optimiser.zero_grad()
            torch.autograd.backward((rw[index] * losses).mean())
            optimiser.step()
        if reweight and (epoch + 1) % DEMO_RRM.epochs_per_iteration == 0:
            with torch.no_grad():
                rw.update(F.cross_entropy(network(x), labels, reduction="none"))
    gone = rw.pruned.numpy()
    pruned = torch.tensor([int((gone & wrong).sum()), int((gone & ~wrong).sum())])
    dist.all_reduce(pruned)
    if rank == 0:
        right, tested = 0, 0
        with torch.no_grad():
            for fold in whole.folds:
                guesses = network(whole.x_eval[fold.test]).argmax(dim=1)
                right += int((guesses == fold.test_labels).sum())
                tested += len(fold.test)
        print(
            f"{world} processes: {100 * right / tested:.1f} % of {tested} test samples right; "
            f"pruned {int(pruned[0])} wrong and {int(pruned[1])} right labels"
        )


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # gloo's threads outlive their group; one that asks for Python while it shuts down aborts the
    # process, though all is done (pytorch/pytorch pull request 179291). So it is not shut down.
    os._exit(code)
