"""Dithered output: neither chunks, scheduler nor route show, and the report is that of the file."""

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import dask_quant as dq
from dask_quant import dither_flow, execute
from dask_quant.dithering import dither_image
from dask_quant.fit_options import DITHERS
from dask_quant.options import ClusterOptions
from dask_quant.sources import opening

HEIGHT, WIDTH = 70, 70
DITHERED = DITHERS[1:]
SUFFIXES = (".png", ".zarr")


@pytest.fixture(scope="module")
def picture(photo):
    return photo[200 : 200 + HEIGHT, 300 : 300 + WIDTH].copy()


@pytest.fixture(scope="module")
def palette(picture):
    return dq.fit_palette(picture, 9, n_init=1)


@st.composite
def cuts(draw, size):
    """Chunk sizes that sum to ``size``."""
    edges = sorted({0, size} | draw(st.sets(st.integers(1, size - 1), max_size=8)))
    return tuple(np.diff(edges).tolist())


def read_labels(path):
    if path.suffix == ".zarr":
        return zarr.open_group(path, mode="r")["0"][...]
    return np.asarray(Image.open(path))


@pytest.mark.parametrize("dither", DITHERED)
@settings(max_examples=6)
@given(chunks=st.tuples(cuts(HEIGHT), cuts(WIDTH)))
def test_labels_do_not_depend_on_chunks(picture, palette, dither, chunks):
    whole = dither_image(picture, palette, dither)[0]
    image = da.from_array(picture, chunks=(*chunks, 3))
    lazy = dq.relabel(image, palette, dither=dither)
    assert lazy.chunks == image.chunks[:2]
    assert lazy.dtype == whole.dtype
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), whole)


@pytest.mark.parametrize("dither", DITHERED)
def test_building_the_graph_computes_nothing(picture, palette, dither, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    for name in ("dither_block", "diffuse_rows"):
        monkeypatch.setattr(f"dask_quant.graphs.dither.{name}", refuse)
    with dask.config.set(scheduler=refuse):
        labels = dq.relabel(da.from_array(picture, chunks=(20, 30, 3)), palette, dither=dither)
    with pytest.raises(AssertionError, match="something was computed"):
        labels.compute(scheduler="synchronous")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dither", DITHERED)
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.tuples(cuts(HEIGHT), cuts(WIDTH)),
    asked=st.none() | st.tuples(st.integers(1, 80), st.integers(1, 80)),
    scheduler=st.sampled_from(["threads", "synchronous"]),
    wave=st.sampled_from([1, 7, 2048]),
)
def test_chunks_scheduler_and_waves_do_not_show(
    tmp_path_factory, picture, palette, small_units, digest_output, suffix, dither, chunks, asked,
    scheduler, wave,
):  # fmt: skip
    folder = tmp_path_factory.mktemp("same")
    expected = dq.apply_palette(picture, folder / f"whole{suffix}", palette, dither=dither)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "MAX_TASKS_PER_GRAPH", wave)
        patch.setattr(dither_flow, "BANDS_PER_WAVE", min(wave, 3))
        report = dq.apply_palette(
            da.from_array(picture, chunks=(*chunks, 3)),
            folder / f"cut{suffix}",
            palette,
            dither=dither,
            chunks=asked,
            cluster=ClusterOptions(scheduler=scheduler),
        )
    assert digest_output(folder / f"cut{suffix}") == digest_output(folder / f"whole{suffix}")
    labels, tally = dither_image(picture, palette, dither)
    np.testing.assert_array_equal(read_labels(folder / f"cut{suffix}"), labels)
    assert report.palette.counts.tolist() == expected.palette.counts.tolist()
    assert report.palette.counts.tolist() == tally.counts.tolist()
    assert report.mse == expected.mse == tally.squared_error / labels.size


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dither", DITHERED)
def test_every_route_writes_the_same(tmp_path, picture, small_units, digest_output, suffix, dither):
    file, store = tmp_path / "a.png", tmp_path / "a.zarr"
    Image.fromarray(picture).save(file)
    zarr.create_array(store, data=picture, chunks=(16, 24, 3))
    synchronous = ClusterOptions(scheduler="synchronous")
    routes = {
        "file": (file, {}),
        "file in chunks": (file, {"chunks": (13, 31)}),
        "synchronous": (file, {"cluster": synchronous}),
        "store": (store, {}),
        "store in chunks": (store, {"chunks": (1, 70), "cluster": synchronous}),
        "NumPy in chunks": (picture, {"chunks": (70, 1)}),
        "persisted": (file, {"persist": tmp_path / "p.zarr"}),
    }
    digests, reports = {}, {}
    for name, (source, options) in routes.items():
        out = tmp_path / f"out {name}{suffix}"
        reports[name] = dq.quantize(source, out, n_colors=11, dither=dither, n_init=1, **options)
        digests[name] = digest_output(out)
    assert set(digests.values()) == {digests["file"]}, digests
    assert {report.mse for report in reports.values()} == {reports["file"].mse}
    plain = dq.quantize(picture, tmp_path / f"plain{suffix}", n_colors=11, n_init=1)
    assert digest_output(tmp_path / f"plain{suffix}") not in digests.values()
    assert reports["file"].palette == plain.palette


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dither", DITHERS)
def test_the_report_is_that_of_what_was_written(tmp_path, photo, suffix, dither):
    pixels, out = photo[150:250, 200:300], tmp_path / f"o{suffix}"
    report = dq.quantize(pixels, out, n_colors=12, n_init=1, dither=dither)
    written = dq.read_palette(out)
    labels, colors = read_labels(out), written.colors[:12]
    assert report.dither == report.to_json()["dither"] == dither
    assert np.bincount(labels.ravel(), minlength=12).tolist() == report.palette.counts.tolist()
    assert report.mse == ((pixels.astype(np.int64) - colors[labels]) ** 2).sum() / labels.size
    assert report.palette == dq.fit_palette(pixels, 12, n_init=1)
    if suffix == ".zarr":
        assert written.counts.tolist() == report.palette.counts.tolist()


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("dither", DITHERED)
def test_collections_are_dithered_image_by_image(
    tmp_path, photo, read_indexed, scheduler, per_image, dither
):
    (tmp_path / "in").mkdir()
    originals = [photo[40 * i : 40 * i + 40, 100:160] for i in range(5)]
    for i, pixels in enumerate(originals):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{i}.png")
    options = {"n_colors": 6, "per_image": per_image, "n_init": 1, "dither": dither}
    with dask.config.set(scheduler=scheduler, num_workers=2):
        report = dq.quantize(tmp_path / "in", tmp_path / "out", **options)
    error, counts = 0, np.zeros(6, dtype=int)
    for i, pixels in enumerate(originals):
        labels, colors, painted = read_indexed(tmp_path / "out" / f"{i}.png")
        own = dq.Palette(colors[:6])
        np.testing.assert_array_equal(labels, dither_image(pixels, own, dither)[0])
        error += ((pixels.astype(int) - painted) ** 2).sum()
        counts += np.bincount(labels.ravel(), minlength=6)
        if per_image:
            assert own == dq.fit_palette(pixels, 6, n_init=1)
    assert report.mse == error / (5 * 2400)
    if not per_image:
        assert report.palette.counts.tolist() == counts.tolist()


