"""Law 2 on one machine: neither chunks, scheduler nor route show in what is written."""

import dask
import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import dask_quant as dq
from dask_quant import execute
from dask_quant.options import ClusterOptions

HEIGHT, WIDTH = 70, 70


@pytest.fixture(scope="module")
def picture(photo):
    return photo[200 : 200 + HEIGHT, 300 : 300 + WIDTH].copy()


@st.composite
def cuts(draw, size):
    """Chunk sizes that sum to ``size``."""
    edges = sorted({0, size} | draw(st.sets(st.integers(1, size - 1), max_size=8)))
    return tuple(np.diff(edges).tolist())


@pytest.mark.parametrize("suffix", [".png", ".zarr"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.tuples(cuts(HEIGHT), cuts(WIDTH)),
    asked=st.none() | st.tuples(st.integers(1, 80), st.integers(1, 80)),
    scheduler=st.sampled_from(["threads", "synchronous"]),
    wave=st.sampled_from([1, 7, 2048]),
)
def test_chunks_scheduler_and_waves_do_not_show(
    tmp_path_factory, picture, small_units, digest_output, suffix, chunks, asked, scheduler, wave
):
    folder = tmp_path_factory.mktemp("same")
    expected = dq.quantize(picture, folder / f"whole{suffix}", n_colors=9, n_init=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "MAX_TASKS_PER_GRAPH", wave)
        report = dq.quantize(
            da.from_array(picture, chunks=(*chunks, 3)),
            folder / f"cut{suffix}",
            n_colors=9,
            n_init=1,
            chunks=asked,
            cluster=ClusterOptions(scheduler=scheduler),
        )
    assert digest_output(folder / f"cut{suffix}") == digest_output(folder / f"whole{suffix}")
    assert report.palette == expected.palette
    assert report.palette.counts.tolist() == expected.palette.counts.tolist()
    assert (report.mse, report.n_iter) == (expected.mse, expected.n_iter)


@pytest.mark.parametrize("suffix", [".png", ".zarr"])
def test_every_route_writes_the_same(tmp_path, picture, small_units, digest_output, suffix):
    file, store = tmp_path / "a.png", tmp_path / "a.zarr"
    Image.fromarray(picture).save(file)
    zarr.create_array(store, data=picture, chunks=(16, 24, 3))
    tiff = tmp_path / "a.tif"
    with tifffile.TiffWriter(tiff) as pages:
        pages.write(255 - picture, photometric="rgb")
        pages.write(picture, photometric="rgb", tile=(16, 32), compression="zstd")
    synchronous = ClusterOptions(scheduler="synchronous")
    persisted = {"persist": tmp_path / "p.zarr"}
    routes = {
        "file": (file, {}),
        "file in chunks": (file, {"chunks": (13, 31)}),
        "synchronous": (file, {"cluster": synchronous}),
        "store": (store, {}),
        "store in chunks": (store, {"chunks": (1, 70), "cluster": synchronous}),
        "NumPy": (picture, {}),
        "NumPy in chunks": (picture, {"chunks": (70, 1)}),
        "persisted": (file, persisted),
        "persisted before": (file, persisted | {"chunks": (20, 20)}),
        "TIFF": (tiff, {"page": 1}),
        "TIFF in chunks": (tiff, {"page": 1, "chunks": (13, 31)}),
        "TIFF persisted": (tiff, {"page": 1, "persist": tmp_path / "q.zarr"}),
    }
    digests, palettes = {}, {}
    for name, (source, options) in routes.items():
        out = tmp_path / f"out {name}{suffix}"
        report = dq.quantize(source, out, n_colors=11, seed=5, **options)
        digests[name], palettes[name] = digest_output(out), report.palette.hex
    assert set(digests.values()) == {digests["file"]}, digests
    assert all(palette == palettes["file"] for palette in palettes.values())


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("per_image", [False, True])
def test_collections_are_written_the_same_on_every_scheduler(
    tmp_path, photo, digest_output, scheduler, per_image
):
    (tmp_path / "in").mkdir()
    for i in range(5):
        Image.fromarray(photo[40 * i : 40 * i + 40, 100:160]).save(tmp_path / "in" / f"{i}.png")
    options = {"n_colors": 6, "per_image": per_image, "n_init": 1}
    expected = dq.quantize(tmp_path / "in", tmp_path / "whole", **options)
    with dask.config.set(scheduler=scheduler, num_workers=3):
        report = dq.quantize(tmp_path / "in", tmp_path / "cut", **options)
    assert digest_output(tmp_path / "cut") == digest_output(tmp_path / "whole")
    assert report.mse == expected.mse


@settings(max_examples=10)
@given(chunks=st.tuples(cuts(HEIGHT), cuts(WIDTH)), k=st.sampled_from([1, 5, 300]))
def test_labels_do_not_depend_on_chunks(picture, chunks, k):
    palette = dq.fit_palette(picture, k, n_init=1)
    whole = dq.relabel(picture, palette).compute(scheduler="synchronous")
    cut = dq.relabel(da.from_array(picture, chunks=(*chunks, 3)), palette)
    np.testing.assert_array_equal(cut.compute(), whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (33, 65), (32, 64)])
def test_files_of_any_shape_are_the_same_in_single_pixels(
    tmp_path, picture, small_units, digest_output, size
):
    image = picture[: size[0], : size[1]]
    palette = dq.Palette.from_hex(["#808080", "#ffffff", "#000000"])
    pixel_by_pixel = da.from_array(image, chunks=(1, 1, 3)) if image.size < 300 else image
    for suffix in (".png", ".zarr"):
        dq.apply_palette(image, tmp_path / f"a{suffix}", palette)
        dq.apply_palette(pixel_by_pixel, tmp_path / f"b{suffix}", palette, chunks=(1, 1))
        assert digest_output(tmp_path / f"a{suffix}") == digest_output(tmp_path / f"b{suffix}")
