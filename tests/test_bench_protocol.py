"""Benchmarks: interleaved rounds, ratios of the same round, A against A."""

import json
import time

import pytest
from rich.console import Console

from experiments.bench import protocol
from experiments.bench.page import OF_RUNS, TARGETS, Target, on_a_gpu, page
from experiments.bench.show import print_benchmark
from experiments.bench.suites import SUITES, SUITES_OF_A_GPU
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
    from experiments.bench import reweight

    monkeypatch.setattr(reweight.torch, "compile", lambda function: function)
    sizes = {"N_TABLE_8": 300, "N_SMALL": 500, "N_LARGE": 2000, "N_AWKWARD": 1001}
    for name, size in sizes.items():
        monkeypatch.setattr(reweight, name, size)
    outcome = SUITES["reweight"]()
    assert outcome["table8"]["times_faster_than_the_paper"] > 1
    fixed, level, selection, *_ = outcome["large"]
    assert {one["peer"] for one in fixed["timings"]} >= {"copy", "Reweighter", "eager torch", "A/A"}
    whats = [[target["what"] for target in one["targets"]] for one in (fixed, level, selection)]
    assert whats == [
        ["copies", "times faster than eager torch"],
        ["copies", "times faster than torch.kthvalue"],
        ["copies", "times faster than np.partition"],
    ]
    assert len(outcome["families"]) == 10
    assert outcome["awkward"] == {"n": 1001, "pruned": 401, "met": True}
    print_benchmark("reweight", outcome, Console(width=200))
    printed = capsys.readouterr().out
    assert "One re-weighting, N = 300" in printed
    assert "Fixed gamma, N = 2,000" in printed
    assert "times faster than np.partition, target at least 4, met:" in printed
    assert "Zeros of both signs losses" in printed


def test_the_gpu_suite_on_a_cpu(monkeypatch, capsys):
    """All but the graph, which needs a GPU: the same peers, with limits of their own."""
    from experiments.bench import reweight

    real = {name: getattr(reweight, name) for name in ("_gamma", "_contamination")}
    monkeypatch.setattr(reweight.torch, "compile", lambda function: function)
    monkeypatch.setattr(reweight, "N_GPU", 2000)
    monkeypatch.setattr(reweight, "losses", lambda n, _, real=reweight.losses: real(n))
    monkeypatch.setattr(reweight, "_pair", lambda n, _, real=reweight._pair: real(n))
    monkeypatch.setattr(reweight, "_waiting", lambda _: lambda: None)
    monkeypatch.setattr(reweight, "_graph", lambda: real["_gamma"]("cuda"))
    outcome = reweight.reweight_gpu()
    assert [len(one["targets"]) for one in outcome["large"]] == [3, 3, 3]
    assert "torch.kthvalue" not in {one["peer"] for one in outcome["large"][1]["timings"]}
    print_benchmark("reweight_gpu", outcome, Console(width=200))
    assert "times faster than torch.compile, target at least 1.25" in capsys.readouterr().out


def test_a_wrong_weight_is_noticed():
    """The check of every round sees it, and leaves nothing behind that could be taken for right."""
    from experiments.bench import reweight

    c = reweight.losses(50)
    rw, _ = reweight._pair(50)
    check = reweight._checking(rw, c, reweight._exact_weights(c))
    rw.update(c)
    check()
    with pytest.raises((AssertionError, RuntimeError, IndexError)):
        check()
    rw.update(c)
    rw.parts[3] = 4
    with pytest.raises(AssertionError, match="Tensor-likes are not"):
        check()


def test_targets_say_whether_they_are_met():
    """At most, or at least."""
    from experiments.bench import reweight

    assert reweight.target("copies", 1.4, at_most=1.35)["met"] is False
    assert reweight.target("times faster", 5.0, 5.0)["met"] is True


def test_every_round_is_checked(clock):
    """And a GPU is waited for before the clock is read."""
    seen = []

    def one():
        clock[0] += 1

    protocol.interleave(
        {"one": one},
        reference="one",
        rounds=3,
        check=lambda: seen.append("check"),
        wait=lambda: seen.append("wait"),
    )
    # Once to see how long it takes, then three rounds; against itself too; at both ends.
    assert (seen.count("check"), seen.count("wait")) == (3, 2 * 2 * (1 + 3))


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


def test_a_loop_in_a_process_of_its_own_trains_when_asked(monkeypatch):
    """What it is started with is put back here; closed, it is gone."""
    import multiprocessing
    import os
    from dataclasses import replace

    from experiments.bench import training
    from experiments.catalogue import TABLES

    monkeypatch.setenv("MALLOC_TOP_PAD_", "7")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    run = replace(TABLES["table5"].cells("paper", "reduced", 0)[0].run, batch_size=500)
    before = set(multiprocessing.active_children())
    with training._elsewhere("ours", run, {"MALLOC_TOP_PAD_": "1024"}) as epoch:
        assert os.environ["MALLOC_TOP_PAD_"] == "7"
        assert "MALLOC_MMAP_THRESHOLD_" not in os.environ
        assert len(set(multiprocessing.active_children()) - before) == 1
        start = time.perf_counter()
        epoch()
        assert time.perf_counter() > start
    assert set(multiprocessing.active_children()) == before


