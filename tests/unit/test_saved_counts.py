"""Counts of earlier images: what is merged, what is told, what stays on disk."""

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.errors import (
    MemoryBudgetError,
    OptionError,
    OutputExistsError,
    PixelFormatError,
    SourceError,
    SourceNotFoundError,
)
from dask_quant.histogram import ColorHistogram

QUICK = {"n_colors": 9, "effort": "fast"}


@pytest.fixture(scope="module")
def parts(photo):
    """Three pictures, as they come in the course of time."""
    return [photo[:60, :80], photo[100:150, 200:300], photo[300:350, 400:480]]


@pytest.fixture(scope="module")
def counts(parts):
    """Counts of the first two."""
    return ColorHistogram.merge_all(map(ColorHistogram.from_pixels, parts[:2]))


@pytest.fixture
def folder(tmp_path, parts):
    """The third one alone, all of them in a folder, and a file of counts of the first two."""
    (tmp_path / "all").mkdir()
    for name, pixels in zip("abc", parts, strict=True):
        Image.fromarray(pixels).save(tmp_path / "all" / f"{name}.png")
    Image.fromarray(parts[2]).save(tmp_path / "c.png")
    for name, pixels in zip("ab", parts, strict=False):
        dq.write_histogram(ColorHistogram.from_pixels(pixels), tmp_path / f"{name}.npz")
    return tmp_path


def read_files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("route", ["memory", "chunks", "folder", "array", "none"])
def test_a_palette_of_parts_is_that_of_all_images_at_once(folder, parts, route):
    saved = [folder / "a.npz", folder / "b.npz"]
    source, more = {
        "memory": (folder / "c.png", {}),
        "chunks": (folder / "c.png", {"chunks": (16, 30)}),
        "folder": ([folder / "c.png", folder / "all" / "b.png"], {}),
        "array": (parts[2], {}),
        "none": (None, {}),
    }[route]
    if route == "folder":
        saved = saved[:1]
    if route == "none":
        saved = [*saved, ColorHistogram.from_pixels(parts[2])]
    whole = dq.make_palette(folder / "all", folder / "whole.json", **QUICK)
    found = dq.make_palette(source, folder / "p.json", histogram=saved, **QUICK, **more)
    assert (folder / "p.json").read_bytes() == (folder / "whole.json").read_bytes().replace(
        b'"whole"', b'"p"'
    )
    for name in ("n_pixels", "n_unique_colors", "mse", "explained_variance", "inertia", "n_iter"):
        assert getattr(found, name) == getattr(whole, name), name
    assert found.palette.counts.tolist() == whole.palette.counts.tolist()
    assert found.n_images == {"folder": 2, "none": 0}.get(route, 1)


@pytest.mark.parametrize("route", ["memory", "chunks", "zarr", "folder", "array"])
def test_pictures_get_the_palette_of_all_and_figures_of_their_own(
    folder, parts, counts, route, read_indexed, label_oracle
):
    source, out, more = {
        "memory": (folder / "c.png", "o.png", {}),
        "chunks": (folder / "c.png", "o.png", {"chunks": (16, 30)}),
        "zarr": (folder / "c.png", "o.zarr", {}),
        "folder": ([folder / "c.png"], "out", {}),
        "array": (parts[2], "o.png", {}),
    }[route]
    report = dq.quantize(source, folder / out, histogram=counts, **QUICK, **more)
    palette = dq.fit_palette(counts.merge(ColorHistogram.from_pixels(parts[2])), **QUICK)
    assert report.palette == palette
    labels, errors = label_oracle(parts[2], palette.colors)
    assert report.palette.counts.tolist() == np.bincount(labels.ravel(), minlength=9).tolist()
    assert report.mse == errors.sum() / errors.size
    assert (report.n_pixels, report.n_unique_colors) == (
        errors.size,
        len(np.unique(parts[2].reshape(-1, 3), axis=0)),
    )
    assert (report.engine, report.n_iter > 0) == ("histogram", True)
    if route != "zarr":
        path = folder / out / "c.png" if route == "folder" else folder / out
        found, colors, _ = read_indexed(path)
        assert (found == labels).all()
        assert (colors[:9] == palette.colors).all()


