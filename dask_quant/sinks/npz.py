"""NumPy's ``.npz`` of labels: ``labels`` and ``palette``, for ``palette[labels]``.

One file rather than an ``.npy`` with colours beside it: it appears whole or not at all, and neither
part gets lost. It is not compressed, as `numpy.savez` writes it.

References
----------
NumPy Enhancement Proposal 1, "A Simple File Format for NumPy Arrays", 2007.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dask_quant.kernels.assign import Labels
    from dask_quant.palette import Palette

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Time of all members: the least that ZIP knows, so that bytes do not depend on the clock."""


class _Collected(io.RawIOBase):
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


def encode_npz(
    strips: Iterable[Labels], shape: tuple[int, int], dtype: np.dtype[Any], palette: Palette
) -> Iterator[bytes]:
    """Yield the bytes of an ``.npz``. **Lazy**.

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

    Notes
    -----
    Peak memory: a strip, three times.
    """
    stream = _Collected()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        colors = palette.colors
        for name, rows, full_shape in (
            ("palette", iter([colors]), colors.shape),
            ("labels", iter(strips), shape),
        ):
            info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            with archive.open(info, "w", force_zip64=True) as member:
                kind = colors.dtype if name == "palette" else dtype
                member.write(_make_header(full_shape, kind))
                for part in rows:
                    member.write(np.ascontiguousarray(part).data)
                    yield stream.take()
    yield stream.take()


def _make_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return the first bytes of an ``.npy`` of C order."""
    header = io.BytesIO()
    described = np.lib.format.dtype_to_descr(dtype.newbyteorder("<"))
    fields = {"descr": described, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()
