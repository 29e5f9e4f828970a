"""NumPy's ``.npz``, written front to back; for labels, ``labels`` and ``palette``.

One file rather than an ``.npy`` with colours beside it: it appears whole or not at all, and neither
part gets lost. Labels are not compressed, as `numpy.savez` writes them.

References
----------
NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", 2007.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette


class NpzArray(NamedTuple):
    """An array to be written, whose values come in parts."""

    name: str
    """What it is called in the file."""
    dtype: np.dtype[Any]
    """Type of its values."""
    shape: tuple[int, ...]
    """Its shape."""
    parts: Iterable[NDArray[Any]]
    """Its values along the first axis, in arrays of ``dtype``."""


class _Tap(io.RawIOBase):
    """A stream without a way back, whose bytes are taken from it as they come."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Keep ``data`` until it is taken."""
        self._written.append(bytes(data))
        return len(self._written[-1])

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken, self._written = b"".join(self._written), []
        return taken


def npz_chunks(arrays: Iterable[NpzArray], *, level: int | None = None) -> Iterator[bytes]:
    """Yield the bytes of an ``.npz``, the same for the same values. **Lazy**.

    Parameters
    ----------
    arrays : iterable of NpzArray
        What it holds, in this order.
    level : int, optional
        Effort of deflate, 1 to 9. None: nothing is compressed.

    Notes
    -----
    Peak memory: a part, three times.
    """
    tap = _Tap()
    way = zipfile.ZIP_STORED if level is None else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(tap, "w", way, compresslevel=level) as archive:
        for array in arrays:
            # By name alone it gets the first date that there is: bytes do not tell when they were
            # made.
            with archive.open(f"{array.name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, _describe(array))
                for part in array.parts:
                    member.write(np.ascontiguousarray(part).data)
                    yield tap.take()
    yield tap.take()


def encode_npz(
    strips: Iterable[Labels], shape: tuple[int, int], dtype: np.dtype[Any], palette: Palette
) -> Iterator[bytes]:
    """Yield the bytes of an ``.npz`` of labels. **Lazy**.

    Parameters
    ----------
    strips : iterable of ndarray
        Labels ``(rows, x)`` of ``dtype``, from top to bottom.
    shape : tuple of int
        Rows and columns of them all.
    dtype : dtype
        uint8 or uint16.
    palette : Palette
        Becomes ``palette``, sRGB uint8 ``(n_colors, 3)``.
    """
    colors = palette.colors
    return npz_chunks(
        [
            NpzArray("palette", colors.dtype, colors.shape, [colors]),
            NpzArray("labels", dtype, shape, strips),
        ]
    )


def _describe(array: NpzArray) -> dict[str, Any]:
    """Return the header of an ``.npy`` of C order."""
    described = np.lib.format.dtype_to_descr(array.dtype.newbyteorder("<"))
    return {"descr": described, "fortran_order": False, "shape": array.shape}
