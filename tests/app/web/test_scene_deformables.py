"""Flexes and skins."""

import struct

import mujoco
import numpy as np
import pytest

from gpc_studio.app.web.scene.world import World

FLEXES = """
<mujoco><worldbody>
  <flexcomp name="cloth" type="grid" count="4 5 1" spacing=".1 .1 .1" pos="0 0 1" dim="2" mass="1"
    radius=".01" rgba="0 .5 1 .5"><edge equality="true"/></flexcomp>
  <flexcomp name="soft" type="grid" count="3 3 3" spacing=".1 .1 .1" pos="1 0 1" dim="3" mass="1"
    radius=".01"><edge equality="true"/></flexcomp>
  <flexcomp name="rope" type="grid" count="6 1 1" spacing=".1 .1 .1" pos="1 1 1" dim="1" mass="1"
    radius=".01"><edge equality="true"/></flexcomp>
  <flexcomp name="hidden" type="grid" count="6 1 1" spacing=".1 .1 .1" pos="2 1 1" dim="1" mass="1"
    radius=".01" group="3"><edge equality="true"/></flexcomp>
</worldbody></mujoco>
"""

SKINNED = """
<mujoco>
  <asset><skin name="skin" file="arm.skn" rgba="1 .5 0 1"/></asset>
  <worldbody>
    <body name="upper"><joint name="one" axis="0 1 0"/><geom size=".1" mass="1" group="3"/>
      <body name="lower" pos="1 0 0"><joint name="two" axis="0 1 0"/>
        <geom size=".1" mass="1" group="3"/></body></body>
  </worldbody>
</mujoco>
"""


def skin_file() -> bytes:
    """A strip of two triangles: near corners on `upper`, far ones on both bodies in halves."""
    vertices = np.array([[0, 0, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]], np.float32)
    faces = np.array([[0, 2, 1], [1, 2, 3]], np.int32)
    bones = [(b"upper", (0, 0, 0), [0, 1, 2, 3], [1, 1, 0.5, 0.5]),
             (b"lower", (1, 0, 0), [2, 3], [0.5, 0.5])]  # fmt: skip
    out = struct.pack("4i", len(vertices), 0, len(faces), len(bones))
    out += vertices.tobytes() + faces.tobytes()
    for name, origin, moved, weights in bones:
        out += name.ljust(40, b"\0") + struct.pack("3f", *origin) + struct.pack("4f", 1, 0, 0, 0)
        out += struct.pack("i", len(moved)) + np.array(moved, np.int32).tobytes()
        out += np.array(weights, np.float32).tobytes()
    return out


def test_flexes_are_surfaces_and_lines_that_follow_their_bodies(server):
    model = mujoco.MjModel.from_xml_string(FLEXES)
    world = World(server, model, "/w")
    nodes = server.scene._handle_from_node_name
    cloth, soft, rope = (nodes[f"/w/deformables/flex{k}"] for k in range(3))
    assert "/w/deformables/flex3" not in nodes
    assert cloth.faces.shape == (2 * 3 * 4, 3)
    assert soft.faces.shape == (2 * 4 * 6, 3)  # the six sides, not the inside
    assert (cloth.color, cloth.opacity) == ((0, 128, 255), 0.5)
    qpos = np.random.default_rng(0).normal(scale=0.02, size=model.nq)
    world.set_state(qpos)
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(cloth.vertices, data.flexvert_xpos[:20], atol=1e-6)
    np.testing.assert_allclose(soft.vertices, data.flexvert_xpos[20:47], atol=1e-6)
    chain = data.flexvert_xpos[47:53]
    np.testing.assert_allclose(rope.points, np.stack([chain[:-1], chain[1:]], 1), atol=1e-6)


@pytest.mark.parametrize("angles", [(0.0, 0.0), (0.6, -1.1)])
def test_a_skin_bends_with_its_bones(server, angles):
    model = mujoco.MjModel.from_xml_string(SKINNED, {"arm.skn": skin_file()})
    world = World(server, model, "/w")
    world.set_state(np.array(angles))
    node = server.scene._handle_from_node_name["/w/deformables/skin0"]
    data = world.kinematics.data
    upper, lower = (data.xmat[body].reshape(3, 3) for body in (1, 2))
    for index, y in ((2, 0.0), (3, 1.0)):
        on_upper = upper @ [2, y, 0]
        on_lower = data.xpos[2] + lower @ [1, y, 0]
        np.testing.assert_allclose(node.vertices[index], (on_upper + on_lower) / 2, atol=1e-6)
    np.testing.assert_allclose(node.vertices[1], upper @ [0, 1, 0], atol=1e-6)
