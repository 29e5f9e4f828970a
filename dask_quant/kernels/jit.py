"""How kernels are compiled: nogil, no fastmath, cached on disk wherever a place can be written."""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numba import njit
from numba.core.errors import NumbaWarning

from dask_quant.process import is_process_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Kernel = TypeVar("Kernel", bound=Callable[..., object])

_BLAS = "scipy.linalg.cython_blas"
"""Where Numba looks for BLAS when it loads, and finds none where SciPy is not installed."""


@contextmanager
def _without_blas() -> Iterator[None]:
    """Let imports in the block find no BLAS, unless it is loaded already."""
    if _BLAS in sys.modules:
        yield
        return
    sys.modules[_BLAS] = None  # type: ignore[assignment]  # how Python marks what cannot be imported
    try:
        yield
    finally:
        del sys.modules[_BLAS]


if is_process_ours():
    # No kernel of ours calls BLAS, and SciPy takes a fifth of a second of a small job. Kernels of
    # others would miss it (for np.cov), so it is left out only where there are none.
    with _without_blas():
        import numba.np.arraymath  # noqa: F401


def compile_kernel(function: Kernel) -> Kernel:
    """Compile ``function`` on first call, releasing the GIL, without reassociating sums.

    The machine code is cached beside the source or in the user's cache folder. Numba refuses to
    cache where neither is writable (read-only installs, some containers); such a kernel is
    compiled anew in every process instead.
    """
    try:
        return cast("Kernel", njit(function, nogil=True, cache=True, no_cfunc_wrapper=True))
    except RuntimeError:
        warnings.warn(
            "Numba finds no writable cache folder, so kernels are compiled at every start; "
            "set NUMBA_CACHE_DIR to a folder that can be written.",
            NumbaWarning,
            stacklevel=2,
        )
        return cast("Kernel", njit(function, nogil=True))


def compile_helper(function: Kernel) -> Kernel:
    """Compile what only kernels call: Python could not, and the way in from there is left out."""
    return cast(
        "Kernel", njit(function, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
    )


def inline_kernel(function: Kernel) -> Kernel:
    """Compile a small helper into the kernels that call it; never called from Python."""
    return cast("Kernel", njit(function, nogil=True, inline="always"))


def plain_int(value: int) -> int:
    """Return an integer that Numba does not take for a literal.

    What is handed a literal is compiled for it once more.
    """
    return cast("int", np.int64(value))
