"""A user's own task: every mistake is reported with file and line, and a saved file is reloaded."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from gpc_studio.scenes import load_task
from gpc_studio.scenes.errors import TaskError
from gpc_studio.scenes.loader import TaskFile

MODEL = """<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <body name="mass">
      <joint name="slide" type="slide" axis="1 0 0"/>
      <geom name="ball" size="0.1" mass="1"/>
      <site name="centre"/>
    </body>
    <body name="goal" mocap="true" pos="1 0 0"/>
  </worldbody>
  <actuator>
    <motor name="motor" joint="slide" ctrlrange="-1 1"/>
  </actuator>
  <sensor>
    <framepos name="centre" objtype="site" objname="centre"/>
  </sensor>
</mujoco>
"""

TASK = """import numpy as np

from gpc_studio.scenes import Goal, InitialState, Randomisation, Task, Weight


class Mass(Task):
    name = "mass"
    title = "Mass"
    summary = "Move a mass to the goal."
    mjcf = "mass.xml"
    weights = {
        "distance": Weight(1.0, 10.0, "Squared distance."),
        "final_distance": Weight(1.0, 10.0, "Squared distance at the end."),
    }
    traces = ("centre",)
    goal = Goal("goal", translate=("x",))
    randomisations = (Randomisation("body_mass", 0.5, 2.0, names=("mass",)),)

    def cost_terms(self, state, control):
        return {"distance": (state.qpos[0] - state.mocap_pos[0, 0]) ** 2}

    def terminal_terms(self, state):
        return {"final_distance": (state.qpos[0] - state.mocap_pos[0, 0]) ** 2}

    def reset(self, rng):
        return InitialState(qpos=rng.uniform(-1, 1, size=1), qvel=np.zeros(1))

    def is_success(self, state):
        return bool(abs(state.qpos[0] - state.mocap_pos[0, 0]) < 0.1)
