"""Translucent copies of the moving bodies at future times."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpc_studio.app.web.scene.conversion import Converted, Group, convert
from gpc_studio.app.web.scene.world import Kinematics

if TYPE_CHECKING:
    import mujoco
    import viser

_TINT = np.array([255.0, 64.0, 160.0])  # The best plan's colour, which ghosts belong to.
_TINT_SHARE = 0.4
_NEAREST, _FARTHEST = 0.5, 0.16  # Opacity of the first and the last ghost.
_LEAST_MOTION = 0.01  # Share of the model's extent below which a ghost is not told from its body.


class Ghosts:
    """K copies of what moves, one instanced node per rigid group, updated in place.

    Attributes:
        count: Number of copies, K.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        model: mujoco.MjModel,
        count: int,
        prefix: str = "/ghosts",
        converted: Converted | None = None,
    ) -> None:
        """Builds the nodes, not visible before the first update.

        Args:
            server: Where to draw.
            model: What to draw.
            count: Number of copies, at least 1.
            prefix: Name of the node that holds everything.
            converted: The model's meshes, if they are there already.

        Raises:
            ValueError: `count` is less than 1.
        """
        if count < 1:
            raise ValueError(f"expected at least one ghost, got {count}")
        self.count = count
        self._server = server
        self._kinematics = Kinematics(model)
        self._least = _LEAST_MOTION * float(model.stat.extent)
        self._root = server.scene.add_frame(prefix, show_axes=False, visible=False)
        self._nodes: dict[int, viser.BatchedMeshHandle] = {}
        groups = (converted or convert(model)).moving
        for group in groups:
            if group.mocap < 0:
                self._nodes[group.body] = self._add(f"{prefix}/{group.name}", group)
        # Distance from each group's origin to its far side, m: what turns rotation into motion.
        self._reach = np.array(
            [
                max(np.linalg.norm(part.vertices, axis=1).max() for part in group.parts)
                for group in groups
                if group.body in self._nodes
            ]
        )

    @property
    def visible(self) -> bool:
        """Whether the ghosts are shown."""
        return self._root.visible

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._root.visible = visible

    def update(
        self,
        qpos: np.ndarray,
        mocap_pos: np.ndarray | None = None,
        mocap_quat: np.ndarray | None = None,
        now: np.ndarray | None = None,
    ) -> None:
        """Moves the copies and shows them; hides them if a state is not finite.

        Args:
            qpos: Positions of the copies, the nearest future first (K, nq).
            mocap_pos: Mocap positions, world frame, m (nmocap, 3).
            mocap_quat: Mocap orientations, wxyz (nmocap, 4).
            now: Present positions (nq,); a copy that would lie in the body itself is left out.

        Raises:
            ValueError: The number of states is not K.
        """
        if len(qpos) != self.count:
            raise ValueError(f"expected {self.count} states, got {len(qpos)}")
        if not np.isfinite(qpos).all():
            self.visible = False
            return
        bodies = list(self._nodes)
        positions = np.empty((self.count, len(bodies), 3), np.float32)
        quaternions = np.empty((self.count, len(bodies), 4), np.float32)
        for k, state in enumerate(qpos):
            self._kinematics.set_state(state, mocap_pos, mocap_quat)
            positions[k] = self._kinematics.data.xpos[bodies]
            quaternions[k] = self._kinematics.data.xquat[bodies]
        scales = np.ones((self.count, len(bodies)), np.float32)
        if now is not None and np.isfinite(now).all():
            self._kinematics.set_state(now, mocap_pos, mocap_quat)
            data = self._kinematics.data
            moved = np.linalg.norm(positions - data.xpos[bodies], axis=-1)
            aligned = np.abs(np.einsum("kbq,bq->kb", quaternions, data.xquat[bodies]))
            moved += self._reach * 2.0 * np.arccos(np.clip(aligned, 0.0, 1.0))
            scales[moved < self._least] = 0.0
        with self._server.atomic():
            for column, node in enumerate(self._nodes.values()):
                node.batched_scales = scales[:, column]
                node.batched_positions = positions[:, column]
                node.batched_wxyzs = quaternions[:, column]
            self.visible = True

    def remove(self) -> None:
        """Removes the nodes."""
        self._root.remove()
        self._nodes = {}

    def _add(self, name: str, group: Group) -> viser.BatchedMeshHandle:
        offsets = np.cumsum([0] + [len(part.vertices) for part in group.parts[:-1]])
        faces = [p.faces + o for p, o in zip(group.parts, offsets, strict=True)]
        areas = np.array([_area(part.vertices, part.faces) for part in group.parts])
        colours = np.array([part.material.rgba[:3] for part in group.parts]) * 255.0
        mean = (areas[:, None] * colours).sum(0) / max(areas.sum(), 1e-12)
        tinted = (1.0 - _TINT_SHARE) * mean + _TINT_SHARE * _TINT
        return self._server.scene.add_batched_meshes_simple(
            name,
            np.concatenate([part.vertices for part in group.parts]).astype(np.float32),
            np.concatenate(faces).astype(np.uint32),
            batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (self.count, 1)),
            batched_positions=np.zeros((self.count, 3)),
            batched_scales=np.ones(self.count),
            batched_colors=np.tile(np.round(tinted).astype(np.uint8), (self.count, 1)),
            batched_opacities=np.linspace(_NEAREST, _FARTHEST, self.count, dtype=np.float32),
            lod="off",
            cast_shadow=False,
            receive_shadow=False,
        )


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2.0)
