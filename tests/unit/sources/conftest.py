"""Profiles that tests write byte by byte."""

import struct

import colour
import numpy as np
import pytest

D50 = (0.9642, 1.0, 0.8249)


def fixed(*values):
    """Numbers as signed 15.16 bits."""
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def curve_tag(curve):
    """A curve: an exponent, 256 or other values from 0 to 1, or ``(kind, parameters)``."""
    if isinstance(curve, tuple):
        kind, parameters = curve
        return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + fixed(*parameters)
    if np.ndim(curve) == 0:
        return b"curv" + bytes(4) + struct.pack(">IH", 1, round(curve * 256))
    values = np.rint(np.asarray(curve) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", len(values)) + values.tobytes()


def description_tag(text):
    data = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(data)) + data + bytes(78)


def build_profile(space, tags, connection=b"XYZ "):
    """A display profile of ``space`` (``RGB ``, ``GRAY``) with these tags."""
    tags = {b"desc": description_tag("by hand"), b"wtpt": b"XYZ " + bytes(4) + fixed(*D50), **tags}
    start, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += padded
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(24) + bytes(4)
    header = header[:68] + fixed(*D50)
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def adapted_primaries(name):
    """XYZ of the primaries of a colour space, white adapted to D50, in columns."""
    space = colour.RGB_COLOURSPACES[name]
    white = colour.xy_to_XYZ(space.whitepoint)
    adapt = colour.adaptation.matrix_chromatic_adaptation_VonKries(white, D50, "Bradford")
    return adapt @ space.matrix_RGB_to_XYZ


@pytest.fixture(scope="session")
def make_rgb_profile():
    """An RGB profile of three primaries and one curve."""

    def make(name, curve):
        columns = adapted_primaries(name).T
        primaries = {
            tag: b"XYZ " + bytes(4) + fixed(*column)
            for tag, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)
        }
        curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve_tag(curve))
        return build_profile(b"RGB ", primaries | curves)

    return make


@pytest.fixture(scope="session")
def make_grey_profile():
    """A grey profile of one curve."""
    return lambda curve: build_profile(b"GRAY", {b"kTRC": curve_tag(curve)})


SRGB_CURVE = (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
"""The transfer function of sRGB and Display P3, as profiles have it."""


@pytest.fixture(scope="session")
def display_p3(make_rgb_profile):
    """The profile of photographs of telephones."""
    return make_rgb_profile("Display P3", SRGB_CURVE)
