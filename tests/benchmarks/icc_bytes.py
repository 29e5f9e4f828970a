"""ICC profiles written byte by byte, for tests and for the table of formats."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Curve = float | Sequence[float] | tuple[int, Sequence[float]]

D50 = (0.9642, 1.0, 0.8249)
"""White, as all profiles have it."""

SRGB_CURVE = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
"""The transfer function of sRGB and Display P3, as a parametric curve."""

DISPLAY_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
"""XYZ of the primaries of Display P3, adapted to D50."""


def fixed(*values: float) -> bytes:
    """Return numbers as signed 15.16 bits."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def curve_tag(curve: Curve) -> bytes:
    """Return a curve: an exponent, a list of values from 0 to 1, or ``(kind, parameters)``."""
    if isinstance(curve, tuple):
        kind, parameters = curve
        return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*parameters)
    if np.ndim(curve) == 0:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256))
    values = np.rint(np.asarray(curve) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()


def description_tag(text: str) -> bytes:
    """Return the name of a profile."""
    data = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(data)) + data + bytes(78)


def build_profile(
    space: bytes, tags: Mapping[bytes, bytes], name: str = "by hand", connection: bytes = b"XYZ "
) -> bytes:
    """Return a display profile of ``space`` (four letters) with these tags."""
    white = b"XYZ " + bytes(4) + fixed(*D50)
    tags = {b"desc": description_tag(name), b"wtpt": white, **tags}
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        table += struct.pack(">4sII", tag, start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(body), bytes(4), 0x02400000, b"mntr", space, connection
    )
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(*D50)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def build_rgb_profile(
    primaries: Sequence[Sequence[float]], curve: Curve, name: str = "by hand"
) -> bytes:
    """Return an RGB profile of the XYZ of three primaries and one curve."""
    tags = {
        tag: b"XYZ " + bytes(4) + fixed(*primary)
        for tag, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    return build_profile(
        b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve_tag(curve)), name
    )


def build_grey_profile(curve: Curve, name: str = "by hand") -> bytes:
    """Return a grey profile of one curve."""
    return build_profile(b"GRAY", {b"kTRC": curve_tag(curve)}, name)


def build_ink_profile(name: str = "by hand") -> bytes:
    """Return a profile of CMYK: CIELAB of paper and of its fifteen overprints, made up."""
    inks = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    cyan, magenta, yellow, black = inks.T
    light = (1 - 0.4 * cyan) * (1 - 0.45 * magenta) * (1 - 0.1 * yellow) * (1 - 0.85 * black)
    tint = 1 - 0.9 * black
    lab = np.stack([
        96 * light,
        (70 * magenta - 40 * cyan) * tint,
        (85 * yellow - 45 * cyan - 20 * magenta) * tint,
    ], axis=1)  # fmt: skip
    levels = np.clip(np.rint(lab * [2.55, 1, 1] + [0, 128, 128]), 0, 255).astype(np.uint8)
    identity = bytes(range(256))
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
        + 4 * identity + levels.tobytes() + 3 * identity
    )  # fmt: skip
    return build_profile(b"CMYK", {b"A2B0": table, b"A2B1": table}, name, connection=b"Lab ")
