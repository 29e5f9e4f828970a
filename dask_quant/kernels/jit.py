"""How kernels are compiled: nogil, no fastmath, cached on disk wherever a place can be written."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, TypeVar, cast

from numba import njit
from numba.core.errors import NumbaWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    Kernel = TypeVar("Kernel", bound=Callable[..., object])


def compile_kernel(function: Kernel) -> Kernel:
    """Compile ``function`` on first call, releasing the GIL, without reassociating sums.

    The machine code is cached beside the source or in the user's cache folder. Numba refuses to
    cache where neither is writable (read-only installs, some containers); such a kernel is
    compiled anew in every process instead.
    """
    try:
        return cast("Kernel", njit(function, nogil=True, cache=True))
    except RuntimeError:
        warnings.warn(
            "Numba finds no writable cache folder, so kernels are compiled at every start; "
            "set NUMBA_CACHE_DIR to a folder that can be written.",
            NumbaWarning,
            stacklevel=2,
        )
        return cast("Kernel", njit(function, nogil=True))


def inline_kernel(function: Kernel) -> Kernel:
    """Compile a small helper into the kernels that call it; never called from Python."""
    return cast("Kernel", njit(function, nogil=True, inline="always"))
