"""An arm whose policies see controls in a frame of their own, and proposals for it."""

import dataclasses
from functools import cached_property

import jax.numpy as jnp
import numpy as np

from gpc_studio.controllers.planner import Planner
from gpc_studio.controllers.registry import controller, default_options
from gpc_studio.models.controllers.options import PACKAGE
from gpc_studio.models.proposal import FlowProposal
from tests.controllers.arm import Arm
from tests.models.policies import policy

TURN = np.array([[0.6, -0.8], [0.8, 0.6]], np.float32)
SMALL = dict(samples=12, horizon=0.2, knots=4, flow_steps=3)


class Reacher(Arm):
    """Controls of policies are turned, and relative to the goal."""

    name = "reacher"

    def observe(self, state):
        return state.sensordata[:3]

    def to_policy_frame(self, state, controls):
        return (controls - state.mocap_pos[0, :2]) @ TURN

    def from_policy_frame(self, state, controls):
        return controls @ TURN.T + state.mocap_pos[0, :2]

    @cached_property
    def policy_range(self):
        return np.array([[-0.5, -1.5], [1.5, 2.5]])


def options_of(task, name, **changes):
    """Options of a controller for small plans."""
    known = default_options(task, name, PACKAGE)
    fitting = {key: value for key, value in SMALL.items() if hasattr(known, key)}
    return dataclasses.replace(known, **{**fitting, **changes})


def proposal(task, options, seed=0, horizon=None, spline=None, **sizes):
    """A policy with random weights as a proposal; its plans are those of the planner."""
    trained = policy(seed=seed, **{"knots": options.knots, **sizes})
    return FlowProposal(
        task, trained, options, horizon=horizon or options.horizon, spline=spline or options.spline
    )


def planner(task, name, episodes=2, seed=0, **changes):
    """A planner with such a policy, and its options."""
    options = options_of(task, name, **changes)
    given = [proposal(task, options, seed)]
    spec = controller(name, PACKAGE)
    return Planner(task, spec, options, episodes=episodes, proposals=given), options


def policy_units(task, state, controls):
    """Actuator units (..., nu) in policy units, worked out by hand."""
    low, high = task.policy_range
    framed = (np.asarray(controls) - np.asarray(state.mocap_pos)[0, :2]) @ TURN
    return jnp.asarray(2.0 * (framed - low) / (high - low) - 1.0)
