import mujoco
import numpy as np
import pytest
import viser
from scene_fixtures import Recorder, all_geoms, node_names

from gpc_studio.app.web.overlays.colours import line_colour
from gpc_studio.app.web.scene.backdrop import DARK, LIGHT, Backdrop, before_tone_mapping, sky_dome
from gpc_studio.app.web.scene.ghosts import Ghosts
from gpc_studio.app.web.scene.world import World


@pytest.fixture(scope="module")
def server():
    server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    yield server
    server.stop()


def random_state(model, seed=0):
    rng = np.random.default_rng(seed)
    data = mujoco.MjData(model)
    data.qpos[:] = model.qpos0 + 0.3 * rng.normal(size=model.nq)
    mujoco.mj_normalizeQuat(model, data.qpos)
    data.mocap_pos[:] += rng.normal(size=data.mocap_pos.shape)
    data.mocap_quat[:] = [np.cos(0.3), 0, 0, np.sin(0.3)]
    mujoco.mj_forward(model, data)
    return data


def test_nodes_are_where_mujoco_puts_the_bodies(server):
    model = all_geoms()
    world = World(server, model, "/poses")
    for seed in range(3):
        data = random_state(model, seed)
        world.set_state(data.qpos, data.mocap_pos, data.mocap_quat)
        assert model.body("goal").id in world.handles
        for body, handle in world.handles.items():
            np.testing.assert_allclose(handle.position, data.xpos[body], atol=1e-5)
            assert abs(handle.wxyz @ data.xquat[body]) == pytest.approx(1.0, abs=1e-6)
    world.remove()


def test_model_is_not_written_to(server):
    model = all_geoms()
    buffer = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, buffer)
    before = buffer.copy()
    world = World(server, model, "/readonly")
    ghosts = Ghosts(server, model, 2, "/readonly_ghosts", world.converted)
    data = random_state(model)
    world.set_state(data.qpos, data.mocap_pos, data.mocap_quat)
    ghosts.update(np.stack([data.qpos] * 2))
    mujoco.mj_saveModel(model, None, buffer)
    assert (buffer == before).all()
    ghosts.remove()
    world.remove()


def test_two_models_on_one_server_do_not_clash(server):
    model = all_geoms()
    first, second = World(server, model, "/one"), World(server, model, "/two")
    data = random_state(model)
    first.set_state(data.qpos, data.mocap_pos, data.mocap_quat)
    body = model.body("box").id
    np.testing.assert_allclose(first.handles[body].position, data.xpos[body], atol=1e-5)
    np.testing.assert_allclose(second.handles[body].position, model.body_pos[body], atol=1e-6)
    first.remove()
    assert not any(name.startswith("/one") for name in node_names(server))
    second.set_state(data.qpos)
    np.testing.assert_allclose(second.handles[body].position, data.xpos[body], atol=1e-5)
    second.remove()


def test_update_makes_no_node_and_leaves_still_bodies_alone(server, monkeypatch):
    model = all_geoms()
    world = World(server, model, "/inplace")
    data = random_state(model)
    world.set_state(data.qpos)
    recorder = Recorder(server, monkeypatch)
    world.set_state(data.qpos)
    assert recorder.names() == []
    moved = data.qpos.copy()
    moved[0] += 0.1  # x of the sphere only
    world.set_state(moved)
    assert recorder.names() == ["SetPositionMessage"]
    assert recorder.messages[0].name == world.handles[model.body("sphere").id].name
    world.remove()


def test_body_names_cannot_split_a_node_name(server):
    model = all_geoms()
    world = World(server, model, "/names")
    name = world.handles[model.body("a/b tetra").id].name
    assert name == f"/names/bodies/{model.body('a/b tetra').id}_a.b.tetra"
    world.remove()


def test_tendon_follows_mujocos_path(server):
    model = all_geoms()
    world = World(server, model, "/rope")
    node = server.scene._handle_from_node_name["/rope/tendons/0"]
    shape = node.points.shape
    for angle in (0.0, 0.5, -0.7):
        data = mujoco.MjData(model)
        data.qpos[-2:] = angle
        mujoco.mj_forward(model, data)
        world.set_state(data.qpos)
        assert node.points.shape == shape
        lengths = np.linalg.norm(node.points[:, 1] - node.points[:, 0], axis=1)
        # The chord over the pulley is shorter than MuJoCo's arc, by little.
        assert lengths.sum() == pytest.approx(data.ten_length[0], rel=0.05)
        assert lengths.sum() <= data.ten_length[0] + 1e-6
    np.testing.assert_array_equal(node.colors[0, 0], line_colour(np.array([0.9, 0.2, 0.2]) * 255))
    assert node.thickness == pytest.approx(0.02)
    world.remove()


