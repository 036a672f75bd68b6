"""A user's own task file, edited while it runs."""

from __future__ import annotations

import textwrap

import pytest
from world import until

from gpc_studio.app import run
from gpc_studio.app.choice import choose_task
from gpc_studio.app.errors import UsageError
from gpc_studio.app.session import Session, SessionError
from gpc_studio.scenes import TaskError

MJCF = """
<mujoco><option timestep="0.01"/>
  <worldbody><body name="cart"><joint name="x" type="slide" axis="1 0 0"/>
    <geom size=".1" mass="1"/></body></worldbody>
  <actuator><motor joint="x" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""

SOURCE = """
from gpc_studio.scenes import InitialState, Task, Weight

class Mine(Task):
    name = "mine"
    title = "{title}"
    summary = "Mine"
    mjcf = "mine.xml"
    weights = {{"position": Weight({default}, 9.0, "x"), "{second}": Weight(0.1, 9.0, "v")}}

    def cost_terms(self, state, control):
        return {{"position": state.qpos[0] ** 2, "{second}": state.qvel[0] ** 2}}

    def terminal_terms(self, state):
        return {{}}

    def reset(self, rng):
        return InitialState(rng.normal(size=1), rng.normal(size=1))

    def is_success(self, state):
        return False
"""


def source(title="One", default=1.0, second="speed"):
    return textwrap.dedent(SOURCE.format(title=title, default=default, second=second))


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.xml").write_text(MJCF)
    path = tmp_path / "mine.py"
    path.write_text(source())
    return path


def test_saving_reloads_and_keeps_what_was_moved(file, factory):
    with Session(str(file), make_planner=factory) as session:
        session.wait_ready()
        session.set_weight("speed", 4.0)
        session.set_option("temperature", 0.5)
        file.write_text(source(title="Two", default=2.0))
        until(lambda: session.snapshot.task.title == "Two")
        assert dict(session.snapshot.weights) == {"position": 2.0, "speed": 4.0}
        assert session.snapshot.options.temperature == 0.5
        until(lambda: any(m.title == "Task reloaded" for m in session.snapshot.messages))
        file.write_text(source(title="Three", second="velocity"))
        until(lambda: session.snapshot.task.title == "Three")
        assert dict(session.snapshot.weights) == {"position": 1.0, "velocity": 0.1}
        assert session.wait_ready().plan is not None
        assert len(factory.planners) == 3


def test_a_mistake_is_told_and_repaired(file, factory):
    with Session(file, make_planner=factory) as session:
        session.wait_ready()
        session.set_weight("speed", 4.0)
        file.write_text(source().replace("state.qpos[0] ** 2", "state.qqpos[0] ** 2"))
        until(lambda: session.snapshot.messages)
        message = session.snapshot.messages[-1]
        assert message.level == "error"
        assert "mine.py:12" in message.text
        assert "qqpos" in message.text
        begin = session.snapshot.state.time
        until(lambda: session.snapshot.state.time > begin + 0.2)  # the old one goes on
        assert not session.snapshot.paused
        file.write_text(source(title="Repaired"))
        until(lambda: session.snapshot.task.title == "Repaired")
        assert session.snapshot.weights["speed"] == 4.0


@pytest.mark.parametrize(
    ("defaults", "problem"),
    [
        ("{'*': {'samples': 8}, 'mpi': {}}", "got 'mpi'"),
        ("{'samples': 8}", "got 'samples'"),
        ("{'mppi': 8}", "mppi: expected a dict of option values"),
        ("{'*': {'sampels': 8}}", "sampels"),
        ("{'*': {},\n 'mppi': {'samples': 1}}", "samples: expected a whole number from 2"),
    ],
)
def test_a_mistake_in_the_defaults_is_told_with_its_line(file, factory, defaults, problem):
    wrong = source().replace("mjcf", f"defaults = {defaults}\n    mjcf")
    line = 8 + defaults.count("\n")
    file.write_text(wrong)
    with pytest.raises(TaskError, match=rf"mine\.py:{line}: .*{problem}"):
        Session(file)
    with pytest.raises(UsageError, match=rf"mine\.py:{line}: .*{problem}"):
        choose_task(str(file))
    file.write_text(source())
    with Session(file, make_planner=factory) as session:
        session.wait_ready()
        file.write_text(wrong)
        until(lambda: session.snapshot.messages)
        assert f"mine.py:{line}: " in session.snapshot.messages[-1].text


def test_a_file_with_a_mistake_is_taken_once_it_is_repaired(file, new_session):
    file.write_text("class Mine(\n")
    with new_session() as session:
        session.wait_ready()
        session.set_task(file)
        with pytest.raises(SessionError, match=r"mine\.py:1"):
            session.wait_ready()
        assert session.snapshot.task.name == "cart"
        file.write_text(source())
        until(lambda: session.snapshot.task.name == "mine")
        session.set_task("pendulum")
        session.wait_ready()
        file.write_text(source(title="Two"))  # nobody looks at it any more
        session.set_option("samples", 9)
        assert session.wait_ready().task.name == "pendulum"


def test_a_session_does_not_start_with_a_broken_file(file):
    file.write_text("x = 1\n")
    with pytest.raises(TaskError, match="expected one subclass"):
        Session(file)


def test_the_program_executes_a_file_once_before_it_is_saved_again(file):
    count = file.with_name("count.txt")
    counting = f"with open({str(count)!r}, 'a') as note:\n    note.write('.')\n"
    file.write_text(counting + source())
    settings = run.read_settings(["--task", str(file), "--samples", "8", "--horizon", "0.2"])
    with run.new_session(settings) as session:
        session.wait_ready(120.0)
        assert count.read_text() == "."
        file.write_text(counting + source(title="Two"))
        until(lambda: session.snapshot.task.title == "Two")
        assert count.read_text() == ".."
