"""Processes for tests: a function on every rank of a gloo group, its answers back by files."""

import pickle
import time
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def on_ranks(function, world, folder, *arguments, timeout=60):
    """Run function(rank, world, *arguments) on every rank; return {rank: answer or exception}."""
    context = mp.spawn(
        _rank, args=(function, world, Path(folder), arguments, timeout), nprocs=world, join=False
    )
    deadline = time.monotonic() + 4 * timeout
    for process in context.processes:
        process.join(max(1.0, deadline - time.monotonic()))
    for process in context.processes:
        process.kill()
    answers = {}
    for rank in range(world):
        path = Path(folder) / f"answer{rank}"
        answers[rank] = pickle.loads(path.read_bytes()) if path.exists() else None
    return answers


def _rank(rank, function, world, folder, arguments, timeout):
    """Join the group, run, write the answer."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        rank=rank,
        world_size=world,
        timeout=timedelta(seconds=timeout),
    )
    try:
        answer = function(rank, world, *arguments)
    except (ValueError, RuntimeError) as error:
        traceback.print_exc()
        answer = error
    (folder / f"answer{rank}").write_bytes(pickle.dumps(answer))
