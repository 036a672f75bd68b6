"""A session without threads or planning: what the page is told is what a test says."""

from __future__ import annotations

from functools import cached_property
from types import SimpleNamespace
from typing import ClassVar

import mujoco
import numpy as np

from gpc_studio.app.session.history import by_source
from gpc_studio.app.session.snapshot import Message, PlanRecord, Snapshot, Timing
from gpc_studio.controllers.plan import Plan, PlanTiming, Source
from gpc_studio.controllers.registry import controller, controller_names
from gpc_studio.options import OptionError, updated
from gpc_studio.scenes.state import InitialState, State
from gpc_studio.scenes.task import Camera, Goal, Task, Weight

MJCF = """
<mujoco>
  <option timestep="0.01"/>
  <asset>
    <texture name="floor" type="2d" builtin="checker" rgb1=".9 .9 .9" rgb2=".8 .8 .8"
             width="64" height="64"/>
    <material name="floor" texture="floor" texrepeat="6 6"/>
  </asset>
  <worldbody>
    <light pos="0 0 4"/>
    <geom name="floor" type="plane" size="4 4 .1" material="floor"/>
    <body name="cart" pos="0 0 .3">
      <joint name="slide" type="slide" axis="1 0 0" damping="1"/>
      <geom type="box" size=".2 .12 .1" rgba=".2 .5 .8 1" mass="1"/>
      <site name="tip" pos="0 0 .2"/>
    </body>
    <body name="goal" mocap="true" pos="1 0 .3">
      <geom type="box" size=".2 .12 .1" rgba=".2 .8 .4 .4" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-2 2" ctrllimited="true"/></actuator>
  <sensor><framepos name="trace" objtype="site" objname="tip"/></sensor>
</mujoco>
"""


class CartTask(Task):
    name = "cart"
    title = "Cart"
    summary = "A cart on a rail."
    mjcf = ""
    weights: ClassVar = {
        "distance": Weight(1.0, 10.0, "Squared distance to the goal."),
        "effort": Weight(0.1, 1.0, "Squared control."),
    }
    traces = ("trace",)
    goal = Goal("goal", translate=("x",), low=(-2, 0, 0.3), high=(2, 0, 0.3))
    camera = Camera((0.5, -3.0, 1.5), (0.3, 0.0, 0.3))

    @cached_property
    def model(self):
        return mujoco.MjModel.from_xml_string(MJCF)

    def cost_terms(self, state, control):
        return {"distance": (state.qpos[0] - state.mocap_pos[0, 0]) ** 2, "effort": control[0] ** 2}

    def terminal_terms(self, state):
        return {}

    def reset(self, rng):
        return InitialState(np.zeros(1), np.zeros(1))

    def is_success(self, state):
        return abs(state.qpos[0] - state.mocap_pos[0, 0]) < 0.05

    def progress(self, state):
        return {"distance": float(abs(state.qpos[0] - state.mocap_pos[0, 0]))}


class RampTask(CartTask):
    name = "ramp"
    weights: ClassVar = {"height": Weight(2.0, 10.0, "Height."), **CartTask.weights}


