"""Models, plans and servers that the tests of the 3-D view share."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import ClassVar

import mujoco
import numpy as np

from gpc_studio.app.session.snapshot import Snapshot, Timing
from gpc_studio.controllers.options import PlanningOptions
from gpc_studio.controllers.plan import Plan, PlanTiming
from gpc_studio.scenes.state import State
from gpc_studio.scenes.task import Camera, Goal, Task

# ruff: noqa: E501

ALL_GEOMS = """
<mujoco>
  <statistic extent="2" center="0 0 0"/>
  <asset>
    <texture name="checker" type="2d" builtin="checker" rgb1="1 0 0" rgb2="1 1 1" width="64" height="64"/>
    <texture name="faces" type="cube" builtin="flat" rgb1="0 0 0" rgb2="0 0 0" width="16" height="96"/>
    <material name="floor" texture="checker" texuniform="true" texrepeat="2 2"/>
    <material name="checker" texture="checker" texrepeat="3 3"/>
    <material name="faces" texture="faces"/>
    <material name="steel" rgba="0.8 0.7 0.6 1" metallic="0.9" roughness="0.2"/>
    <mesh name="tetra" vertex="0 0 0  .3 0 0  0 .3 0  0 0 .3" texcoord="0 0 1 0 0 1 1 1"
      face="0 2 1  0 1 3  0 3 2  1 2 3"/>
    <mesh name="octa" vertex=".15 0 0 -.15 0 0 0 .15 0 0 -.15 0 0 0 .2 0 0 -.2"/>
    <hfield name="hills" nrow="5" ncol="7" size=".5 .35 .2 .05"/>
  </asset>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" material="floor"/>
    <geom name="tile" type="plane" size=".3 .2 1" pos="1 .9 .05" material="checker"/>
    <geom name="hills" type="hfield" hfield="hills" pos="-1 .9 .05" rgba=".4 .6 .4 1"/>
    <body name="sphere" pos="-1 0 .3"><freejoint/><geom name="sphere" size=".15" rgba="1 0 0 1"/></body>
    <body name="capsule" pos="-.6 0 .3"><freejoint/><geom name="capsule" type="capsule" size=".07 .12"/></body>
    <body name="ellipsoid" pos="-.2 0 .3"><freejoint/>
      <geom name="ellipsoid" type="ellipsoid" size=".1 .15 .2" material="faces"/></body>
    <body name="cylinder" pos=".2 0 .3"><freejoint/>
      <geom name="cylinder" type="cylinder" size=".1 .15" material="steel"/>
      <body name="welded" pos="0 0 .3" euler="0 90 0">
        <geom name="welded" type="box" size=".05 .06 .07" material="steel"/>
        <geom name="hidden" size=".1" group="3"/>
        <geom name="clear" size=".1" rgba="1 1 1 0"/>
        <site name="mark" size=".02" rgba="0 1 0 1"/>
      </body></body>
    <body name="box" pos=".6 0 .3"><freejoint/>
      <geom name="box" type="box" size=".12 .12 .12" material="faces"/></body>
    <body name="a/b tetra" pos="1 0 .3"><freejoint/><geom name="tetra" type="mesh" mesh="tetra" material="checker"/></body>
    <body name="octa" pos="1.3 0 .3"><freejoint/><geom name="octa" type="mesh" mesh="octa" rgba=".3 .8 .9 .5"/></body>
    <body name="left" pos="-.3 -.6 .8"><joint axis="0 1 0"/><geom type="box" size=".05 .05 .2"/>
      <site name="s1" pos="0 0 -.2"/></body>
    <body name="right" pos=".3 -.6 .8"><joint axis="0 1 0"/><geom type="box" size=".05 .05 .2"/>
      <site name="s2" pos="0 0 -.2"/></body>
    <geom name="pulley" type="cylinder" size=".08 .05" pos="0 -.6 .6" euler="90 0 0"/>
    <site name="side" pos="0 -.6 .75"/>
    <body name="goal" mocap="true" pos="0 -1 .2">
      <geom name="goal" type="box" size=".1 .1 .1" rgba="0 .7 .6 .4" contype="0" conaffinity="0"/></body>
  </worldbody>
  <tendon>
    <spatial name="rope" width=".01" rgba=".9 .2 .2 1">
      <site site="s1"/><geom geom="pulley" sidesite="side"/><site site="s2"/>
    </spatial>
  </tendon>
