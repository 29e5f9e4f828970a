import pytest
from numba.core.errors import NumbaWarning

from dask_quant.kernels import jit


def double(x):
    return 2 * x


def test_a_kernel_computes_releases_the_gil_and_keeps_the_order_of_sums():
    kernel = jit.compile_kernel(double)
    assert kernel(21) == 42
    assert kernel.targetoptions["nogil"]
    assert not kernel.targetoptions.get("fastmath")
    assert not kernel.targetoptions.get("parallel")


def test_without_a_writable_cache_a_kernel_is_compiled_all_the_same(monkeypatch):
    real = jit.njit

    def refuse_cache(function, *, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function")
        return real(function, **options)

    monkeypatch.setattr(jit, "njit", refuse_cache)
    with pytest.warns(NumbaWarning, match="NUMBA_CACHE_DIR"):
        kernel = jit.compile_kernel(double)
    assert kernel(4) == 8