def test_recolored_pictures_are_labelled_as_the_fit_to_all_says(
    folder, parts, counts, read_indexed
):
    painted = ["#100000", "#802000", "#f0f0a0"]
    report = dq.quantize(
        folder / "c.png", folder / "o.png", n_colors=3, recolor=painted, histogram=counts
    )
    together = counts.merge(ColorHistogram.from_pixels(parts[2]))
    whole = np.repeat(together.colors, np.minimum(together.counts, 10**6), axis=0)[np.newaxis]
    expected = dq.quantize(whole, folder / "whole.png", n_colors=3, recolor=painted)
    assert report.palette.hex == expected.palette.hex
    _, _, shown = read_indexed(folder / "o.png")
    assert report.mse == np.square(shown.astype(int) - parts[2]).sum(axis=2).mean()
    assert report.palette.counts.sum() == shown.shape[0] * shown.shape[1]


@pytest.mark.parametrize("dither", ["bayer", "floyd-steinberg"])
def test_dithered_pictures_are_measured_as_written(folder, parts, counts, dither, read_indexed):
    report = dq.quantize(
        folder / "c.png", folder / "o.png", dither=dither, histogram=counts, **QUICK
    )
    _, _, shown = read_indexed(folder / "o.png")
    assert report.mse == np.square(shown.astype(int) - parts[2]).sum(axis=2).mean()


@pytest.mark.parametrize("route", ["memory", "chunks", "folder"])
def test_the_counts_that_are_kept_are_those_of_the_fit(folder, parts, counts, route):
    source = [folder / "c.png"] if route == "folder" else folder / "c.png"
    out = folder / ("out" if route == "folder" else "o.png")
    more = {"chunks": (16, 30)} if route == "chunks" else {}
    together = counts.merge(ColorHistogram.from_pixels(parts[2]))
    before = read_files(folder)
    kept = folder / "kept.npz"
    report = dq.quantize(source, out, histogram=counts, save_histogram=kept, **QUICK, **more)
    assert dq.read_histogram(kept) == together
    assert report.outputs[-1] == str(kept)
    assert read_files(folder) == sorted([*before, out.name, "kept.npz"])
    dq.make_palette(source, folder / "p.hex", histogram=counts, save_histogram=folder / "q.npz")
    assert (folder / "q.npz").read_bytes() == kept.read_bytes()


def test_counts_grow_in_one_file_and_only_when_the_job_is_done(folder, parts, counts):
    kept = folder / "kept.npz"
    dq.write_histogram(counts, kept)
    before, options = kept.read_bytes(), {"histogram": kept, "save_histogram": kept}
    with pytest.raises(OutputExistsError, match="kept"):
        dq.quantize(folder / "c.png", folder / "o.png", **options, **QUICK)
    flat = np.zeros((3, 3, 3), np.uint8)
    with pytest.raises(PixelFormatError, match="distinct colours"):
        dq.quantize(
            *(flat, folder / "o.png"),
            n_colors=2,
            recolor=["#000", "#fff"],
            save_histogram=kept,
            overwrite=True,
        )
    assert not [name for name in read_files(folder) if name.endswith(".partial")]
    assert kept.read_bytes() == before
    dq.quantize(folder / "c.png", folder / "q.png", overwrite=True, **options, **QUICK)
    assert dq.read_histogram(kept) == counts.merge(ColorHistogram.from_pixels(parts[2]))


def test_a_curve_is_of_all_counts(folder, parts, counts):
    options = {"save_histogram": folder / "kept.npz", "histogram": folder / "a.npz"}
    found = dq.elbow([folder / "c.png", folder / "all" / "b.png"], (2, 5), **options)
    together = counts.merge(ColorHistogram.from_pixels(parts[2]))
    assert found.to_json() == dq.elbow(together, (2, 5)).to_json()
    assert dq.elbow(None, (2, 5), histogram=folder / "kept.npz").to_json() == found.to_json()
    assert (
        dq.elbow(counts, (2, 5), histogram=ColorHistogram.from_pixels(parts[2])).to_json()
        == found.to_json()
    )


