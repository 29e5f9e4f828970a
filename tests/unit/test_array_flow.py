import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from dask.callbacks import Callback
from PIL import Image

from dask_quant import array_flow, engine_flow, execute
from dask_quant.array_flow import (
    check_label_output,
    count_image,
    run_on_blocks,
    write_labels,
)
from dask_quant.engine_flow import fit_image
from dask_quant.errors import OutputError, OutputExistsError, SourceError
from dask_quant.execute import Executor
from dask_quant.fit.fitting import fit_histogram
from dask_quant.fit_options import PIXEL_ENGINES, FitOptions
from dask_quant.histogram import ColorHistogram
from dask_quant.palette import Palette

PIXELS = np.random.default_rng(0).integers(0, 9, (50, 70, 3), dtype=np.uint8)
LABELS = np.random.default_rng(1).integers(0, 5, (50, 70), dtype=np.uint8)
PALETTE = Palette(np.arange(15).reshape(5, 3) * 16)
NAMES = ["o.png", "o.zarr", "o.gif", "o.tif", "o.npz"]
CHUNKS = [(50, 70), (7, 9), (1, 70), (50, 1), ((3, 40, 7), (69, 1))]


@pytest.fixture(params=["threads", "synchronous"])
def executor(request):
    return Executor(scheduler=request.param)


def read_back(path):
    if path.suffix == ".zarr":
        return zarr.open_group(path, mode="r")["0"][...]
    if path.suffix == ".npz":
        return np.load(path)["labels"]
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("chunks", CHUNKS)
def test_counting_is_chunk_invariant(executor, chunks):
    image = da.from_array(PIXELS, chunks=(*chunks, 3))
    assert count_image(image, executor) == ColorHistogram.from_pixels(PIXELS)


@pytest.mark.parametrize("chunks", CHUNKS)
def test_large_images_are_counted_in_shared_tables(executor, monkeypatch, chunks):
    monkeypatch.setattr(array_flow, "DENSE_MIN_PIXELS", 1)
    monkeypatch.setattr(execute, "MAX_TASKS_PER_GRAPH", 5)
    monkeypatch.setattr(array_flow, "count_leaves", None)
    image = da.from_array(PIXELS, chunks=(*chunks, 3))
    assert count_image(image, executor) == ColorHistogram.from_pixels(PIXELS)


