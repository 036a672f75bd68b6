import io

import mujoco
import numpy as np
import pytest
import trimesh
from PIL import Image
from scene_fixtures import all_geoms

from gpc_studio.app.web.scene import meshes, textures
from gpc_studio.app.web.scene.conversion import convert, rigid_roots
from gpc_studio.app.web.scene.glb import (
    Material,
    Part,
    linear_to_srgb,
    merged,
    srgb_to_linear,
    write_glb,
)


def volume(shape):
    """Signed volume: positive when every face is counter-clockwise seen from outside."""
    a, b, c = (shape.vertices[shape.faces[:, k]] for k in range(3))
    return float(np.einsum("fx,fx->f", a, np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (meshes.ellipsoid(np.array([0.1, 0.2, 0.3])), 4 / 3 * np.pi * 0.006),
        (meshes.capsule(0.1, 0.2), np.pi * 0.01 * 0.4 + 4 / 3 * np.pi * 0.001),
        (meshes.cylinder(0.1, 0.2), np.pi * 0.01 * 0.4),
        (meshes.box(np.array([0.1, 0.2, 0.3])), 8 * 0.006),
        (meshes.box(np.array([0.1, 0.2, 0.3]), 8), 8 * 0.006),
    ],
)
def test_primitives_are_closed_outward_and_as_large_as_they_should_be(shape, expected):
    assert volume(shape) == pytest.approx(expected, rel=0.03)
    # Welded by position, every edge belongs to two triangles: there are no holes.
    solid = trimesh.Trimesh(shape.vertices, shape.faces, process=True)
    solid.merge_vertices()
    assert solid.is_watertight


def test_hfield_encloses_the_volume_between_its_heights_and_its_base():
    model = all_geoms()
    shape = meshes.hfield(model, 0)
    solid = trimesh.Trimesh(shape.vertices, shape.faces)
    solid.merge_vertices()
    area = 1.0 * 0.7
    assert volume(shape) == pytest.approx(area * (0.05 + 0.5 * 0.2), rel=1e-6)
    assert shape.vertices[:, 2].max() == pytest.approx(0.2)
    assert solid.volume == pytest.approx(volume(shape))


def test_mesh_has_sharp_edges_split_and_keeps_its_volume():
    model = all_geoms()
    surface = meshes.mesh_surface(model, model.mesh("octa").id)
    assert surface.uv is None
    assert volume(surface.triangles) == pytest.approx(4 / 3 * 0.15 * 0.15 * 0.2, rel=1e-5)
    assert len(surface.triangles.vertices) == 24  # 8 faces that share no vertex


def test_every_visible_geom_and_no_other_is_converted_in_place():
    model = all_geoms()
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    converted = convert(model)
    groups = {group.body: group for group in converted.moving}
    moving = {int(b) for b in rigid_roots(model)} - {0}
    assert set(groups) == moving
    for group in converted.moving:
        vertices = np.concatenate([part.vertices for part in group.parts])
        frame = data.xmat[group.body].reshape(3, 3)
        world = vertices @ frame.T + data.xpos[group.body]
        # Independent bounds from MuJoCo's own axis-aligned boxes of the visible geoms and sites.
        low, high = bounds(model, data, group.body)
        np.testing.assert_allclose(world.min(0), low, atol=2e-3)
        np.testing.assert_allclose(world.max(0), high, atol=2e-3)


def bounds(model, data, root):
    corners = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T
    boxes = []
    for geom in range(model.ngeom):
        if rigid_roots(model)[model.geom_bodyid[geom]] != root:
            continue
        if model.geom_group[geom] >= 3 or model.geom_rgba[geom][3] == 0:
            continue
        mesh = int(model.geom_dataid[geom])
        if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_MESH:
            first = model.mesh_vertadr[mesh]
            local = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
        else:
            local = model.geom_aabb[geom][:3] + corners * model.geom_aabb[geom][3:]
        boxes.append(local @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom])
    for site in range(model.nsite):
        if rigid_roots(model)[model.site_bodyid[site]] == root:
            boxes.append(data.site_xpos[site] + corners * model.site_size[site][0])
    points = np.concatenate(boxes)
    return points.min(0), points.max(0)


