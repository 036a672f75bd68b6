"""The times of a start."""

import contextlib
import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gpc_studio.app import bench, start_up
from gpc_studio.app.errors import UsageError


def test_a_start_without_a_browser_ends_with_the_first_plan_served(tmp_path):
    times = start_up.start("pendulum", "mppi", tmp_path, None)
    assert 0.1 < times.url < times.plan < 120.0
    assert times.page is None
    # What was compiled is kept where a warm start will look for it.
    assert list((tmp_path / "gpc-studio" / "jax").glob("*-cache"))


def test_a_program_that_ends_early_is_told_with_its_own_words(tmp_path):
    with pytest.raises(UsageError, match=r"no controller .mppy. .did you mean mppi"):
        start_up.start("pendulum", "mppy", tmp_path, None)


def test_the_longest_gap_is_that_between_plans():
    session = SimpleNamespace(snapshot=SimpleNamespace(plan=None))

    def plans():
        for samples, wait in ((8, 0.02), (8, 0.3), (16, 0.02), (16, 0.02), (16, 0.02)):
            time.sleep(wait)
            session.snapshot = SimpleNamespace(plan=SimpleNamespace(cost=np.zeros(samples)))

    planner = threading.Thread(target=plans)
    planner.start()
    gap = start_up._longest_gap(session, 0.1, 16)
    planner.join()
    assert 0.28 < gap < 1.0


@pytest.mark.parametrize("drawn", [True, False])
def test_times_are_shown_and_written(tmp_path, monkeypatch, capsys, drawn):
    monkeypatch.setattr(
        start_up, "chromium", lambda: contextlib.nullcontext(object() if drawn else None)
    )
    times = iter((9.0, 1.0, 5.0, 3.0))

    def start(task, controller, cache, browser):
        first = next(times)
        return start_up.Start(first, first + 1.0 if drawn else None, first + 2.0)

    swap = {
        "task": "push_t", "controller": "cem", "samples": [32, 48], "period_ms": 100.0,
        "gap_before_ms": 101.0, "gap_ms": 130.0,
    }  # fmt: skip
    monkeypatch.setattr(start_up, "start", start)
    monkeypatch.setattr(start_up, "measure_swap", lambda controller: swap)
    out = tmp_path / "start.json"
    assert bench.command(["push_t", "--start", "--controller", "cem", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert content["swaps"] == [swap]
    cold, warm = content["starts"]
    assert (cold["cache"], cold["starts"], cold["url_s"], cold["plan_s"]) == ("cold", 1, 9.0, 11.0)
    assert (warm["cache"], warm["starts"], warm["url_s"], warm["plan_s"]) == ("warm", 3, 3.0, 5.0)
    assert warm["page_s"] == (4.0 if drawn else None)
    shown = capsys.readouterr().out
    assert "11.00" in shown
    assert "130 ms" in shown
    assert ("when it is served" in shown) == (not drawn)


def test_a_wrong_name_is_told_before_anything_is_started():
    with pytest.raises(UsageError, match="push_t"):
        bench.command(["push_tt", "--start"])
