"""Binary glTF (GLB) writing: meshes with colours, textures and physically based materials.

The format is glTF 2.0 (Khronos Group). Only what the browser view needs is written: one node whose
mesh has one primitive per part. glTF colours are linear, ours are sRGB as MuJoCo shows them.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_FLOAT, _UINT32 = 5126, 5125
_ARRAY_BUFFER, _INDEX_BUFFER = 34962, 34963
_CLAMP, _REPEAT = 33071, 10497
_LINEAR, _LINEAR_MIPMAP_LINEAR = 9729, 9987


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        rgba: sRGB colour and opacity, 0 to 1; multiplies the texture.
        roughness: 0 mirror-like to 1 matt.
        metallic: 0 dielectric to 1 metal.
        emission: Light given off, as a share of the colour.
        texture: PNG file content, or None.
        clamp: Whether the texture stops at its edge instead of repeating.
        unlit: Whether light and shadow leave the colour alone.
    """

    rgba: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 1.0)
    roughness: float = 0.6
    metallic: float = 0.0
    emission: float = 0.0
    texture: bytes | None = None
    clamp: bool = False
    unlit: bool = False


@dataclass(frozen=True)
class Part:
    """Triangles with one material.

    Attributes:
        vertices: (V, 3), m.
        faces: Vertex indices, counter-clockwise seen from outside (F, 3).
        material: The surface.
        uv: Texture coordinates, (0, 0) at the image's top left (V, 2), or None.
        colors: sRGB colour and opacity per vertex, multiplying the material's (V, 4), or None.
    """

    vertices: np.ndarray
    faces: np.ndarray
    material: Material = field(default_factory=Material)
    uv: np.ndarray | None = None
    colors: np.ndarray | None = None


def srgb_to_linear(color: Any) -> np.ndarray:
    """Inverse of the sRGB transfer function (IEC 61966-2-1), element-wise; also above 1."""
    color = np.asarray(color, dtype=float)
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(light: Any) -> np.ndarray:
    """The sRGB transfer function (IEC 61966-2-1), element-wise; also above 1."""
    light = np.asarray(light, dtype=float)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def merged(parts: Sequence[Part]) -> list[Part]:
    """The same triangles with as few parts as there are different materials."""
    groups: dict[tuple[Any, ...], list[Part]] = {}
    for part in parts:
        key = (part.material, part.uv is None, part.colors is None)
        groups.setdefault(key, []).append(part)
    return [group[0] if len(group) == 1 else _concatenated(group) for group in groups.values()]


def _concatenated(group: list[Part]) -> Part:
    offsets = np.cumsum([0] + [len(part.vertices) for part in group[:-1]])
    return Part(
        vertices=np.concatenate([part.vertices for part in group]),
        faces=np.concatenate([p.faces + o for p, o in zip(group, offsets, strict=True)]),
        material=group[0].material,
        uv=_joined([part.uv for part in group]),
        colors=_joined([part.colors for part in group]),
    )


def _joined(arrays: list[np.ndarray | None]) -> np.ndarray | None:
    present = [array for array in arrays if array is not None]
    return np.concatenate(present) if present else None


def write_glb(parts: Sequence[Part]) -> bytes:
    """A GLB file with the parts, in their own coordinates.

    Raises:
        ValueError: There is no part, or one without triangles.
    """
    if not parts or any(len(part.faces) == 0 for part in parts):
        raise ValueError("expected at least one part, each with at least one triangle")
    writer = _Writer()
    primitives = [writer.primitive(part) for part in parts]
    document = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": primitives}],
        **writer.document(),
    }
    text = _padded(json.dumps(document, separators=(",", ":")).encode(), b" ")
    binary = _padded(bytes(writer.binary), b"\0")
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % 4)


