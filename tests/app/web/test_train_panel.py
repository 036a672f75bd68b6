"""The panel that trains: what it starts, what it shows, and what it says when things go wrong."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from fake_session import FakeSession

from gpc_studio.app.planners import default_options
from gpc_studio.app.train.command import read
from gpc_studio.app.train.curves import PANELS
from gpc_studio.app.train.sizes import SIZES
from gpc_studio.app.web.panels import train as module
from gpc_studio.app.web.panels.train import TrainPanel
from gpc_studio.app.web.server import WebServer
from gpc_studio.models.library import path_for
from gpc_studio.scenes import load_task
from gpc_studio.scenes.pendulum.task import Pendulum


class FakeWorker:
    """Does what a test says.

    Attributes:
        made: All workers, oldest first.
    """

    made: ClassVar[list[FakeWorker]] = []

    def __init__(self, arguments):
        self.arguments, self.started, self.stopped = list(arguments), False, False
        self.progress = {"state": "starting", "message": "starting", "progress": 0.0}
        self.entries = []
        FakeWorker.made.append(self)

    def start(self):
        self.started = True

    def poll(self):
        return dict(self.progress)

    def curve(self):
        return list(self.entries)

    def stop(self, timeout=20.0):
        self.stopped = True
        self.progress |= {"state": "stopped", "message": "stopped: saved"}


@pytest.fixture
def panel(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    FakeWorker.made = []
    server, session = WebServer(port=0), FakeSession()
    task = load_task("pendulum")
    session.change(task=task, weights=task.default_weights())
    panel = TrainPanel(server.viser.gui, session, make_worker=FakeWorker)
    yield panel
    server.stop()


def say(panel, **progress):
    FakeWorker.made[-1].progress |= progress
    panel.update(panel._session.snapshot)


def test_it_starts_what_is_chosen(panel):
    panel._chosen |= {"method": "offline", "size": "full"}
    panel.update(panel._session.snapshot)
    assert panel._name.value == "pendulum_offline"
    panel.start()
    worker = FakeWorker.made[-1]
    assert worker.started
    assert worker.arguments == [
        "train", "pendulum", "--method", "offline", "--name", "pendulum_offline",
    ]  # fmt: skip
    panel.update(panel._session.snapshot)
    assert panel._start.disabled and panel._name.disabled and panel._stop.visible
    with pytest.raises(ValueError, match="under way"):
        panel.start()


@pytest.mark.parametrize("method", PANELS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("task", ["pendulum", "push_t"])
def test_every_size_is_a_command_that_can_be_read(task, method, size):
    flags = SIZES[size](load_task(task), method)
    asked = read([task, "--method", method, *flags])
    whole = read([task, "--method", method])
    amounts = ["iterations"] if method == "gpc" else ["episodes", "steps"]
    for amount in amounts:
        smaller = asked.flags[amount] < whole.flags[amount]
        assert smaller == (size == "quick"), amount


def test_moved_weights_are_trained_for(panel):
    weights = {**panel._session.snapshot.weights}
    name = next(iter(weights))
    panel._session.change(weights={**weights, name: weights[name] + 0.125})
    panel.start()
    typed = FakeWorker.made[-1].arguments
    assert typed[typed.index("--weight") + 1] == f"{name}={weights[name] + 0.125}"
    assert read(typed[1:]).weights[name] == weights[name] + 0.125


def test_a_task_of_nowhere_cannot_be_trained_for(panel, monkeypatch):
    task = FakeSession.tasks["cart"]()
    monkeypatch.setattr(type(task), "source_path", None)
    panel._session.change(task=task, weights=task.default_weights())
    with pytest.raises(ValueError, match="in no file"):
        panel.start()
    assert not FakeWorker.made


def test_a_task_that_kept_the_name_of_a_built_in_is_trained_for_by_its_file(panel):
    class Heavier(Pendulum):
        """As someone would write it who forgets to rename it."""

    task = Heavier()
    panel._session.change(task=task, weights=task.default_weights())
    panel.start()
    assert FakeWorker.made[-1].arguments[:2] == ["train", str(Path(__file__).resolve())]


@pytest.mark.parametrize("name", ["--fresh", "-h", "../evil", "a b", "x" * 65])
def test_names_that_no_checkpoint_may_have_start_nothing(panel, name):
    panel._name.value = name
    with pytest.raises(ValueError, match="expected a name"):
        panel.start()
    assert not FakeWorker.made


def test_names_are_free_until_somebody_types_one(panel):
    assert panel._name.value == "pendulum_gpc_quick"
    path_for("pendulum_gpc_quick").parent.mkdir(parents=True)
    path_for("pendulum_gpc_quick").touch()
    panel.update(panel._session.snapshot)
    assert panel._name.value == "pendulum_gpc_quick_2"
    panel._name.value = "mine"
    panel._chosen["size"] = "full"
    panel.update(panel._session.snapshot)
    assert panel._name.value == "mine"
    panel.start()
    assert "mine" in FakeWorker.made[-1].arguments


def test_progress_and_curves(panel):
    panel.start()
    say(panel, state="running", message="round 1/8, collecting", progress=0.25, eta=31.0)
    assert panel._bar.visible and panel._bar.value == 25.0
    assert "round 1/8, collecting, 31 s left" in panel._line.content
    worker = FakeWorker.made[-1]
    worker.entries = [
        {"step": k, "loss": 1.0 / k, "policy_best": 0.1 * k, "best_cost": 3.0, "policy_cost": None}
        for k in (1, 2, 3)
    ]
    say(panel, eta=150.0)
    assert "2 min left" in panel._line.content
    assert panel._folder.visible
    assert not panel._charts[0][0].is_log  # not a decade in it
    loss, won, cost = (chart for chart, *_ in panel._charts)
    np.testing.assert_allclose(loss.handle.data[1], [1.0, 0.5, 1 / 3])
    np.testing.assert_allclose(won.handle.data[1], [10.0, 20.0, 30.0])
    assert np.isnan(np.asarray(cost.handle.data[2])[1:]).all()


def test_when_it_is_done_it_can_be_used(panel):
    session = panel._session
    with pytest.raises(ValueError, match="no policy just trained"):
        panel.use()
    panel.start()
    say(panel, state="done", message="trained in 9 s", progress=1.0, checkpoint="pendulum_gpc")
    assert panel._use.visible and not panel._stop.visible and not panel._bar.visible
    assert not panel._start.disabled
    say(panel)
    told = [command for command in session.commands if command[0] == "notify"]
    assert len(told) == 1 and told[0][1] == "info"
    done = []
    session.set_controller = lambda name: (
        done.append(name), session.change(options=default_options(session.snapshot.task, name)),
    )  # fmt: skip
    session.set_option = lambda name, value: done.append((name, value))
    panel.use()
    assert done == ["gpc_cem", ("checkpoint", "pendulum_gpc_quick")]
    panel.use()  # a controller that takes policies stays
    assert done[2:] == [("checkpoint", "pendulum_gpc_quick")]
    session.change(task=load_task("cart_pole"))
    with pytest.raises(ValueError, match="policy for pendulum"):
        panel.use()


def test_stopping_does_not_wait(panel):
    with pytest.raises(ValueError, match="no training to stop"):
        panel.interrupt()
    panel.start()
    panel.interrupt()
    panel._stopping.join(5.0)
    assert FakeWorker.made[-1].stopped
    panel.update(panel._session.snapshot)
    assert "stopped" in panel._line.content and not panel._use.visible
    panel.start()  # goes on, since the name is the same
    assert FakeWorker.made[-1].arguments == FakeWorker.made[-2].arguments


def test_failures_are_told_with_their_reason(panel):
    panel.start()
    say(panel, state="failed", message="pendulum_gpc holds a training with other settings <x>")
    assert "other settings &lt;x&gt;" in panel._line.content
    assert "gpc-error" in panel._line.content
    command = next(c for c in panel._session.commands if c[0] == "notify")
    assert command[1] == "error" and "other settings" in command[3]
    assert not panel._start.disabled


def test_the_end_of_the_page_ends_the_training(panel):
    panel.stop()
    panel.start()
    panel.stop()
    assert FakeWorker.made[-1].stopped


def test_durations():
    assert module._duration(0.2) == "1 s"
    assert module._duration(89.0) == "89 s"
    assert module._duration(200.0) == "3 min"
