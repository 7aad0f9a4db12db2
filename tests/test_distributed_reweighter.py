"""ICLR paper, Corollary 3.1.1, Section 3.5.1; theory.md A.7: shards give one process's bits."""

import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ranks import on_ranks

from rrm_theory.reweight import Reweighter

ROOT = Path(__file__).parent.parent
CASES = 42
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def case(number):
    """Return (losses, settings, rounds of the same): all families of losses in turn."""
    rng = np.random.default_rng(number)
    n = int(rng.integers(1, 60))
    family = number % 5
    c = [
        rng.exponential(size=n) ** 3,
        rng.integers(-3, 4, n) / 8,
        np.zeros(n),
        np.where(rng.random(n) < 0.2, math.inf, rng.normal(size=n)),
        np.where(rng.random(n) < 0.3, 1.0, np.where(rng.random(n) < 0.5, -0.0, 0.0)),
    ][family]
    if np.isinf(c).all():
        c[0] = 0.0
    dtype = DTYPES[number // 5 % 4]
    share, price = float(rng.integers(0, 100)) / 100, float(rng.integers(1, 17)) / 8
    settings = [
        {"gamma": price, "step": [1.0, 0.3][number // 4 % 2]},
        {"contamination": share},
        {"budget": share, "step": [1.0, 0.3][number // 4 % 2]},
    ][number % 3]
    if number % 7 < 2:
        settings["cap"] = [1.5, 2.0, 4.0][number // 3 % 3]
    return torch.tensor(c).to(dtype), settings


def cuts(number, n, world):
    """Return where the shards end: uneven, some of them empty."""
    rng = np.random.default_rng(1000 + number)
    ends = np.sort(rng.integers(0, n + 1, world - 1)).tolist()
    return [0, *ends, n]


def updates(rank, world):
    """Return the shard's weights, marks and reports after two updates, case by case."""
    answers = []
    for number in range(CASES):
        c, settings = case(number)
        ends = cuts(number, len(c), world)
        shard = c[ends[rank] : ends[rank + 1]]
        rw = Reweighter(len(shard), group=dist.group.WORLD, **settings)
        reports = [rw.update(shard), rw.update(-shard.clamp(max=4))]
        answers.append((rw.scaled_weights, rw.pruned, rw.weights, reports))
    return answers


@pytest.mark.parametrize("world", [2, 3, 4])
def test_every_sharding_gives_the_bits_of_one_process(world, tmp_path):
    """Weights, marks, probabilities, counts, thresholds; also of a damped second update."""
    found = on_ranks(updates, world, tmp_path)
    for number in range(CASES):
        c, settings = case(number)
        rw = Reweighter(len(c), **settings)
        reports = [rw.update(c), rw.update(-c.clamp(max=4))]
        parts = [found[rank][number] for rank in range(world)]
        assert torch.equal(torch.cat([part[0] for part in parts]), rw.scaled_weights)
        assert torch.equal(torch.cat([part[1] for part in parts]), rw.pruned)
        assert torch.equal(torch.cat([part[2] for part in parts]), rw.weights)
        for part in parts:
            assert list(map(repr, part[3])) == list(map(repr, reports))


def counted(rank, world):
    """Return how many collectives each kind of update takes."""
    del world
    counts, real = [], dist.all_reduce

    def counting(numbers, **arguments):
        counts.append((str(arguments["op"]), numbers.numel()))
        return real(numbers, **arguments)

    shard, answers = torch.arange(5.0) + rank, []
    for settings in ({"gamma": 1.0}, {"contamination": 0.3}, {"gamma": 1.0, "cap": 2.0}):
        rw = Reweighter(5, group=dist.group.WORLD, **settings)
        for losses in (shard, -shard.double()):
            dist.all_reduce = counting
            rw.update(losses)
            dist.all_reduce = real
            answers.append(list(counts))
            counts.clear()
    return answers


def test_the_number_of_collectives(tmp_path):
    """Fixed gamma: one MIN and one SUM of integers. C': at most three histograms, three small ones.

    With a cap two counts for each bit of a key, and a selection.
    """
    fixed, fixed_64, level, level_64, cap, cap_64 = on_ranks(counted, 2, tmp_path)[0]
    for collectives in (fixed, fixed_64):
        assert [numbers for _, numbers in collectives] == [7, 4]
        assert "MIN" in collectives[0][0]
        assert "SUM" in collectives[1][0]
    # Keys of float32 from 0 to 5 span 31 bits; of float64 from -5 to 0 they span 63.
    assert [numbers for _, numbers in level] == [7, 2**16, 2**16, 1, 4]
    assert [numbers for _, numbers in level_64] == [7, 2**21, 2**21, 2**21, 1, 4]
    assert max(numbers for _, numbers in cap + cap_64) == 2**21
    assert sum(numbers > 7 for _, numbers in cap) == 2
    assert sum(numbers > 7 for _, numbers in cap_64) == 3
    assert len(cap) <= 32 + 8
    assert len(cap_64) <= 64 + 9


def one_nan(rank, world):
    """Give the last rank a NaN; weights stay as they were."""
    rw = Reweighter(2, gamma=1.0, group=dist.group.WORLD)
    try:
        rw.update(torch.tensor([0.0, math.nan if rank == world - 1 else 9.0]))
    except ValueError as error:
        return str(error), rw.scaled_weights.tolist(), rw.update(torch.tensor([0.0, 9.0])).n_pruned


def test_a_refusal_is_everybodys(tmp_path):
    """The rank that has it says where; the others do not hang, and all go on."""
    found = on_ranks(one_nan, 2, tmp_path)
    assert "losses must not be NaN, got nan at index 1" in found[1][0]
    assert "losses of another rank were refused" in found[0][0]
    assert [answer[1:] for answer in found.values()] == [([1, 1], 2), ([1, 1], 2)]


def recorded(rank, world):
    """Record on every rank but the last, which is empty; first without a sample of rank 0."""
    n = 0 if rank == world - 1 else 2
    rw = Reweighter(n, gamma=1.0, group=dist.group.WORLD)
    if n:
        rw.record([0], torch.tensor([float(rank)], dtype=torch.bfloat16))
    if rank == 1:
        rw.record([1], torch.tensor([9.0], dtype=torch.bfloat16))
    try:
        rw.step()
        refusal = None
    except ValueError as error:
        refusal = str(error)
    if rank == 0:
        rw.record([1], torch.tensor([0.5], dtype=torch.bfloat16))
    return refusal, rw.step().n_pruned, rw.scaled_weights.tolist()


def test_batches_are_recorded_on_every_rank(tmp_path):
    """A shard without samples has a say in no type; a sample that is missing is heard of by all."""
    first, second, empty = on_ranks(recorded, 3, tmp_path).values()
    assert "got 0 of sample 1 (1 such samples)" in first[0]
    assert "losses of another rank were refused" in second[0]
    assert "losses of another rank were refused" in empty[0]
    # Losses 0, 1/2 and 1, 9: the last one leaves for the first.
    assert [answer[1:] for answer in (first, second, empty)] == [(1, [2, 1]), (1, [1, 0]), (1, [])]


def arrays(rank, world):
    """Hold an empty array, one of infinities, and one with a loss to keep."""
    del world
    shard = [[], [math.inf, math.inf], [0.0]][rank]
    rw = Reweighter(len(shard), gamma=1.0, group=dist.group.WORLD)
    return rw.update(np.array(shard)).n_pruned, rw.scaled_weights.tolist()


def test_a_shard_need_not_be_what_all_data_must(tmp_path):
    """Arrays as tensors: only all of them together need a finite loss."""
    found = on_ranks(arrays, 3, tmp_path)
    assert list(found.values()) == [(2, []), (2, [0, 0]), (2, [3])]


def other_type(rank, world):
    """Bring losses of another type on each rank."""
    del world
    losses = torch.tensor([0.0, 9.0], dtype=DTYPES[rank])
    Reweighter(2, gamma=1.0, group=dist.group.WORLD).update(losses)


def other_price(rank, world):
    """Ask for another gamma on each rank."""
    del world
    Reweighter(2, gamma=1.0 + rank, group=dist.group.WORLD).update(torch.tensor([0.0, 9.0]))


def other_kind(rank, world):
    """Ask for a contamination on one rank."""
    del world
    settings = {"contamination": 0.5} if rank else {"gamma": 1.0}
    Reweighter(2, group=dist.group.WORLD, **settings).update(torch.tensor([0.0, 9.0]))


def other_cap(rank, world):
    """Ask for another cap on each rank."""
    del world
    settings = {"gamma": 1.0, "cap": 2.0 + rank}
    Reweighter(2, group=dist.group.WORLD, **settings).update(torch.tensor([0.0, 9.0]))


def other_budget(rank, world):
    """Ask for another budget on each rank."""
    del world
    Reweighter(2, group=dist.group.WORLD, budget=0.25 * rank).update(torch.tensor([0.0, 9.0]))


@pytest.mark.parametrize("function", [other_price, other_kind, other_type, other_cap, other_budget])
def test_ranks_must_agree(function, tmp_path):
    """All of them hear of it."""
    for error in on_ranks(function, 2, tmp_path).values():
        assert isinstance(error, ValueError)
        assert "must agree about gamma, contamination, budget, cap, step and types" in str(error)


def a_rank_dies(rank, world, late):
    """Update once together, then lose rank 1; return the error and how long it took.

    Late is after the ranks have agreed, when parts are being counted.
    """
    del world
    rw = Reweighter(2, gamma=1.0, group=dist.group.WORLD)
    rw.update(torch.tensor([0.0, 9.0]))
    before = rw.scaled_weights
    if rank == 1 and not late:
        os._exit(1)
    if rank == 1:
        rw.ranks.total = lambda _: os._exit(1)
    started = time.monotonic()
    try:
        rw.update(torch.tensor([5.0, 1.0]))
    except RuntimeError as error:
        return str(error), time.monotonic() - started, torch.equal(before, rw.scaled_weights)


@pytest.mark.parametrize("late", [False, True])
def test_a_rank_that_dies_is_an_error_on_the_others(late, tmp_path):
    """Within the group's timeout; their weights are as before."""
    found = on_ranks(a_rank_dies, 3, tmp_path, late, timeout=15)
    assert found[1] is None
    for rank in (0, 2):
        message, seconds, untouched = found[rank]
        assert "a rank of the group is gone, or later than the group's timeout" in message
        assert seconds < 30
        assert untouched


def all_empty(rank, world):
    """Hold no samples anywhere."""
    del rank, world
    Reweighter(0, gamma=1.0, group=dist.group.WORLD)


def test_some_rank_must_hold_samples(tmp_path):
    """N is their sum."""
    for error in on_ranks(all_empty, 2, tmp_path).values():
        assert "n_samples must be positive on some rank, got 0 on all" in str(error)


def test_the_example_trains_and_reweights():
    """Under torchrun, two processes: wrong labels are found, and the digits learned."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += ["2", "-m", "experiments.distributed"]
    printed = {}
    for options in ((), ("--plain",)):
        answer = subprocess.run(
            [*command, *options], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
        )
        match = re.search(
            r"2 processes: ([\d.]+) % of \d+ test samples right; "
            r"pruned (\d+) wrong and (\d+) right",
            answer.stdout,
        )
        printed[options] = [float(x) for x in match.groups()]
    accuracy, wrong, right = printed[()]
    assert accuracy > 90 > printed["--plain",][0]
    assert wrong > 10 * right
    assert printed["--plain",][1:] == [0, 0]