def test_the_resnet_suite_runs_and_prints(monkeypatch, capsys):
    """Its operations are those that one counts by hand."""
    from experiments.bench import resnet

    monkeypatch.setattr(resnet, "SIDES", {"cpu": 64, "cuda": 64})
    monkeypatch.setattr(resnet, "ROUNDS", 2)
    outcome = SUITES["resnet"]()
    # By hand: multiplications of a forward pass on one image, twice for additions, three times
    # for the backward pass, but for the images' own gradient.
    convolutions = [(3, 16, 1024, 9), (16, 16, 1024, 9), (16, 16, 1024, 9), (16, 32, 256, 9),
                    (32, 32, 256, 9), (16, 32, 256, 1), (32, 64, 64, 9), (64, 64, 64, 9),
                    (32, 64, 64, 1), (64, 10, 1, 1)]  # fmt: skip
    products = [a * b * places * taps for a, b, places, taps in convolutions]
    assert outcome["operations_of_a_step"] == 128 * 2 * (3 * sum(products) - products[0])
    print_benchmark("resnet", outcome, Console(width=200))
    assert "of a matrix product's" in capsys.readouterr().out


def test_the_sklearn_suite_runs_and_prints(monkeypatch, capsys):
    """Two seeds of the cheaper classifier: RRM gains what is asked for, and the table says so."""
    from experiments.bench import estimator

    monkeypatch.setattr(estimator, "SEEDS", 2)
    cheaper = {"logistic regression": estimator.CLASSIFIERS["logistic regression"]}
    monkeypatch.setattr(estimator, "CLASSIFIERS", cheaper)
    outcome = SUITES["sklearn"]()
    plain, told, estimating = outcome["rows"][:3]
    assert (plain["gain"], plain["contamination"]) == (0, None)
    assert told["gain"] == pytest.approx(told["accuracy"] - plain["accuracy"])
    assert told["gain"] >= 3
    assert told["met"] is True
    assert told["contamination"] == [0.4, 0.4]
    assert all(0 < share < 1 for share in estimating["contamination"])
    program = outcome["programs"]["RRM"]
    assert program["statements"] == 2
    assert program["accuracy"] > 90
    assert program["suspects"] > 300
    print_benchmark("sklearn", outcome, Console(width=200))
    assert "Digits, 40 % wrong labels, 2 seeds" in capsys.readouterr().out


def test_the_page_shows_every_target_of_what_is_committed(capsys, monkeypatch):
    """Met or not, ours and the peer's; what waits for a GPU says so, and nothing is timed."""
    from experiments.__main__ import main

    monkeypatch.setenv("COLUMNS", "200")
    assert main(["bench", "--stored"]) == 0
    printed = capsys.readouterr().out
    stored = {name: RESULTS / "bench" / f"{name}.json" for name in TARGETS}
    found = [
        one
        for name, path in stored.items()
        if path.exists()
        for one in TARGETS[name](json.loads(path.read_text()))
    ]
    assert len(found) > 20
    assert printed.count("│ yes") == sum(one.met for one in found)
    assert printed.count("│ no  │") == sum(not one.met for one in found)
    assert set(SUITES) | set(SUITES_OF_A_GPU) <= set(TARGETS)
    waiting = [one for name, path in stored.items() if not path.exists() for one in on_a_gpu(name)]
    assert sum(len(on_a_gpu(name)) for name in SUITES_OF_A_GPU) == 9
    nothing = [name for name, path in stored.items() if not path.exists() and not on_a_gpu(name)]
    assert printed.count("│ not measured │") == len(waiting) + len(nothing) + len(OF_RUNS)
    partition = next(line for line in printed.splitlines() if "than np.partition" in line)
    seconds = json.loads(stored["reweight"].read_text())["large"][2]["timings"]
    ours, peer = (one["seconds"] for one in seconds[1:3])
    assert f"│ {1e3 * ours:.3g} ms" in partition
    assert f"│ np.partition, {1e3 * peer:.3g} ms" in partition


def test_a_suite_without_a_result_says_so(tmp_path):
    """Once, or with what it is to reach on a GPU; nothing of a file is shown."""
    console = Console(width=200, record=True)
    console.print(page(tmp_path, ["theory", "resnet_gpu"]))
    text = console.export_text()
    assert text.count("no result yet") == 1
    assert "at least 0.25" in text
    assert text.count("not measured") == 2


def test_what_whole_runs_are_to_take_stands_beside_training(tmp_path):
    """Where that suite is asked for: an epoch on a GPU, and the three of runs."""
    console = Console(width=200, record=True)
    console.print(page(tmp_path, ["train_gpu"]))
    assert console.export_text().count("not measured") == 1 + len(OF_RUNS) == 4


def test_a_suite_runs_on_one_thread(tmp_path, monkeypatch):
    """Those of BLAS and OpenMP too, however many there were."""
    from threadpoolctl import threadpool_info, threadpool_limits

    from experiments import __main__ as command

    threads = []

    def suite():
        threads.extend(one["num_threads"] for one in threadpool_info())
        return {}

    monkeypatch.setitem(command.SUITES, "step", suite)
    monkeypatch.setattr(command, "print_benchmark", lambda *_: None)
    with threadpool_limits(2):
        assert 2 in {one["num_threads"] for one in threadpool_info()}
        assert command.main(["bench", "step", "--results", str(tmp_path)]) == 0
    assert set(threads) == {1}


def test_a_target_is_met_at_its_bound():
    """At least and at most include the number itself."""
    assert Target("x", 2.0, "at least", 2.0).met
    assert Target("x", 2.0, "at most", 2.0).met
    assert not Target("x", 1.9, "at least", 2.0).met
    assert not Target("x", 2.1, "at most", 2.0).met
