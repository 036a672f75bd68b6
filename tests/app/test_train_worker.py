"""Trainings in a process of their own, as a front end starts them."""

import os
import signal
import time

import pytest

from gpc_studio.app.train.worker import TrainWorker
from tests.small_training import GPC


@pytest.fixture(scope="module", autouse=True)
def compiled_once(compile_once):
    """These tests run few programs many times."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "gpc-studio"


def wait_for(worker, states, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        latest = worker.poll()
        if latest["state"] in states:
            return latest
        time.sleep(0.05)
    raise AssertionError(f"no {states} in {seconds} s: {worker.poll()}")


def test_a_worker_trains(home):
    worker = TrainWorker(GPC)
    worker.start()
    latest = wait_for(worker, ("done", "failed", "stopped"))
    assert latest["state"] == "done", latest
    assert (latest["checkpoint"], latest["progress"]) == ("pendulum_gpc", 1.0)
    assert [entry["step"] for entry in worker.curve()] == [1, 2]
    assert worker.wait(20.0)
    assert (home / "checkpoints" / "pendulum_gpc.safetensors").exists()
    worker.stop()


LONG = [*GPC, "--iterations", "900"]


@pytest.mark.parametrize("how", ["stop", "parent"])
def test_a_worker_stops_and_keeps_what_it_did(home, how):
    worker = TrainWorker(LONG)
    worker.start()
    with pytest.raises(RuntimeError, match="started before"):
        worker.start()
    while not worker.curve():
        assert worker.poll()["state"] in ("starting", "running")
        time.sleep(0.05)
    latest = worker.poll()
    assert latest["stage"] == "train" and "round" in latest["message"]
    if how == "stop":
        worker.stop()
    else:
        worker._process.stdin.close()  # as when this process is gone
    assert worker.wait(30.0)
    latest = worker.poll()
    assert latest["state"] == "stopped"
    assert (home / "checkpoints" / "pendulum_gpc" / "state.safetensors").exists()
    worker.stop()


def test_a_worker_that_fails_says_why():
    worker = TrainWorker(["train", "pendulm"])
    worker.start()
    latest = wait_for(worker, ("failed",))
    assert "did you mean pendulum" in latest["message"]
    assert not worker.running


def test_a_worker_that_is_stopped_before_it_began_has_not_failed():
    worker = TrainWorker(LONG)
    worker.start()
    worker.stop()
    assert worker.poll()["state"] == "stopped"


def test_a_worker_says_what_is_in_the_frame_around_a_complaint():
    worker = TrainWorker(["train", "pendulum", "--no-such-flag"])
    worker.start()
    message = wait_for(worker, ("failed",))["message"]
    assert "gpc-studio train --help" in message


def test_a_worker_that_is_killed_has_failed():
    worker = TrainWorker(LONG)
    worker.start()
    os.kill(worker._process.pid, signal.SIGKILL)
    assert "exit code -9" in wait_for(worker, ("failed",))["message"]
