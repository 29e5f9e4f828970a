import sys
import threading
import warnings

import numpy as np
import pytest

from dask_quant.errors import OutputError, SourceError
from dask_quant.sources import gdal_state
from dask_quant.sources.gdal_state import CACHE_BYTES, borrow_gdal, check_rasterio, show_gdal_cause

rasterio = pytest.importorskip("rasterio")


def read_limit():
    return rasterio.env.get_gdal_config("GDAL_CACHEMAX")


def read_limit_elsewhere():
    found = []
    thread = threading.Thread(target=lambda: found.append(read_limit()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture
def small_before():
    """A limit that is neither ours nor GDAL's default."""
    before = read_limit()
    rasterio.env.set_gdal_config("GDAL_CACHEMAX", CACHE_BYTES + 2**20)
    yield CACHE_BYTES + 2**20
    rasterio.env.set_gdal_config("GDAL_CACHEMAX", before)


def test_the_cache_limit_holds_for_every_thread(small_before):
    with borrow_gdal():
        assert read_limit() == read_limit_elsewhere() == CACHE_BYTES
    assert read_limit() == read_limit_elsewhere() == small_before


def test_the_first_to_leave_does_not_lift_the_limit(small_before):
    entered, leave = threading.Event(), threading.Event()

    def stay():
        with borrow_gdal():
            entered.set()
            leave.wait(10)

    other = threading.Thread(target=stay)
    with borrow_gdal():
        other.start()
        assert entered.wait(10)
    assert read_limit() == CACHE_BYTES
    leave.set()
    other.join()
    assert read_limit() == small_before


def test_a_limit_that_someone_else_sets_is_kept(small_before):
    with borrow_gdal():
        rasterio.env.set_gdal_config("GDAL_CACHEMAX", CACHE_BYTES // 2)
    assert read_limit() == CACHE_BYTES // 2


def test_options_hold_inside_the_block_alone():
    with borrow_gdal(GDAL_PAM_ENABLED="NO"):
        assert rasterio.env.get_gdal_config("GDAL_PAM_ENABLED") == "NO"
        assert rasterio.env.get_gdal_config("GDAL_NUM_THREADS") == 1
    assert rasterio.env.get_gdal_config("GDAL_PAM_ENABLED") is None


def test_only_the_warning_of_a_missing_georeference_is_silent(tmp_path):
    path = tmp_path / "a.tif"
    before = list(warnings.filters)
    with borrow_gdal():
        options = {"driver": "GTiff", "height": 2, "width": 2, "count": 1, "dtype": "uint8"}
        with rasterio.open(path, "w", **options) as dataset:
            dataset.write(np.ones((1, 2, 2), dtype=np.uint8))
        with pytest.raises(UserWarning, match="other"):
            warnings.warn("other", UserWarning, stacklevel=1)
    assert warnings.filters == before
    with pytest.raises(rasterio.errors.NotGeoreferencedWarning):
        rasterio.open(path)


def test_state_is_restored_after_an_error(small_before):
    with pytest.raises(ZeroDivisionError), borrow_gdal():
        raise ZeroDivisionError
    assert read_limit() == small_before
    assert gdal_state._n_borrowers == 0


@pytest.mark.parametrize("kind", [SourceError, OutputError])
def test_without_rasterio_the_way_out_is_named(monkeypatch, kind):
    check_rasterio(kind, "Cannot read a.tif")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(kind, match=r"^Cannot read a\.tif: .*pip install \"dask-quant\[geo\]\"\.$"):
        check_rasterio(kind, "Cannot read a.tif")


def test_the_first_of_a_chain_of_errors_is_shown():
    first, last = ValueError("Seek error\nat 512."), OSError("Write failed.")
    last.__cause__ = first
    assert show_gdal_cause(last) == "Seek error at 512"