def test_colours_come_from_the_geom_or_else_from_the_material():
    converted = convert(all_geoms())
    looks = {group.name: [part.material for part in group.parts] for group in converted.moving}
    sphere = next(v for k, v in looks.items() if k.endswith("sphere"))
    assert sphere[0].rgba == (1.0, 0.0, 0.0, 1.0)
    cylinder = next(v for k, v in looks.items() if k.endswith("cylinder"))
    steel = next(m for m in cylinder if m.metallic > 0)
    assert steel.rgba == pytest.approx((0.8, 0.7, 0.6, 1.0))
    assert (steel.metallic, steel.roughness) == pytest.approx((0.9, 0.2))
    octa = next(v for k, v in looks.items() if k.endswith("octa"))
    assert octa[0].rgba[3] == pytest.approx(0.5)


def test_welded_geoms_of_one_material_become_one_part():
    group = next(g for g in convert(all_geoms()).moving if g.name.endswith("cylinder"))
    assert len(group.parts) == 2  # steel cylinder and box together, and the green site


def test_large_planes_are_ground_that_fades_and_small_ones_are_not():
    converted = convert(all_geoms())
    assert converted.ground is not None
    radius = max(np.abs(part.vertices).max() for part in converted.ground.parts)
    assert radius == pytest.approx(24.0)
    rim = next(part for part in converted.ground.parts if part.colors is not None)
    distance = np.linalg.norm(rim.vertices[:, :2], axis=1)
    opacity = rim.colors[:, 3]
    assert opacity[distance < 0.36 * radius].min() == pytest.approx(1.0)
    assert opacity[distance > 0.99 * radius].max() == pytest.approx(0.0, abs=1e-9)
    tile = [p for p in converted.static if p.uv is not None]
    assert len(tile) == 1
    assert np.ptp(tile[0].vertices, axis=0) == pytest.approx([0.6, 0.4, 0.0])


def sampled(part, point):
    """Colour that a part's texture shows at its vertex nearest to a point, from the PNG itself."""
    pixels = np.asarray(Image.open(io.BytesIO(part.material.texture)).convert("RGB"))
    nearest = np.linalg.norm(part.vertices - point, axis=1).argmin()
    u, v = part.uv[nearest]
    row = int(np.clip(v * pixels.shape[0], 0, pixels.shape[0] - 1))
    column = int(np.clip(u * pixels.shape[1], 0, pixels.shape[1] - 1))
    return pixels[row, column]


@pytest.mark.parametrize(
    ("face", "normal", "top_left"),
    [
        # The corner of each face where a cube map's image starts (OpenGL, table of face axes).
        (0, (1, 0, 0), (1, 1, 1)),
        (1, (-1, 0, 0), (-1, 1, -1)),
        (2, (0, 1, 0), (-1, 1, -1)),
        (3, (0, -1, 0), (-1, -1, 1)),
        (4, (0, 0, 1), (-1, 1, 1)),
        (5, (0, 0, -1), (1, 1, -1)),
    ],
)
def test_cube_map_shows_the_right_image_upright_on_each_face(face, normal, top_left):
    group = next(g for g in convert(all_geoms()).moving if g.name.endswith("box"))
    part = next(
        p for p in group.parts
        if np.allclose(p.vertices @ np.array(normal), 0.12) and p.uv is not None
    )  # fmt: skip
    centre = sampled(part, 0.12 * np.array(normal, dtype=float))
    assert centre.tolist() == [40 * face + 20] * 3
    assert sampled(part, 0.12 * np.array(top_left, dtype=float))[0] == 255
    opposite = 0.24 * np.array(normal) - 0.12 * np.array(top_left, dtype=float)
    assert sampled(part, opposite)[0] == 40 * face + 20


