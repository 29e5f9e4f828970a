import importlib
import sys

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


def test_blas_is_missing_inside_the_block_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "scipy.linalg.cython_blas", raising=False)
    with pytest.raises(ImportError, match="cython_blas"), jit._without_blas():
        importlib.import_module("scipy.linalg.cython_blas")
    assert "scipy.linalg.cython_blas" not in sys.modules


def test_blas_that_is_loaded_is_left_alone(monkeypatch):
    loaded = object()
    monkeypatch.setitem(sys.modules, "scipy.linalg.cython_blas", loaded)
    with jit._without_blas():
        assert sys.modules["scipy.linalg.cython_blas"] is loaded
    assert sys.modules["scipy.linalg.cython_blas"] is loaded