class FakeSession:
    """Takes every command of a session, remembers it, and answers with a new snapshot.

    Attributes:
        commands: Names and arguments of the commands, in order.
    """

    tasks: ClassVar = {"cart": CartTask, "ramp": RampTask}

    def __init__(self) -> None:
        self.commands: list[tuple] = []
        self._records: list[PlanRecord] = []
        self.history = SimpleNamespace(since=self._since)
        self.snapshot = self._first(CartTask())

    def _since(self, number: int = 0) -> tuple[int, list[PlanRecord]]:
        return len(self._records), self._records[number:]

    def _first(self, task: Task) -> Snapshot:
        data = mujoco.MjData(task.model)
        mujoco.mj_forward(task.model, data)
        return Snapshot(
            number=0, epoch=0, task=task, controller="mppi", wanted_controller="mppi",
            options=controller("mppi").options_type(), weights=task.default_weights(),
            mode="real-time", paused=False, preparing="", speed=1.0, seed=0,
            state=State.from_data(data), control=np.zeros(1), plan=None,
            path=np.zeros((0, 1, 3)), push=None, success=False, progress={"distance": 1.0},
            timing=Timing(20.0, 19.8, PlanTiming(0.001, 0.004, 0.001, 0.0005), 0.05, 1.0, 0),
            messages=(),
        )  # fmt: skip

    def change(self, **changes) -> None:
        """Publishes a snapshot that differs from the last by `changes`."""
        import dataclasses

        number = self.snapshot.number + 1
        self.snapshot = dataclasses.replace(self.snapshot, number=number, **changes)

    def advance(self, seconds: float = 0.05) -> None:
        """Publishes a later state with a plan for it, and its record."""
        task = self.snapshot.task
        time = float(self.snapshot.state.time) + seconds
        state = self.snapshot.state._replace(
            time=np.asarray(time), qpos=np.array([0.5 * np.sin(time)])
        )
        plan = made_up_plan(task, state, seed=self.snapshot.number)
        order = np.sort(plan.cost)
        self._records.append(
            PlanRecord(
                time=time,
                best=order[0],
                elite=order[:3].mean(),
                mean=order.mean(),
                terms=plan.cost_terms[plan.best],
                best_source=int(plan.source[plan.best]),
                ess=1.0 / np.sum(plan.weight**2),
                timing=self.snapshot.timing.plan,
                achieved_rate=19.0 + np.sin(time),
                by_source=by_source(plan),
            )
        )
        self._records = self._records[-600:]
        path = plan.traces[0, :1]
        self.change(state=state, plan=plan, path=np.concatenate([self.snapshot.path, path])[-200:])

    def say(self, level: str, title: str, text: str) -> None:
        messages = self.snapshot.messages
        self.change(messages=(*messages, Message(len(messages), level, title, text)))

    def pause(self):
        self._note("pause")
        self.change(paused=True)

    def resume(self):
        self._note("resume")
        self.change(paused=False)

    def toggle_pause(self):
        self._note("toggle_pause")
        self.change(paused=not self.snapshot.paused)

    def step(self):
        self._note("step")

    def reset(self, seed=None):
        self._note("reset", seed)
        if seed is not None:
            self.change(seed=seed)

    def rewind(self, seconds=1.0):
        self._note("rewind", seconds)

    def set_speed(self, speed):
        if not 0.1 <= speed <= 4.0:
            raise OptionError("speed", "a number from 0.1 to 4", speed)
        self._note("set_speed", speed)
        self.change(speed=speed)

    def set_mode(self, mode):
        self._note("set_mode", mode)
        self.change(mode=mode)

    def set_task(self, name):
        if name not in self.tasks:
            raise ValueError(f"task: expected one of {', '.join(self.tasks)}, got {name!r}")
        self._note("set_task", name)
        fresh = self._first(self.tasks[name]())
        self._records = []
        self.change(task=fresh.task, weights=fresh.weights, state=fresh.state, plan=None)

    def set_controller(self, name):
        if name not in controller_names():
            raise ValueError(f"controller: expected one of {controller_names()}, got {name!r}")
        self._note("set_controller", name)
        options = controller(name).options_type()
        self.change(wanted_controller=name, controller=name, options=options)

    def set_option(self, name, value):
        options = updated(self.snapshot.options, {name: value})
        self._note("set_option", name, value)
        self.change(options=options)

    def set_weight(self, name, value):
        self._note("set_weight", name, value)
        self.change(weights={**self.snapshot.weights, name: value})

    def set_goal(self, position, quaternion):
        self._note("set_goal", tuple(position))
        mocap = np.array([position], dtype=float)
        self.change(state=self.snapshot.state._replace(mocap_pos=mocap))

    def push(self, body, point, force):
        self._note("push", body)

    def release_push(self):
        self._note("release_push")

    def notify(self, level, title, text):
        self._note("notify", level, title, text)

    def _note(self, *command) -> None:
        self.commands.append(command)


def made_up_plan(
    task: Task, state: State, *, seed: int, samples: int = 32, steps: int = 50
) -> Plan:
    """A plan of the right shapes whose figures mean nothing."""
    rng = np.random.default_rng(seed)
    time = float(state.time)
    terms = np.abs(rng.normal(size=(samples, len(task.weights))))
    cost = terms.sum(1)
    weight = np.exp(-(cost - cost.min()))
    ahead = np.linspace(0, 1, steps + 1)
    sway = rng.normal(size=(samples, 1)) * ahead**2
    start = float(state.qpos[0])
    traces = np.zeros((samples, steps + 1, 1, 3), np.float32)
    traces[:, :, 0, 0] = start + sway
    traces[:, :, 0, 2] = 0.5 + 0.3 * ahead * rng.normal(size=(samples, 1))
    knots = rng.normal(size=(samples, 4, task.nu))
    mean = knots.mean(0)
    return Plan(
        time=np.asarray(time), knot_times=time + np.linspace(0, 0.5, 4), knots=knots,
        source=np.where(np.arange(samples) == 0, Source.PREVIOUS, Source.GAUSSIAN), cost=cost,
        cost_terms=terms, weight=weight / weight.sum(), domain_cost=cost[None], mean=mean,
        std=np.full((4, task.nu), 0.3), executed=mean,
        controls=np.repeat(np.interp(np.linspace(0, 3, steps), np.arange(4), mean[:, 0])[:, None],
                           task.nu, 1),
        best=int(np.argmin(cost)), latents=None, traces=traces,
        qpos=(start + sway)[..., None],
    )  # fmt: skip