class _Writer:
    """Collects the arrays of a glTF document while its primitives are written."""

    def __init__(self) -> None:
        self.binary = bytearray()
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self._images: dict[tuple[bytes, bool], int] = {}
        self._materials: dict[tuple[Material, bool], int] = {}
        self._extensions: set[str] = set()

    def document(self) -> dict[str, Any]:
        out: dict[str, Any] = dict(self._lists)
        out["buffers"] = [{"byteLength": len(self.binary) + (-len(self.binary) % 4)}]
        if self._extensions:
            out["extensionsUsed"] = sorted(self._extensions)
        return out

    def primitive(self, part: Part) -> dict[str, Any]:
        vertices = np.ascontiguousarray(part.vertices, dtype="<f4")
        bounds = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
        attributes = {"POSITION": self._accessor(vertices, "VEC3", _FLOAT, **bounds)}
        fades = False
        if part.uv is not None:
            uv = np.ascontiguousarray(part.uv, dtype="<f4")
            attributes["TEXCOORD_0"] = self._accessor(uv, "VEC2", _FLOAT)
        if part.colors is not None:
            linear = np.concatenate([srgb_to_linear(part.colors[:, :3]), part.colors[:, 3:]], 1)
            colors = np.ascontiguousarray(linear, dtype="<f4")
            attributes["COLOR_0"] = self._accessor(colors, "VEC4", _FLOAT)
            fades = bool((part.colors[:, 3] < 1.0).any())
        faces = np.ascontiguousarray(part.faces, dtype="<u4").reshape(-1)
        return {
            "attributes": attributes,
            "indices": self._accessor(faces, "SCALAR", _UINT32, target=_INDEX_BUFFER),
            "material": self._material(part.material, fades),
        }

    def _append(self, name: str, entry: dict[str, Any]) -> int:
        entries = self._lists.setdefault(name, [])
        entries.append(entry)
        return len(entries) - 1

    def _view(self, data: bytes, **facts: Any) -> int:
        self.binary += b"\0" * (-len(self.binary) % 4)
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **facts}
        self.binary += data
        return self._append("bufferViews", view)

    def _accessor(
        self,
        array: np.ndarray,
        kind: str,
        component: int,
        target: int = _ARRAY_BUFFER,
        **facts: Any,
    ) -> int:
        view = self._view(array.tobytes(), target=target)
        entry = {"bufferView": view, "componentType": component, "count": len(array), "type": kind}
        return self._append("accessors", {**entry, **facts})

    def _material(self, material: Material, fades: bool) -> int:
        key = (material, fades)
        if key not in self._materials:
            self._materials[key] = self._append("materials", self._material_entry(material, fades))
        return self._materials[key]

    def _material_entry(self, material: Material, fades: bool) -> dict[str, Any]:
        rgb = srgb_to_linear(material.rgba[:3])
        surface: dict[str, Any] = {
            "baseColorFactor": [*rgb.tolist(), float(material.rgba[3])],
            "metallicFactor": float(material.metallic),
            "roughnessFactor": float(material.roughness),
        }
        if material.texture is not None:
            surface["baseColorTexture"] = {"index": self._texture(material.texture, material.clamp)}
        entry: dict[str, Any] = {"pbrMetallicRoughness": surface}
        if material.rgba[3] < 1.0 or fades:
            entry["alphaMode"] = "BLEND"
        if material.emission > 0.0:
            entry["emissiveFactor"] = np.clip(rgb * material.emission, 0.0, 1.0).tolist()
        if material.unlit:
            entry["extensions"] = {"KHR_materials_unlit": {}}
            self._extensions.add("KHR_materials_unlit")
        return entry

    def _texture(self, png: bytes, clamp: bool) -> int:
        key = (png, clamp)
        if key not in self._images:
            image = {"bufferView": self._view(png), "mimeType": "image/png"}
            wrap = _CLAMP if clamp else _REPEAT
            sampler = {
                "wrapS": wrap, "wrapT": wrap,
                "magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR,
            }  # fmt: skip
            texture = {
                "source": self._append("images", image),
                "sampler": self._append("samplers", sampler),
            }
            self._images[key] = self._append("textures", texture)
        return self._images[key]