def test_a_state_that_is_not_finite_is_not_drawn(server):
    model = all_geoms()
    world = World(server, model, "/nan")
    body = model.body("sphere").id
    before = world.handles[body].position.copy()
    world.set_state(np.full(model.nq, np.nan))
    np.testing.assert_array_equal(world.handles[body].position, before)
    with pytest.raises(ValueError, match="qpos of shape"):
        world.set_state(np.zeros(3))
    world.remove()


def test_ghosts_are_at_the_future_poses_and_fade(server, monkeypatch):
    model = all_geoms()
    ghosts = Ghosts(server, model, 3, "/ghosts")
    assert not ghosts.visible
    states = [random_state(model, seed) for seed in range(3)]
    recorder = Recorder(server, monkeypatch)
    ghosts.update(np.stack([data.qpos for data in states]))
    assert ghosts.visible
    assert recorder.created() == []
    body = model.body("box").id
    node = ghosts._nodes[body]
    for k, data in enumerate(states):
        np.testing.assert_allclose(node.batched_positions[k], data.xpos[body], atol=1e-5)
        assert abs(node.batched_wxyzs[k] @ data.xquat[body]) == pytest.approx(1.0, abs=1e-5)
    assert (np.diff(node.batched_opacities) < 0).all()
    assert model.body("goal").id not in ghosts._nodes
    ghosts.update(np.full((3, model.nq), np.nan))
    assert not ghosts.visible
    with pytest.raises(ValueError, match="expected 3 states"):
        ghosts.update(np.zeros((2, model.nq)))
    with pytest.raises(ValueError, match="at least one"):
        Ghosts(server, model, 0, "/none")
    ghosts.remove()


def test_a_ghost_inside_its_own_body_is_left_out(server):
    model = all_geoms()
    ghosts = Ghosts(server, model, 2, "/still")
    later = model.qpos0.copy()
    later[0] += 0.5  # only the sphere moves, and only in the second ghost
    ghosts.update(np.stack([model.qpos0, later]), now=model.qpos0)
    assert ghosts._nodes[model.body("sphere").id].batched_scales.tolist() == [0.0, 1.0]
    assert ghosts._nodes[model.body("box").id].batched_scales.tolist() == [0.0, 0.0]
    ghosts.remove()


def test_backdrop_changes_with_the_theme_and_goes_away(server):
    before = node_names(server)
    world = World(server, all_geoms(), "/themed")
    backdrop = Backdrop(server, world.converted.ground, "/themed_backdrop", dark=False)
    light = server.scene._handle_from_node_name["/themed_backdrop/ground"].glb_data
    backdrop.set_dark(True)
    dark = server.scene._handle_from_node_name["/themed_backdrop/ground"].glb_data
    assert light != dark
    sun = server.scene._handle_from_node_name["/themed_backdrop/sun"]
    backdrop.set_shadows(False)
    assert sun.cast_shadow is False
    backdrop.remove()
    world.remove()
    left = {name for name in node_names(server) - before if "/sky" in name or "/ground" in name}
    assert left == set()


@pytest.mark.parametrize("look", [DARK, LIGHT])
def test_sky_shows_the_theme_after_the_viewers_tone_mapping(look):
    from gpc_studio.app.web.scene.backdrop import _ACES_EXPOSURE, _ACES_IN, _ACES_OUT
    from gpc_studio.app.web.scene.glb import linear_to_srgb, srgb_to_linear

    dome = sky_dome(look)
    level = np.abs(dome.vertices[:, 2]) < 1e-9
    light = srgb_to_linear(dome.colors[level][0, :3])
    v = _ACES_IN @ (light * _ACES_EXPOSURE)
    curve = (v * (v + 0.0245786) - 0.000090537) / (v * (0.983729 * v + 0.4329510) + 0.238081)
    shown = 255 * linear_to_srgb(_ACES_OUT @ curve)
    np.testing.assert_allclose(shown, look.horizon, atol=1.5)
    assert (before_tone_mapping(np.zeros(3)) < 0.01).all()