</mujoco>
"""

SLIDER = """
<mujoco>
  <statistic extent="2" center="0 0 0"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body name="cart" pos="0 0 1"><joint name="x" type="slide" axis="1 0 0"/>
      <geom type="box" size=".2 .1 .1" mass="2"/><site name="tip"/></body>
    <body name="goal" mocap="true" pos="0.5 0 1"><geom type="box" size=".2 .1 .1" rgba="0 1 0 .3"
      contype="0" conaffinity="0"/></body>
  </worldbody>
  <actuator><motor joint="x"/></actuator>
  <sensor><framepos name="tip" objtype="site" objname="tip"/></sensor>
</mujoco>
"""


def all_geoms() -> mujoco.MjModel:
    """A model with every geom type, hills with heights and six different cube faces."""
    model = mujoco.MjModel.from_xml_string(ALL_GEOMS)
    model.hfield_data[:] = np.linspace(0.0, 1.0, len(model.hfield_data))
    faces = int(model.texture("faces").id)
    start = int(model.tex_adr[faces])
    pixels = np.zeros((6, 16, 16, 3), np.uint8)
    for face in range(6):
        pixels[face] = 40 * face + 20
        pixels[face, :4, :4, 0] = 255  # a mark at the top left of each face
    model.tex_data[start : start + pixels.size] = pixels.reshape(-1)
    return model


class Slider(Task):
    """A cart on a rail whose goal slides along the rail."""

    name = "slider"
    title = "Slider"
    summary = "A cart on a rail."
    mjcf = ""
    weights: ClassVar = {}
    traces = ("tip",)
    goal = Goal("goal", translate=("x",), low=(-1, -1, -1), high=(1, 1, 1))
    camera = Camera((2.0, -2.0, 1.5), (0.0, 0.0, 1.0))

    @cached_property
    def model(self):
        return mujoco.MjModel.from_xml_string(SLIDER)

    def cost_terms(self, state, control):
        return {}

    def terminal_terms(self, state):
        return {}

    def reset(self, rng):
        raise NotImplementedError

    def is_success(self, state):
        return False


def make_plan(task, samples=12, steps=80, seed=0) -> Plan:
    """A plan whose samples are straight traces; sample 3 has diverged."""
    rng = np.random.default_rng(seed)
    points = max(len(task.traces), 1)
    ends = rng.normal(size=(samples, 1, points, 3))
    traces = (np.linspace(0, 1, steps + 1)[None, :, None, None] * ends).astype(np.float32)
    qpos = np.linspace(0, 1, steps + 1)[None, :, None] * rng.normal(
        size=(samples, 1, task.model.nq)
    )
    cost = rng.gamma(2.0, 1.0, samples)
    cost[3:4] = np.inf
    nu = task.model.nu
    return Plan(
        time=0.0, knot_times=np.linspace(0, 1, 4), knots=np.zeros((samples, 4, nu)),
        source=np.arange(samples) % 2, cost=cost, cost_terms=np.zeros((samples, 1)),
        weight=np.full(samples, 1 / samples), domain_cost=cost[None], mean=np.zeros((4, nu)),
        std=np.ones((4, nu)), executed=np.zeros((4, nu)), controls=np.zeros((steps, nu)),
        best=int(np.argmin(cost)), latents=None, traces=traces, qpos=qpos,
    )  # fmt: skip


def make_snapshot(task, number=1, **changes) -> Snapshot:
    """A snapshot at the reference state with a plan."""
    data = mujoco.MjData(task.model)
    mujoco.mj_forward(task.model, data)
    snapshot = Snapshot(
        number=number, epoch=0, task=task, controller="cem", wanted_controller="cem",
        options=PlanningOptions(), weights={}, mode="real-time", paused=False, preparing="",
        speed=1.0, seed=0, state=State.from_data(data), control=np.zeros(task.model.nu),
        plan=make_plan(task), path=np.cumsum(np.ones((30, 1, 3)), 0) * 0.01, push=None,
        success=False, progress={},
        timing=Timing(20, 20, PlanTiming(0, 0, 0, 0), 0, 1, 0), messages=(),
    )  # fmt: skip
    return dataclasses.replace(snapshot, **changes)


class Recorder:
    """Counts the messages that a scene sends, by type, and the node names it makes."""

    def __init__(self, server, monkeypatch):
        self.messages = []
        send = server.scene._queue_scene_message

        def record(message):
            self.messages.append(message)
            send(message)

        monkeypatch.setattr(server.scene, "_queue_scene_message", record)

    def names(self):
        return [type(message).__name__ for message in self.messages]

    def created(self):
        """Messages that make a node."""
        return [m for m in self.messages if hasattr(m, "props")]

    def clear(self):
        self.messages.clear()


def node_names(server):
    return set(server.scene._handle_from_node_name)


def connected(server, monkeypatch, *clients):
    """Makes a server say that these browsers are connected."""
    monkeypatch.setattr(server, "get_clients", lambda: dict.fromkeys(clients))
