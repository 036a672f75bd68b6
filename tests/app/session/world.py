"""A small world and a planner of known behaviour, to test sessions without compiling anything."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np

from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.options import describe
from gpc_studio.scenes import Goal, InitialState, Task, Weight

CART = """
<mujoco model="cart">
  <option timestep="{dt}"/>
  <worldbody>
    <geom name="floor" type="plane" size="2 2 .1" contype="0" conaffinity="0"/>
    <body name="cart" pos="0 0 .2">
      <joint name="slide" type="slide" axis="1 0 0" damping="0.5"/>
      <geom type="box" size=".1 .1 .1" mass="1" contype="0" conaffinity="0"/>
      <site name="tip"/>
    </body>
    <body name="goal" mocap="true" pos="0.5 0 .2"/>
  </worldbody>
  <actuator><motor joint="slide" ctrlrange="-5 5" ctrllimited="true"/></actuator>
  <sensor><framepos name="tip" objtype="site" objname="tip"/></sensor>
</mujoco>
"""


class CartTask(Task):
    name = "cart"
    title = "Cart"
    summary = "A cart on a rail"
    mjcf = "cart.xml"
    weights: ClassVar = {
        "distance": Weight(1.0, 10.0, "to the goal"),
        "effort": Weight(0.1, 1.0, "force"),
    }
    traces = ("tip",)
    goal = Goal("goal", translate=("x",), rotate=("z",), low=(-1, -1, -1), high=(1, 1, 1))
    success_hold = 0.1
    defaults: ClassVar = {"*": {"rate": 20.0, "samples": 8, "horizon": 0.5}}
    dt_ = 0.01

    def __init__(self) -> None:
        import mujoco

        self.__dict__["model"] = mujoco.MjModel.from_xml_string(CART.format(dt=self.dt_))

    def cost_terms(self, state, control):
        return {"distance": (state.qpos[0] - state.mocap_pos[0, 0]) ** 2, "effort": control[0] ** 2}

    def terminal_terms(self, state):
        return {}

    def reset(self, rng):
        return InitialState(qpos=rng.uniform(-0.3, 0.3, 1), qvel=np.zeros(1))

    def is_success(self, state):
        return bool(abs(state.qpos[0] - state.mocap_pos[0, 0]) < 0.05)

    def progress(self, state):
        return {"distance": float(abs(state.qpos[0] - state.mocap_pos[0, 0]))}

    def hold_control(self, state):
        return np.zeros(1)


class OtherTask(CartTask):
    name = "other"
    title = "Other"
    weights: ClassVar = {"other": Weight(2.0, 10.0, "another")}


class FakeMemory(NamedTuple):
    plans: int
    rng: tuple


@dataclass
class Factory:
    """Makes fake planners and knows all about them.

    `fail` raises at the next plans, `nan` makes plans that are not finite, `lost` costs that
    are not because of the term named or of the "rollouts", `delay` is the time of a plan,
    `compile_delay` that of a compilation, `refuse` holds sample counts that cannot compile.
    """

    fail: bool = False
    nan: bool = False
    lost: str = ""
    delay: float = 0.0
    compile_delay: float = 0.0
    refuse: set = field(default_factory=set)
    gate: threading.Event | None = None
    planners: list = field(default_factory=list)
    weights_seen: list = field(default_factory=list)
    options_seen: list = field(default_factory=list)
    times: list = field(default_factory=list)

    def __call__(self, task, controller, options, *, threads):
        planner = FakePlanner(self, task, controller, options)
        self.planners.append(planner)
        return planner

    @property
    def compiled(self) -> int:
        return sum(planner.compiled for planner in self.planners)

    @property
    def open(self) -> int:
        return sum(not planner.closed for planner in self.planners)


class FakePlanner:
    """A spring towards the goal, with noise from the memory; stateless as the real one."""

    def __init__(self, factory, task, controller, options):
        self.factory, self.task, self.controller = factory, task, controller
        self.static = self._static(options)
        self.compiled = self.closed = False
        self.threads = set()
        if options.samples in factory.refuse:
            raise MemoryError(f"no room for {options.samples} samples")

    @staticmethod
    def _static(options):
        return {n: getattr(options, n) for n, o in describe(type(options)).items() if o.static}

    def accepts(self, options):
        return self._static(options) == self.static

    def compile(self, state):
        time.sleep(self.factory.compile_delay)
        self.compiled = True

    def start(self, state, seeds):
        generator = np.random.Generator(np.random.PCG64(int(seeds[0])))
        return FakeMemory(0, tuple(generator.bit_generator.state["state"].items()))

    def step(self, memory, state, options, weights):
        factory = self.factory
        assert not self.closed, "a closed planner was used"
        assert self.accepts(options), "a planner was given options that it does not accept"
        self.threads.add(threading.current_thread().name)
        factory.weights_seen.append(dict(weights))
        factory.options_seen.append(options)
        factory.times.append(float(state.time[0]))
        if factory.gate is not None:
            factory.gate.wait(5)
        if factory.fail:
            raise ZeroDivisionError("broken on purpose")
        time.sleep(factory.delay)
        generator = np.random.Generator(np.random.PCG64())
        inner = generator.bit_generator.state
        inner["state"] = dict(memory.rng)
        generator.bit_generator.state = inner
        goal = state.mocap_pos[0, 0, 0] if state.mocap_pos.size else 0.0
        x, v = state.qpos[0, 0], state.qvel[0, 0]
        gain = float(np.sum(list(weights.values())))
        samples, steps = options.samples, max(1, round(options.horizon / self.task.dt))
        force = np.clip(8 * gain * (goal - x) - 3 * v + generator.normal(0, 0.1), -5, 5)
        controls = np.full((steps, 1), np.nan if factory.nan else force)
        cost = np.abs(generator.normal(size=samples)) + (goal - x) ** 2
        terms = np.stack([cost] * len(self.task.weights), axis=1)
        if factory.lost:
            cost = np.full(samples, np.inf)
            terms[:, [name == factory.lost for name in self.task.weights]] = np.nan
        knots = np.full((samples, options.knots, 1), force)
        plan = Plan(
            time=state.time[0],
            knot_times=state.time[0] + np.linspace(0, options.horizon, options.knots),
            knots=knots,
            source=np.ones(samples, int),
            cost=cost,
            cost_terms=terms,
            weight=np.full(samples, 1 / samples),
            domain_cost=cost[None],
            mean=knots[0],
            std=np.zeros_like(knots[0]),
            executed=knots[0],
            controls=controls,
            best=np.argmin(cost),
            latents=None,
            traces=np.zeros((samples, steps + 1, 1, 3), np.float32),
            qpos=np.zeros((samples, steps + 1, 1)),
        )
        batched = Plan(*(None if value is None else np.asarray(value)[None] for value in plan))
        after = FakeMemory(memory.plans + 1, tuple(generator.bit_generator.state["state"].items()))
        return after, batched, PlanTiming(0.001, 0.002, 0.003, 0.004)

    def close(self):
        assert not self.closed, "closed twice"
        self.closed = True


def until(condition, timeout=10.0, what=""):
    """Waits for a condition; the test fails when it does not come."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout} s in vain {what}"
        time.sleep(0.002)


def session_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("gpc-studio")]