def test_one_image_gives_what_it_gave_before_counts_were_saved(folder):
    plain = dq.quantize(folder / "c.png", folder / "o.png", **QUICK)
    saved = dq.quantize(
        folder / "c.png", folder / "p.png", save_histogram=folder / "k.npz", **QUICK
    )
    assert (folder / "o.png").read_bytes() == (folder / "p.png").read_bytes()
    assert plain.to_json() | {"seconds": 0, "peak_rss_bytes": 0, "outputs": 0} == (
        saved.to_json() | {"seconds": 0, "peak_rss_bytes": 0, "outputs": 0}
    )


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"histogram": "a.npz", "per_image": True}, OptionError, "palette for each image"),
        ({"save_histogram": "n.npz", "per_image": True}, OptionError, "palette for each image"),
        ({"histogram": "a.npz", "engine": "scalable"}, OptionError, "the scalable engine"),
        ({"save_histogram": "n.npz", "engine": "dask-ml"}, OptionError, "the dask-ml engine"),
        ({"save_histogram": "a.npz"}, OutputExistsError, "a.npz' exists"),
        ({"save_histogram": "n.txt"}, OptionError, r"must end in \.npz"),
        ({"histogram": "none.npz"}, SourceNotFoundError, "no such file"),
        ({"histogram": "c.png"}, SourceError, r"no archive \(zip\)"),
        ({"histogram": ["a.npz", 3]}, OptionError, "int for histogram"),
        ({"histogram": 3}, OptionError, "int for histogram"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(
    folder, monkeypatch, options, error, text
):
    monkeypatch.chdir(folder)
    before = read_files(folder)
    for call in (dq.quantize, dq.plan_job):
        with pytest.raises(error, match=text) as caught:
            call(folder / "no such image.png", "o.png", **options)
        assert "\n" not in str(caught.value)
    assert read_files(folder) == before


@pytest.mark.parametrize("out", ["same.npz", "o.zarr"])
def test_counts_are_not_kept_where_the_output_goes(folder, out):
    inside = folder / out if out.endswith(".npz") else folder / out / "counts.npz"
    with pytest.raises(OptionError, match="is the output"):
        dq.quantize(folder / "c.png", folder / out, save_histogram=inside)


def test_nothing_at_all_is_refused(folder):
    for call in (
        lambda: dq.make_palette([], folder / "p.hex"),
        lambda: dq.make_palette([], folder / "p.hex", histogram=ColorHistogram.empty()),
        lambda: dq.elbow((), (2, 3)),
    ):
        with pytest.raises(OptionError, match="no SOURCE and no counts"):
            call()
    for call in (
        lambda: dq.quantize(None, folder / "o.png", histogram=folder / "a.npz"),
        lambda: dq.make_palette(None, folder / "p.hex"),
        lambda: dq.elbow(None, (2, 3)),
    ):
        with pytest.raises(OptionError, match="NoneType as a source"):
            call()


@pytest.mark.parametrize("route", ["memory", "chunks", "folder", "none"])
def test_saved_counts_are_in_the_plan(folder, route):
    codes = np.arange(1 << 24, dtype=np.uint32)
    every = ColorHistogram(codes, np.broadcast_to(np.int64(1), codes.shape))
    source = [folder / "c.png"] if route == "folder" else folder / "c.png"
    out = folder / ("out" if route == "folder" else "o.png")
    more = {"chunks": (16, 30)} if route == "chunks" else {}
    if route != "none":
        plain = dq.plan_job(source, out, **more)
        plan = dq.plan_job(source, out, histogram=every, **more)
        added = plan.projected_bytes - plain.projected_bytes
        assert 12 * len(every) + 40 * (len(every) - 4000) < added < 55 * len(every)
        more["cluster"] = dq.ClusterOptions(memory_limit_bytes=plain.projected_bytes)
        with pytest.raises(MemoryBudgetError):
            dq.plan_job(source, out, histogram=every, **more)
    else:
        source = None
        more["cluster"] = dq.ClusterOptions(memory_limit_bytes=900_000_000)
    with pytest.raises(MemoryBudgetError, match="--memory-limit"):
        dq.make_palette(source, folder / "p.hex", histogram=every, **more)
