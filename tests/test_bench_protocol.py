"""Benchmarks: interleaved rounds, ratios of the same round, A against A."""

import json
import time

import pytest

from experiments.bench import protocol
from experiments.bench.show import print_benchmark
from experiments.bench.suites import SUITES
from experiments.store import RESULTS


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the peers move."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_ratios_are_of_the_same_round(clock):
    """A machine that gets slower every round does not move the ratios."""
    speed = [1.0]

    def peer(cost):
        def call():
            clock[0] += cost * speed[0]
            speed[0] *= 1.0001

        return call

    timings = protocol.interleave({"copy": peer(1.0), "ours": peer(3.0)}, reference="copy")
    by_name = {one.peer: one for one in timings}
    assert by_name["ours"].ratio == pytest.approx(3, rel=1e-3)
    assert by_name["ours"].ratio_low <= by_name["ours"].ratio <= by_name["ours"].ratio_high
    assert by_name["A/A"].ratio == pytest.approx(1, rel=1e-3)
    assert by_name["copy"].seconds == pytest.approx(1, rel=0.1)


def test_short_peers_are_repeated_within_a_round(clock):
    """A call of 10 microseconds is repeated until the clock can be trusted."""
    calls = [0]

    def quick():
        calls[0] += 1
        clock[0] += 1e-5

    (timing, _) = protocol.interleave({"quick": quick}, reference="quick", rounds=2)
    assert timing.seconds == pytest.approx(1e-5)
    assert calls[0] >= 2 * 2 * protocol.LEAST_SECONDS / 1e-5


def test_the_reweight_suite_runs_and_prints(monkeypatch, capsys):
    """At a fraction of its size: all peers, the same weights, an exact selection."""
    from rich.console import Console

    from experiments.bench import reweight

    monkeypatch.setattr(reweight, "_highs", lambda _: None)
    monkeypatch.setattr(reweight.torch, "compile", lambda function: function)
    for name, size in (("N_SMALL", 500), ("N_LARGE", 2000), ("N_AWKWARD", 1001)):
        monkeypatch.setattr(reweight, name, size)
    outcome = SUITES["reweight"]()
    assert outcome["table8"]["times_faster_than_the_paper"] > 1
    fixed, level = outcome["large"]
    assert {one["peer"] for one in fixed["timings"]} >= {"copy", "Reweighter", "eager torch", "A/A"}
    assert set(level["times_faster"]) == {"np.partition"}
    assert outcome["awkward"] == {"n": 1001, "pruned": 401, "met": True}
    print_benchmark("reweight", outcome, Console(width=200))
    printed = capsys.readouterr().out
    assert "One re-weighting, N = 18,623" in printed
    assert "Fixed gamma, N = 2,000" in printed


def test_the_committed_theory_benchmark_meets_its_targets():
    """What `bench theory` wrote at full size, from a clean tree."""
    committed = json.loads((RESULTS / "bench" / "theory.json").read_text())
    assert {one["n"] for one in committed["operations"]} == {1_000_000, 100_000}
    assert all(one["met"] for one in committed["operations"])
    assert committed["solver"]["n"] == 50_000
    assert committed["solver"]["met"]
    assert committed["transport"]["n"] == 1000
    assert committed["transport"]["met"]
    assert not committed["environment"]["dirty"]


def test_the_theory_suite_runs_and_prints(monkeypatch, capsys):
    """At a thousandth of its size: all operations, and HiGHS within its target of agreement."""
    from rich.console import Console

    from experiments.bench import theory

    for name, size in (("MILLION", 2000), ("N_CERTIFIED", 500), ("N_SOLVED", 500), ("N_MOVED", 20)):
        monkeypatch.setattr(theory, name, size)
    outcome = SUITES["theory"]()
    assert {one["losses"] for one in outcome["operations"]} == {"untied", "tied"}
    assert outcome["solver"]["certified_gap"] == "0"
    assert outcome["solver"]["met"]
    assert outcome["path"]["largest_difference"] < 1e-9
    assert outcome["transport"]["value_error"] < 1e-9
    print_benchmark("theory", outcome, Console(width=200))
    printed = capsys.readouterr().out
    assert "contains, fractions" in printed
    assert "HiGHS at N = 500" in printed
