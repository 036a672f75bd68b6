"""How much faster the equations of planar pushing are than MuJoCo.

`gpc-studio bench push_t` prints the figure itself; this is a bar low enough for a busy machine.
"""

import time

import numpy as np
import pytest

from gpc_studio.controllers.engines.analytic import AnalyticEngine
from gpc_studio.controllers.engines.native import NativeEngine
from gpc_studio.scenes import State, load_task
from tests.scenes.pushing import pushing_plans

SAMPLES = 1024


@pytest.mark.parametrize(("name", "bar"), [("push_t", 10.0), ("push_k", 8.0)])
def test_rollouts_are_many_times_faster_than_on_all_cores_of_mujoco(name, bar):
    task = load_task(name)
    starts, controls = pushing_plans(task, SAMPLES, seed=21)
    state = State(
        time=np.zeros(1),
        qpos=starts[:1],
        qvel=np.zeros((1, 5)),
        act=np.zeros((1, 0)),
        sensordata=np.zeros((1, 6)),
        mocap_pos=np.zeros((1, 1, 3)),
        mocap_quat=np.eye(1, 4)[None],
    )
    native = NativeEngine([task.model], 1, SAMPLES, controls.shape[1])
    analytic = AnalyticEngine(task.dynamics(), [task.model])
    best = {native: np.inf, analytic: np.inf}
    for engine in best:
        engine.rollout(state, controls[None])
    for _ in range(4):
        for engine in best:
            begin = time.perf_counter()
            engine.run()
            best[engine] = min(best[engine], time.perf_counter() - begin)
    native.close(), analytic.close()
    assert best[native] / best[analytic] > bar
