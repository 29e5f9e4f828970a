"""How labels are read back for an outline, and what that is planned to take."""

from pathlib import Path

import pytest

from dask_quant.chunking import PROCESS_BYTES
from dask_quant.outline_flow import plan_outline_bytes, read_chunks
from dask_quant.raster_plan import RASTER_CACHE_BYTES

PNG, STORE, RASTER = Path("a.png"), Path("a.zarr"), Path("a.tif")


@pytest.mark.parametrize(
    ("labels", "outline", "chunks"),
    [
        (PNG, PNG, (209, 20_000)),  # its strips
        (PNG, STORE, (209, 20_000)),
        (STORE, STORE, (4096, 4096)),  # its shards
        (STORE, RASTER, (4096, 4096)),
        (RASTER, STORE, (4096, 4096)),
        (STORE, PNG, (512, 20_000)),  # rows of its chunks, or of tiles
        (RASTER, PNG, (512, 20_000)),
    ],
    ids=str,
)
def test_labels_are_read_in_what_is_stored_and_written_at_once(labels, outline, chunks):
    assert read_chunks(labels, (30_000, 20_000), outline) == chunks


@pytest.mark.parametrize("labels", [PNG, STORE, RASTER])
@pytest.mark.parametrize("outline", [PNG, STORE, RASTER])
def test_a_taller_image_takes_no_more(labels, outline):
    def plan(height, **more):
        options = {"label_bytes": 1, "n_processes": 0, "n_threads": 2} | more
        return plan_outline_bytes(labels, (height, 20_000), outline, **options)

    assert plan(30_000) == plan(3_000_000)
    assert plan(30_000, n_threads=4) > plan(30_000)
    assert plan(30_000, label_bytes=2) > plan(30_000)
    assert plan(30_000, n_processes=1) - plan(30_000) == PROCESS_BYTES + RASTER_CACHE_BYTES
