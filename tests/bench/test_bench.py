"""The benchmark as a smoke run, its gates, and its arithmetic; no time is asserted."""

import json
import math

import pytest
from memory_held import hold

from sdunet.bench import net, report, sweep
from sdunet.bench.timing import interleave, peak_extra_bytes
from sdunet.cli.main import main
from sdunet.ops import cpu_backend, torch_backend

TINY = sweep.Case(1, 4, (10, 12), ("right", "up"))


@pytest.fixture(autouse=True)
def small_and_without_interpreter(monkeypatch):
    """Make the quick run tiny; Triton's interpreter is not a contender."""
    monkeypatch.setattr(sweep, "QUICK_CASES", (TINY, sweep.Case(1, 3, (3, 4, 5), ("forward",))))
    monkeypatch.setattr(sweep, "QUICK_SIDES", (64, 70))
    monkeypatch.setattr("sdunet.ops.triton_backend.why_not", lambda *_: "interpreted")


@pytest.mark.long
def test_quick_sweep_prints_a_table_and_keeps_json_and_picture(tmp_path, capsys):
    assert main(["bench", "sweep", "--quick", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for contender in ("cpu", "torch", "reference", "loop", "cpu (1 thread)"):
        assert f"| {TINY} | {contender} |" in printed
    for cell in ("gru", "carry"):
        assert f"| {cell} {TINY.work} | torch |" in printed
    record = json.loads((tmp_path / "sweep.json").read_text())
    assert all(row["forward"] > 0 and row["both"] > 0 for row in record["rows"])
    slopes = {f"{cell} {n}" for cell in ("gru", "carry") for n in ("cpu", "torch", "reference")}
    assert set(record["slopes"]) == {*slopes, "gru loop"}
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.long
def test_quick_cells_are_timed_in_turn(tmp_path, capsys):
    assert main(["bench", "cells", "--quick", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for cell in ("gru", "carry"):
        assert f"| {TINY.work} | {cell} |" in printed
    rows = json.loads((tmp_path / "cells.json").read_text())["rows"]
    assert [row["contender"] for row in rows] == ["gru", "carry"] * 2


@pytest.mark.long
def test_our_networks_are_timed_alone(tmp_path):
    assert main(["bench", "net", "--quick", "--ours", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "net.json").read_text())["rows"]
    assert {row["contender"] for row in rows} == {*net.our_networks(), *net.volume_networks()}


@pytest.mark.long
def test_quick_net_times_all_networks(tmp_path, capsys):
    assert main(["bench", "net", "--quick", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "net.json").read_text())["rows"]
    contenders = [*net.networks(with_loop=False), *net.volume_networks()]
    assert [row["contender"] for row in rows] == contenders
    assert "unet, same widths | " in capsys.readouterr().out


@pytest.mark.long
def test_a_wrong_backend_is_refused_and_not_timed(tmp_path, capsys, monkeypatch):
    right = torch_backend.backward

    def wrong(*args):
        grads = list(right(*args))
        grads[2] = grads[2] * 1.001
        return tuple(grads)

    monkeypatch.setattr(torch_backend, "backward", wrong)
    assert main(["bench", "sweep", "--quick", "--out", str(tmp_path)]) == 1
    assert f"| {TINY} | torch | refused | relative error" in capsys.readouterr().out
    rows = json.loads((tmp_path / "sweep.json").read_text())["rows"]
    refused = [row for row in rows if row["refused"]]
    assert {row["contender"] for row in refused} == {"torch"}
    assert all(row["both"] is None for row in refused)


def test_a_wrong_network_is_refused(tmp_path, monkeypatch):
    right = cpu_backend.forward
    monkeypatch.setattr(
        cpu_backend, "forward", lambda *args: (right(*args)[0] * 1.01, right(*args)[1])
    )
    assert main(["bench", "net", "--quick", "--out", str(tmp_path)]) == 1


def test_the_published_loop_computes_the_same_function():
    assert sweep.error("loop", TINY, "cpu") < 1e-5


def test_contenders_take_turns():
    order = []
    times = interleave(
        {name: lambda name=name: order.append(name) for name in "ab"}, seconds=0, fewest=3
    )
    assert "".join(order).endswith("ababab")
    assert set(times) == {"a", "b"}


def test_peak_memory_is_what_the_run_held():
    peak = peak_extra_bytes("cpu", hold, 64 << 20)
    assert peak is None or abs(peak - (64 << 20)) < 4 << 20


def test_slope_is_the_exponent():
    growth = {"cubic": {side: 1e-9 * side**3 for side in (32, 64, 128, 256)}}
    assert report.slopes(growth)["cubic"] == pytest.approx(3)


def test_speed_up_is_over_the_baseline_of_the_same_case():
    rows = [sweep.Row("a", "x", 1.0, 2.0), sweep.Row("a", "y", 1.0, 8.0)]
    rows += [sweep.Row("b", "x", 1.0, 3.0, 1 << 20)]
    lines = report.table(rows, "y").splitlines()
    assert lines[2] == "| a | x | 1000.0 ms | 2000.0 ms | 4.00 |  |"
    assert lines[4] == "| b | x | 1000.0 ms | 3000.0 ms |  | 1 MiB |"


def test_operations_are_those_of_the_weights_at_every_cell():
    assert sweep.Case(2, 16, (5, 7), ("right",)).flops == 2 * 12 * 16**2 * 2 * 35
    volume = sweep.Case(1, 8, (3, 4, 5), ("up", "down"))
    assert volume.flops == 2 * 30 * 8**2 * math.prod((3, 4, 5)) * 2
    carrying = sweep.Case(2, 16, (5, 7), ("right",), "carry")  # 4 groups of two side taps
    assert carrying.flops == 2 * (2 * 16 + 4 * 2) * 16 * 2 * 35