"""

RUNNING = '"distance": (state.qpos[0] - state.mocap_pos[0, 0]) ** 2'

MISTAKES = {
    # what is replaced in the task, by what, a piece of the faulty line, a piece of the message
    "syntax": ("def reset(self, rng):", "def reset(self, rng)", "def reset", "syntax error"),
    "import": ("import numpy as np", "import numpyy as np", "import numpyy", "numpyy"),
    "missing method": (
        "def is_success", "def is_succes", "class Mass", r"lacks is_success\(\)",
    ),
    "missing attribute": ('    title = "Mass"\n', "", "class Mass", "lacks `title`"),
    "missing mjcf": ('"mass.xml"', '"mas.xml"', "mas.xml", "no file"),
    "wrong type": ('"Mass"\n', "3\n", "title = 3", "title: expected text, got 3"),
    "weight out of range": (
        'Weight(1.0, 10.0, "Squared distance.")', 'Weight(20.0, 10.0, "Squared distance.")',
        "Weight(20.0", "min <= default <= max",
    ),
    "term without weight": (
        RUNNING, RUNNING.replace("distance", "distanse"), "distanse",
        "'distanse' has no weight",
    ),
    "weight without term": (
        '"final_distance": (state', '"distance": (state', '{"distance": (state.qpos[0]',
        "also a running term",
    ),
    "unused weight": (
        '    weights = {\n', '    weights = {\n        "spare": Weight(1.0, 2.0, ""),\n',
        '"spare"', "'spare' is not a term",
    ),
    "non-scalar term": (
        RUNNING, '"distance": state.qvel * 1.0', '"distance": state.qvel',
        r"expected a scalar, got shape \(1,\)",
    ),
    "no dict": (f"return {{{RUNNING}}}", "return 1.0", "def cost_terms", "expected a dict"),
    "branch on a value": (
        f"return {{{RUNNING}}}",
        'if state.qpos[0] > 0:\n            return {"distance": 1.0}\n        return {}',
        "if state.qpos[0] > 0", "cost_terms raised TracerBoolConversionError",
    ),
    "bad index": (RUNNING, '"distance": state.qpso[0]', "state.qpso", "qpso"),
    "wrong reset": ("size=1", "size=2", "def reset", r"qpos: expected \(1,\) finite numbers"),
    "reset raises": ("rng.uniform(-1", "rng.uniforn(-1", "uniforn", "reset raised AttributeError"),
    "success is no bool": ("return bool(abs", "return str(abs", "def is_success", "True or False"),
    "unknown sensor": ('("centre",)', '("center",)', "center", "framepos"),
    "unknown goal": ('Goal("goal"', 'Goal("gaol"', "gaol", "mocap body"),
    "unknown field": ('"body_mass"', '"body_mas"', "body_mas", "field of mujoco.MjModel"),
    "unknown body": ('names=("mass",)', 'names=("mas",)', "body_mass", "got mas"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mass.xml").write_text(MODEL)
    (tmp_path / "mass.py").write_text(TASK)
    return tmp_path


def test_a_correct_task_loads(folder):
    task = load_task(folder / "mass.py")
    assert task.name == "mass" and task.dt == 0.01
    assert load_task(str(folder / "mass.py")).model_path == folder / "mass.xml"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_its_line(folder, mistake):
    old, new, faulty, message = MISTAKES[mistake]
    assert old in TASK
    text = TASK.replace(old, new, 1)
    path = folder / "mass.py"
    path.write_text(text)
    with pytest.raises(TaskError, match=message) as caught:
        load_task(path)
    error = caught.value
    assert error.path == path
    assert error.line is not None
    assert faulty in text.splitlines()[error.line - 1]
    assert str(error).startswith(f"{path}:{error.line}: ")


@pytest.mark.parametrize(
    ("old", "new", "faulty", "message"),
    [
        ('type="slide"', 'type="slyde"', "slyde", "MuJoCo cannot compile this model"),
        ('size="0.1"', "size=0.1", "size=0.1", "malformed XML"),
        ("</worldbody>", "</worldbod>", "</worldbod>", "malformed XML"),
        ('joint="slide" ctrl', 'joint="slid" ctrl', 'joint="slid"', "unknown"),
    ],
)
def test_a_mistake_in_the_model_is_reported_with_its_line(folder, old, new, faulty, message):
    path = folder / "mass.xml"
    path.write_text(MODEL.replace(old, new))
    with pytest.raises(TaskError, match=message) as caught:
        load_task(folder / "mass.py")
    assert caught.value.path == path
    assert faulty in path.read_text().splitlines()[(caught.value.line or 0) - 1]


def test_a_mistake_in_an_included_file_is_reported_there(folder):
    extra = folder / "extra.xml"
    extra.write_text('<mujoco>\n  <option gravitty="0 0 -1"/>\n</mujoco>')
    save(folder / "mass.xml", "<worldbody>", '<include file="extra.xml"/><worldbody>')
    with pytest.raises(TaskError, match="gravitty") as caught:
        load_task(folder / "mass.py")
    assert (caught.value.path, caught.value.line) == (extra, 2)


def test_a_file_without_a_task_or_with_two(folder):
    path = folder / "mass.py"
    path.write_text("x = 1\n")
    with pytest.raises(TaskError, match=r"expected one subclass .* got none"):
        load_task(path)
    path.write_text(TASK + "\n\n" + TASK.split("\n\n\n")[1].replace("class Mass", "class Other"))
    with pytest.raises(TaskError, match="got Mass, Other") as caught:
        load_task(path)
    assert "class Other" in path.read_text().splitlines()[(caught.value.line or 0) - 1]


def test_a_file_that_does_not_exist(tmp_path):
    with pytest.raises(TaskError, match=r"nothing\.py: cannot read the task"):
        load_task(tmp_path / "nothing.py")


def test_a_script_that_exits_does_not_end_the_program(folder):
    (folder / "mass.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(TaskError, match=r"mass\.py:2: .*SystemExit"):
        load_task(folder / "mass.py")


def test_a_class_that_others_build_on_is_not_the_task(folder):
    (folder / "mass.py").write_text(TASK + '\n\nclass Heavier(Mass):\n    title = "Heavier"\n')
    assert load_task(folder / "mass.py").title == "Heavier"


def test_saving_again_reloads(folder):
    path = folder / "mass.py"
    file = TaskFile(path)
    assert file.load().title == "Mass"
    assert not file.changed()
    save(path, '"Mass"', '"Moss"')
    assert file.changed()
    assert file.load().title == "Moss"
    assert not file.changed()


def test_same_length_and_time_stamp_do_not_hide_a_change(folder):
    path = folder / "mass.py"
    file, before = TaskFile(path), path.stat()
    file.load()
    save(path, "< 0.1", "< 0.9")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.changed()
    task = file.load()
    state = type("S", (), {"qpos": [0.5], "mocap_pos": np.ones((1, 3))})
    assert task.is_success(state)


def test_saving_the_model_or_what_it_includes_reloads(folder):
    (folder / "extra.xml").write_text('<mujoco><option gravity="0 0 -1"/></mujoco>')
    save(folder / "mass.xml", "<worldbody>", '<include file="extra.xml"/><worldbody>')
    file = TaskFile(folder / "mass.py")
    assert file.load().model.opt.gravity[2] == -1.0
    save(folder / "mass.xml", 'mass="1"', 'mass="2"')
    assert file.changed()
    assert file.load().model.body("mass").mass[0] == 2.0
    save(folder / "extra.xml", "-1", "-3")
    assert file.changed()
    assert file.load().model.opt.gravity[2] == -3.0


@pytest.mark.parametrize("mended", ["mass.py", "mass.xml"])
def test_a_mended_file_is_noticed_after_a_failure(folder, mended):
    path = folder / mended
    good = path.read_text()
    path.write_text(re.sub("mass", "mess", good) if mended == "mass.xml" else good[:-30])
    file = TaskFile(folder / "mass.py")
    with pytest.raises(TaskError):
        file.load()
    assert not file.changed()
    path.write_text(good)
    assert file.changed()
    assert file.load().name == "mass"


def test_a_file_that_is_being_replaced_is_not_a_change(folder):
    file = TaskFile(folder / "mass.py")
    file.load()
    (folder / "mass.py").rename(folder / "mass.tmp")
    assert not file.changed()
    (folder / "mass.tmp").rename(folder / "mass.py")
    assert not file.changed()


def test_an_older_task_still_works_after_a_reload(folder):
    file = TaskFile(folder / "mass.py")
    old = file.load()
    save(folder / "mass.py", '"Mass"', '"Moss"')
    new = file.load()
    assert (old.title, new.title) == ("Mass", "Moss")
    assert old.model.nq == new.model.nq == 1
    assert old.model_path == new.model_path


def save(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