def test_plane_texture_repeats_per_object_or_per_two_metres():
    points = np.array([[-0.3, 0.2, 0.0], [0.3, -0.2, 0.0]])
    half, repeat = np.array([0.3, 0.2]), np.array([3.0, 5.0])
    span = np.ptp(textures.plane_uv(points, half, repeat, uniform=False), axis=0)
    np.testing.assert_allclose(span, [3.0, 5.0])
    span = np.ptp(textures.plane_uv(points, half, repeat, uniform=True), axis=0)
    np.testing.assert_allclose(span, [0.3 * 3.0, 0.2 * 5.0])
    endless = textures.plane_uv(points, np.zeros(2), repeat, uniform=False)
    np.testing.assert_allclose(np.ptp(endless, axis=0), [0.3 * 3.0, 0.2 * 5.0])


def test_mesh_texture_coordinates_are_kept_and_repeated():
    group = next(g for g in convert(all_geoms()).moving if g.name.endswith("tetra"))
    uv = group.parts[0].uv
    assert uv is not None
    assert np.unique(uv.round(6)).tolist() == [0.0, 3.0]


def test_square_cube_texture_is_the_same_on_all_faces():
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><asset><texture name="t" type="cube" builtin="checker" rgb1="1 0 0"
        rgb2="0 1 0" width="8" height="8"/></asset></mujoco>"""
    )
    atlas = textures.TextureAtlas(model)
    images = {atlas.face(0, face) for face in range(6)}
    assert len(images) <= 2  # MuJoCo mirrors the checker on some faces
    assert Image.open(io.BytesIO(atlas.face(0, 5))).size == (8, 8)


def test_glb_is_read_back_by_an_independent_reader():
    box = meshes.box(np.array([0.1, 0.2, 0.3]))
    png = textures.encode_png(np.full((4, 4, 3), 200, np.uint8))
    uv = np.zeros((len(box.vertices), 2))
    fade = np.column_stack([np.ones((len(box.vertices), 3)), np.full(len(box.vertices), 0.5)])
    parts = [
        Part(*box, Material((0.5, 0.2, 0.1, 1.0), roughness=0.3, metallic=0.7)),
        Part(*box, Material((1.0, 1.0, 1.0, 0.4), texture=png), uv=uv),
        Part(*box, Material(), colors=fade),
    ]
    scene = trimesh.load(io.BytesIO(write_glb(parts)), file_type="glb")
    loaded = list(scene.geometry.values())
    assert len(loaded) == 3
    for mesh in loaded:
        np.testing.assert_allclose(mesh.extents, [0.2, 0.4, 0.6], rtol=1e-6)
    solid = loaded[0].visual.material
    assert solid.alphaMode != "BLEND"
    assert (solid.roughnessFactor, solid.metallicFactor) == pytest.approx((0.3, 0.7))
    linear = srgb_to_linear(np.array([0.5, 0.2, 0.1]))
    np.testing.assert_allclose(np.array(solid.baseColorFactor[:3]) / 255, linear, atol=1 / 255)
    assert loaded[1].visual.material.alphaMode == "BLEND"
    assert loaded[1].visual.material.baseColorTexture.size == (4, 4)


def test_glb_refuses_nothing_to_draw():
    with pytest.raises(ValueError, match="at least one"):
        write_glb([])


def test_srgb_curves_are_inverse():
    values = np.linspace(0, 2, 41)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=2e-4)
    assert srgb_to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_merging_keeps_all_triangles():
    box = meshes.box(np.ones(3))
    red, blue = Material((1, 0, 0, 1)), Material((0, 0, 1, 1))
    parts = merged([Part(*box, red), Part(*box, blue), Part(box.vertices + 5, box.faces, red)])
    assert [len(part.faces) for part in parts] == [24, 12]
    assert parts[0].vertices[parts[0].faces[12:]].min() >= 4.0