@pytest.mark.parametrize("width", [1, 5, 16])
def test_waves_count_and_write_the_same(monkeypatch, tmp_path, executor, width, small_units):
    monkeypatch.setattr(execute, "MAX_TASKS_PER_GRAPH", width)
    events, graphs = [], []
    listening = Executor(scheduler=executor.scheduler, listener=events.append)
    image = da.from_array(PIXELS, chunks=(6, 9, 3))
    with Callback(start=graphs.append):
        assert count_image(image, listening) == ColorHistogram.from_pixels(PIXELS)
    assert len(graphs) >= 72 // width
    assert sum("count_block_colors" in str(key) for graph in graphs for key in graph) == 72
    for name in NAMES:
        labels = da.from_array(LABELS, chunks=(6, 9))
        write_labels(labels, PALETTE, tmp_path / name, listening, overwrite=False)
        np.testing.assert_array_equal(read_back(tmp_path / name), LABELS)
    for stage in ("count", "relabel"):
        done = [event.done for event in events if event.stage == stage]
        totals = {event.total for event in events if event.stage == stage}
        assert totals == {3500}
        assert max(done) == 3500
    counts = [event.done for event in events if event.stage == "count"]
    assert counts == sorted(counts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("chunks", CHUNKS)
def test_labels_of_any_chunks_are_written_whole(
    tmp_path, executor, name, chunks, small_units, digest_output
):
    labels = da.from_array(LABELS, chunks=chunks)
    n_bytes = write_labels(labels, PALETTE, tmp_path / name, executor, overwrite=False)
    np.testing.assert_array_equal(read_back(tmp_path / name), LABELS)
    whole = tmp_path / "whole" / name
    write_labels(da.from_array(LABELS, chunks=-1), PALETTE, whole, executor, overwrite=False)
    assert digest_output(tmp_path / name) == digest_output(whole)
    if name != "o.zarr":
        assert n_bytes == whole.stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {name, "whole"}


@pytest.mark.parametrize("name", NAMES)
def test_a_task_that_fails_leaves_neither_output_nor_remains(tmp_path, executor, name, small_units):
    def tear(block, block_info=None):
        if block_info[0]["chunk-location"] == (1, 0):
            raise SourceError("torn")
        return block

    labels = da.from_array(LABELS, chunks=(32, 70)).map_blocks(tear, dtype=np.uint8)
    with pytest.raises(SourceError, match="torn"):
        write_labels(labels, PALETTE, tmp_path / name, executor, overwrite=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_exists_is_replaced_only_when_asked(tmp_path, executor, name):
    labels = da.from_array(LABELS, chunks=-1)
    write_labels(labels, PALETTE, tmp_path / name, executor, overwrite=False)
    with pytest.raises(OutputExistsError):
        check_label_output(tmp_path / name, overwrite=False)
    with pytest.raises(OutputExistsError):
        write_labels(labels + 1, PALETTE, tmp_path / name, executor, overwrite=False)
    np.testing.assert_array_equal(read_back(tmp_path / name), LABELS)
    turned = da.from_array(LABELS[::-1].copy(), chunks=-1)
    write_labels(turned, PALETTE, tmp_path / name, executor, overwrite=True)
    np.testing.assert_array_equal(read_back(tmp_path / name), LABELS[::-1])
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["o.png", "o.gif", "o.tif", "o.npz"])
def test_a_part_that_another_machine_kept_is_named(tmp_path, executor, monkeypatch, name):
    monkeypatch.setattr(array_flow, "write_part_files", lambda *_, **__: 0)
    with pytest.raises(OutputError, match="all workers must see"):
        write_labels(da.from_array(LABELS), PALETTE, tmp_path / name, executor, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_blocks_come_with_their_place(executor, monkeypatch):
    monkeypatch.setattr(execute, "MAX_TASKS_PER_GRAPH", 4)
    seen = np.zeros((50, 70), dtype=int)

    def note(block, at):
        rows, columns = block.shape
        np.testing.assert_array_equal(block, LABELS[at[0] : at[0] + rows, at[1] : at[1] + columns])
        seen[at[0] : at[0] + rows, at[1] : at[1] + columns] += 1

    labels = da.from_array(LABELS, chunks=((3, 40, 7), (9, 50, 1, 10)))
    run_on_blocks(labels, executor, lambda b, at: dask.delayed(note, pure=False)(b, at))
    assert (seen == 1).all()


def test_the_histogram_engine_reads_no_pixel(executor):
    def refuse(block):
        raise AssertionError("a pixel was read")

    image = da.from_array(PIXELS).map_blocks(refuse, dtype=np.uint8, meta=PIXELS[:0])
    histogram, options = ColorHistogram.from_pixels(PIXELS), FitOptions(n_colors=4)
    fit = fit_image(image, histogram, options, executor)
    assert fit.palette == fit_histogram(histogram, options).palette


@pytest.mark.parametrize("engine", PIXEL_ENGINES)
def test_no_engine_is_asked_for_colors_that_fit(executor, monkeypatch, engine):
    monkeypatch.setattr(engine_flow, "fit_dask_ml", None)
    monkeypatch.setattr(engine_flow, "fit_rows", None)
    options = FitOptions(n_colors=5000, engine=engine)
    histogram = ColorHistogram.from_pixels(PIXELS)
    fit = fit_image(da.from_array(PIXELS), histogram, options, executor)
    assert fit.engine == engine
    assert fit.squared_error == 0
    assert len(fit.palette) == len(histogram)


def test_few_blocks_of_strips_are_on_the_way(tmp_path, executor, small_units):
    graphs = []
    labels = da.from_array(LABELS, chunks=(1, 70))
    with Callback(start=graphs.append):
        write_labels(labels, PALETTE, tmp_path / "o.png", executor, overwrite=False)
    most = array_flow.STRIP_TASKS_PER_THREAD * executor.n_threads
    written = [sum("write_part_files" in str(key) for key in graph) for graph in graphs]
    assert 0 < max(written) <= most
    np.testing.assert_array_equal(read_back(tmp_path / "o.png"), LABELS)
