"""A model as scene nodes whose poses follow the state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.overlays.colours import line_colour
from gpc_studio.app.web.scene.conversion import Converted, convert
from gpc_studio.app.web.scene.deformables import Deformables
from gpc_studio.app.web.scene.glb import write_glb

if TYPE_CHECKING:
    import mujoco
    import viser


class Kinematics:
    """Body poses of a model at given positions, on private data.

    Attributes:
        model: The model, only read.
        data: Poses after :meth:`set_state`.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        import mujoco

        self.model = model
        self.data = mujoco.MjData(model)
        self._mujoco = mujoco
        self._has_tendons = bool((_tendon_kinds(model) == _SPATIAL).any())

    def set_state(
        self, qpos: np.ndarray, mocap_pos: np.ndarray | None, mocap_quat: np.ndarray | None
    ) -> None:
        """Computes body poses, tendon paths and the vertices of flexes.

        Args:
            qpos: Positions (nq,).
            mocap_pos: Mocap positions, world frame, m (nmocap, 3); None leaves them.
            mocap_quat: Mocap orientations, wxyz (nmocap, 4); None leaves them.

        Raises:
            ValueError: `qpos` has another size than the model's.
        """
        qpos = np.asarray(qpos)
        if qpos.shape != (self.model.nq,):
            raise ValueError(f"expected qpos of shape ({self.model.nq},), got {qpos.shape}")
        self.data.qpos[:] = qpos
        if mocap_pos is not None:
            self.data.mocap_pos[:] = mocap_pos
        if mocap_quat is not None:
            self.data.mocap_quat[:] = mocap_quat
        self._mujoco.mj_kinematics(self.model, self.data)
        if self._has_tendons or self.model.nflex:
            self._mujoco.mj_comPos(self.model, self.data)
        if self.model.nflex:
            self._mujoco.mj_flex(self.model, self.data)
        if self._has_tendons:
            self._mujoco.mj_tendon(self.model, self.data)


class World:
    """Nodes of one model under one name prefix; several may share a server.

    Attributes:
        model: The model, only read.
        converted: Its meshes.
        kinematics: Poses at the last state.
        handles: The node of every moving group, by its body.
    """

    def __init__(
        self, server: viser.ViserServer, model: mujoco.MjModel, prefix: str = "/world"
    ) -> None:
        """Builds the nodes at the model's reference state.

        Args:
            server: Where to draw.
            model: What to draw; large planes are left to the backdrop.
            prefix: Name of the node that holds everything.
        """
        self.model = model
        self.converted: Converted = convert(model)
        self.kinematics = Kinematics(model)
        self.handles: dict[int, viser.GlbHandle] = {}
        self._server = server
        scene = server.scene
        self._root = scene.add_frame(prefix, show_axes=False)
        if self.converted.static:
            scene.add_glb(f"{prefix}/static", write_glb(self.converted.static))
        for group in self.converted.moving:
            name = f"{prefix}/bodies/{group.name}"
            # A see-through body that cast a shadow would look heavier than what it stands for.
            solid = any(part.material.rgba[3] >= 1.0 for part in group.parts)
            self.handles[group.body] = scene.add_glb(
                name, write_glb(group.parts), cast_shadow=solid
            )
        self._tendons = _Tendons(server, model, f"{prefix}/tendons")
        self._deformables = Deformables(server, model, f"{prefix}/deformables")
        self.set_state(model.qpos0, None, None)

    def set_state(
        self,
        qpos: np.ndarray,
        mocap_pos: np.ndarray | None = None,
        mocap_quat: np.ndarray | None = None,
    ) -> None:
        """Moves the nodes to a state; arguments as of :meth:`Kinematics.set_state`.

        A state that is not finite is not drawn: the nodes stay where they are.
        """
        if not np.isfinite(qpos).all():
            return
        self.kinematics.set_state(qpos, mocap_pos, mocap_quat)
        positions, quaternions = self.kinematics.data.xpos, self.kinematics.data.xquat
        with self._server.atomic():
            for body, handle in self.handles.items():
                handle.position = positions[body]
                handle.wxyz = quaternions[body]
            self._tendons.update(self.kinematics.data)
            self._deformables.update(self.kinematics.data)

    def remove(self) -> None:
        """Removes all nodes."""
        self._root.remove()
        self.handles = {}


_SPATIAL = -1


def _tendon_kinds(model: mujoco.MjModel) -> np.ndarray:
    """Per tendon, `_SPATIAL` or the first joint of a fixed one (ntendon,)."""
    import mujoco

    first = model.wrap_type[model.tendon_adr] if model.ntendon else np.zeros(0, int)
    joint = int(mujoco.mjtWrap.mjWRAP_JOINT)
    return np.where(first == joint, model.wrap_objid[model.tendon_adr], _SPATIAL)


class _Tendons:
    """Spatial tendons as line segments of fixed number, one node per width."""

    def __init__(self, server: viser.ViserServer, model: mujoco.MjModel, name: str) -> None:
        self._lines: list[tuple[viser.LineSegmentsHandle, np.ndarray, int]] = []
        shown = (
            (_tendon_kinds(model) == _SPATIAL)
            & (model.tendon_group < 3)
            & (model.tendon_rgba[:, 3] > 0)
        )
        for width in np.unique(model.tendon_width[shown]):
            tendons = np.flatnonzero(shown & (model.tendon_width == width))
            # A wrapping object contributes up to two points.
            capacity = 2 * int(model.tendon_num[tendons].sum())
            colors = np.zeros((capacity, 2, 3), np.uint8)
            row = 0
            for tendon in tendons:
                count = 2 * int(model.tendon_num[tendon])
                colors[row : row + count] = line_colour(255 * _tendon_rgb(model, int(tendon)))
                row += count
            handle = server.scene.add_line_segments(
                f"{name}/{len(self._lines)}", np.zeros((capacity, 2, 3), np.float32),
                colors, thickness=2.0 * float(width), thickness_units="world",
            )  # fmt: skip
            self._lines.append((handle, tendons, capacity))
        self._slots = 2 * np.array(model.tendon_num)

    def update(self, data: mujoco.MjData) -> None:
        for handle, tendons, capacity in self._lines:
            points = np.zeros((capacity, 2, 3), np.float32)
            row = 0
            for tendon in tendons:
                first, count = int(data.ten_wrapadr[tendon]), int(data.ten_wrapnum[tendon])
                path = data.wrap_xpos.reshape(-1, 3)[first : first + count]
                # -2 marks a pulley, where one branch ends and the next begins.
                at = data.wrap_obj.reshape(-1)[first : first + count]
                slots = int(self._slots[tendon])
                if count:
                    points[row : row + slots] = path[0]
                linked = (at[:-1] != -2) & (at[1:] != -2)
                segments = np.stack([path[:-1], path[1:]], 1)[linked]
                points[row : row + len(segments)] = segments
                row += slots
            handle.points = points


def _tendon_rgb(model: mujoco.MjModel, tendon: int) -> np.ndarray:
    material = int(model.tendon_matid[tendon])
    own = np.array(model.tendon_rgba[tendon][:3])
    default = np.allclose(model.tendon_rgba[tendon], [0.5, 0.5, 0.5, 1.0])
    return np.array(model.mat_rgba[material][:3]) if material >= 0 and default else own