@pytest.mark.parametrize("dither", DITHERED)
def test_few_colours_come_back_exactly(tmp_path, dither):
    colors = np.array([[0, 0, 0], [1, 0, 0], [250, 250, 250]], dtype=np.uint8)
    pixels = colors[np.random.default_rng(1).integers(0, 3, (50, 40))]
    for name in ("o.png", "o.zarr"):
        report = dq.quantize(pixels, tmp_path / name, n_colors=3, dither=dither)
        assert report.mse == 0
        written = dq.read_palette(tmp_path / name).colors[read_labels(tmp_path / name)]
        np.testing.assert_array_equal(written, pixels)


def test_an_unknown_dither_is_refused(tmp_path, picture, palette):
    calls = [
        lambda: dq.quantize(picture, tmp_path / "o.png", dither="noise"),
        lambda: dq.apply_palette(picture, tmp_path / "o.png", palette, dither="noise"),
        lambda: dq.plan_job(picture, tmp_path / "o.png", dither="noise"),
        lambda: dq.relabel(picture, palette, dither="noise"),
    ]
    for call in calls:
        with pytest.raises(dq.OptionError, match="known are none, bayer, blue-noise, floyd-st"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dither", DITHERED)
def test_empty_chunks_do_not_show(tmp_path, picture, palette, suffix, dither):
    image = da.from_array(picture, chunks=((33, 37), (21, 49), 3))
    image = image.rechunk(((0, 33, 0, 37), (0, 21, 49), (3,)))
    assert 0 in image.chunks[0]
    assert 0 in image.chunks[1]
    out = tmp_path / f"o{suffix}"
    dq.apply_palette(image, out, palette, dither=dither)
    np.testing.assert_array_equal(read_labels(out), dither_image(picture, palette, dither)[0])
    lazy = dq.relabel(image, palette, dither=dither)
    np.testing.assert_array_equal(lazy.compute(), dither_image(picture, palette, dither)[0])


def test_a_file_that_is_decoded_whole_is_decoded_once_for_all_bands(
    tmp_path, picture, monkeypatch, small_units
):
    Image.fromarray(picture).save(tmp_path / "a.png")
    read, n_reads = opening.read_image, []
    monkeypatch.setattr(opening, "read_image", lambda *a, **o: n_reads.append(a) or read(*a, **o))
    monkeypatch.setattr(dither_flow, "BANDS_PER_WAVE", 1)
    options = {"n_colors": 5, "n_init": 1, "dither": "floyd-steinberg"}
    cluster = ClusterOptions(scheduler="synchronous")
    dq.quantize(tmp_path / "a.png", tmp_path / "o.zarr", chunks=(5, 70), cluster=cluster, **options)
    assert len(n_reads) == 2  # to count it, and to relabel it
