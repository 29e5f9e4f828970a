"""Undo PNG's filters, row after row: bytes as deflated become samples.

Every byte was stored as its difference from a prediction, made of the byte of the pixel to the
left, that of the row above and that to the upper left. Rows are undone from the first to the last.
The three bytes of a pixel of 8-bit RGB, and the four of RGBA, are carried in registers: what was
just written would else be read back from memory at once, which takes twice as long.

References
----------
W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025, section 9, with the
predictor of A. W. Paeth, "Image file compression made easy", Graphics Gems II, 1991,
doi:10.1016/B978-0-08-050754-5.50029-3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from dask_quant.kernels.jit import compile_helper, compile_kernel, inline_kernel, plain_int

if TYPE_CHECKING:
    from numpy.typing import NDArray

NONE: Final = 0
SUB: Final = 1
UP: Final = 2
AVERAGE: Final = 3
PAETH: Final = 4

_RGB_BYTES: Final = 3
_RGBA_BYTES: Final = 4


def unfilter_block(
    rows: NDArray[np.uint8],
    above: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    *,
    pixel_bytes: int,
) -> int | None:
    """Undo the filters of some rows.

    Parameters
    ----------
    rows : ndarray
        As inflated, uint8 ``(n, 1 + row_bytes)``: the number of a filter, then the bytes of a row.
    above : ndarray
        The samples of the row above the first, uint8 ``(row_bytes,)``; zeros above an image.
    samples : ndarray
        Where the samples go, uint8 ``(n, row_bytes)``.
    pixel_bytes : int
        Bytes of a pixel, 1 where it has fewer bits; as far to the left as filters look.

    Returns
    -------
    int or None
        The first row whose filter there is none of, where the work ends.

    Notes
    -----
    One pass, O(bytes), nothing allocated.
    """
    bad = int(_unfilter(rows, above, samples, plain_int(pixel_bytes)))
    return None if bad < 0 else bad


@compile_kernel
def _unfilter(
    rows: NDArray[np.uint8],
    above: NDArray[np.uint8],
    samples: NDArray[np.uint8],
    pixel_bytes: int,
) -> int:
    """Undo the filters of all rows; return the first that has none, else -1."""
    up = above
    for y in range(rows.shape[0]):
        row, out = rows[y, 1:], samples[y]
        kind = rows[y, 0]
        if kind > PAETH:
            return y
        if kind == NONE:
            out[:] = row
        elif kind == UP:
            for i in range(row.shape[0]):
                out[i] = row[i] + up[i]
        elif pixel_bytes == _RGB_BYTES:
            _undo_rgb(row, up, out, kind)
        elif pixel_bytes == _RGBA_BYTES:
            _undo_rgba(row, up, out, kind)
        else:
            _undo_any(row, up, out, kind, pixel_bytes)
        up = out
    return -1


@inline_kernel
def _average(left: np.int32, up: np.int32) -> np.int32:
    """Return the mean of two bytes, halves down."""
    return (left + up) >> np.int32(1)


@inline_kernel
def _paeth(left: np.int32, up: np.int32, corner: np.int32) -> np.int32:
    """Return that of three bytes which is nearest to left + up - corner; on ties the first.

    Where the corner is not between the two others, the nearest is the one farther from it, and so
    it is while the corner is nearer to one of them than half their distance; three times the
    corner, less both, tells which. Without a branch that depends on pixels, which are not foreseen.
    """
    threshold = corner + corner + corner - left - up
    low, high = min(left, up), max(left, up)
    guess = low if high <= threshold else corner
    return high if threshold <= low else guess


@compile_helper
def _undo_any(
    row: NDArray[np.uint8], up: NDArray[np.uint8], out: NDArray[np.uint8], kind: int, step: int
) -> None:
    """Undo a filter that looks to the left, ``step`` bytes far."""
    for i in range(row.shape[0]):
        left = np.int32(out[i - step]) if i >= step else np.int32(0)
        corner = np.int32(up[i - step]) if i >= step else np.int32(0)
        if kind == SUB:
            guess = left
        elif kind == AVERAGE:
            guess = _average(left, np.int32(up[i]))
        else:
            guess = _paeth(left, np.int32(up[i]), corner)
        out[i] = np.uint8((np.int32(row[i]) + guess) & np.int32(255))


@compile_helper
def _undo_rgb(
    row: NDArray[np.uint8], up: NDArray[np.uint8], out: NDArray[np.uint8], kind: int
) -> None:
    """Undo a filter that looks to the left, in pixels of three bytes."""
    a = b = c = np.int32(0)  # to the left
    d = e = f = np.int32(0)  # to the upper left
    for j in range(np.uint64(row.shape[0] // 3)):
        i = np.uint64(3) * j  # unsigned indices spare the test for negative ones
        k, m = i + np.uint64(1), i + np.uint64(2)
        p, q, r = np.int32(up[i]), np.int32(up[k]), np.int32(up[m])
        if kind == AVERAGE:
            a, b, c = _average(a, p), _average(b, q), _average(c, r)
        elif kind == PAETH:
            a, b, c = _paeth(a, p, d), _paeth(b, q, e), _paeth(c, r, f)
        a = (np.int32(row[i]) + a) & np.int32(255)
        b = (np.int32(row[k]) + b) & np.int32(255)
        c = (np.int32(row[m]) + c) & np.int32(255)
        out[i], out[k], out[m] = np.uint8(a), np.uint8(b), np.uint8(c)
        d, e, f = p, q, r


@compile_helper
def _undo_rgba(
    row: NDArray[np.uint8], up: NDArray[np.uint8], out: NDArray[np.uint8], kind: int
) -> None:
    """Undo a filter that looks to the left, in pixels of four bytes."""
    a = b = c = d = np.int32(0)  # to the left
    e = f = g = h = np.int32(0)  # to the upper left
    for j in range(np.uint64(row.shape[0] // 4)):
        i = np.uint64(4) * j
        k, m, n = i + np.uint64(1), i + np.uint64(2), i + np.uint64(3)
        p, q, r, s = np.int32(up[i]), np.int32(up[k]), np.int32(up[m]), np.int32(up[n])
        if kind == AVERAGE:
            a, b, c, d = _average(a, p), _average(b, q), _average(c, r), _average(d, s)
        elif kind == PAETH:
            a, b = _paeth(a, p, e), _paeth(b, q, f)
            c, d = _paeth(c, r, g), _paeth(d, s, h)
        a = (np.int32(row[i]) + a) & np.int32(255)
        b = (np.int32(row[k]) + b) & np.int32(255)
        c = (np.int32(row[m]) + c) & np.int32(255)
        d = (np.int32(row[n]) + d) & np.int32(255)
        out[i], out[k], out[m], out[n] = np.uint8(a), np.uint8(b), np.uint8(c), np.uint8(d)
        e, f, g, h = p, q, r, s
