import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from PIL import Image

import dask_quant as dq
from dask_quant.errors import (
    FewerColorsWarning,
    FitError,
    OptionError,
    OutputError,
    PaletteError,
    PixelFormatError,
    SourceNotFoundError,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
GREY = PIXELS[..., 0]
PALETTE = dq.Palette([[0, 0, 0], [255, 255, 255], [200, 30, 30]])


@pytest.fixture
def refuse_to_compute():
    """A scheduler that fails whatever computes."""

    def refuse(*_, **__):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        yield


def forms(pixels):
    """One image in every form that an image may have."""
    chunks = (*((7, 11, 22), (60,)), *((3,),) * (pixels.ndim - 2))
    return {
        "NumPy": pixels,
        "Dask": da.from_array(pixels, chunks=chunks),
        "Dask, bands apart": da.from_array(pixels, chunks=(40, 60, 1)[: pixels.ndim]),
        "strided": np.repeat(pixels, 2, axis=0)[::2],
        "Fortran": np.asfortranarray(pixels),
    }


@pytest.mark.parametrize("form", forms(PIXELS))
def test_every_form_of_an_image_gives_the_same(form, count_oracle, label_oracle):
    image = forms(PIXELS)[form]
    assert dq.count_colors(image) == dq.ColorHistogram.from_pixels(PIXELS)
    assert dq.fit_palette(image, 5, n_init=1) == dq.fit_palette(PIXELS, 5, n_init=1)
    labels = dq.relabel(image, PALETTE)
    assert isinstance(labels, da.Array)
    np.testing.assert_array_equal(labels.compute(), label_oracle(PIXELS, PALETTE.colors)[0])


@pytest.mark.parametrize("form", forms(GREY))
def test_greyscale_counts_as_three_equal_bands(form):
    image = forms(GREY)[form]
    assert dq.count_colors(image) == dq.ColorHistogram.from_pixels(np.stack([GREY] * 3, axis=-1))
    palette = dq.fit_palette(image, 4, n_init=1)
    assert (palette.colors == palette.colors[:, :1]).all()
    assert dq.relabel(image, palette).shape == GREY.shape


def test_files_and_stores_are_images(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    zarr.create_array(tmp_path / "a.zarr", data=PIXELS, chunks=(16, 16, 3))
    for source in ("a.png", "a.zarr"):
        assert dq.count_colors(tmp_path / source) == dq.count_colors(PIXELS)
        assert dq.count_colors(str(tmp_path / source)) == dq.count_colors(PIXELS)


def test_lazy_functions_compute_nothing(tmp_path, refuse_to_compute, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    zarr.create_array(tmp_path / "a.zarr", data=PIXELS, chunks=(16, 16, 3))
    monkeypatch.setattr("dask_quant.sources.opening.read_image", None)
    for image in (tmp_path / "a.png", tmp_path / "a.zarr", *forms(PIXELS).values()):
        opened = dq.open_image(image)
        labels = dq.relabel(opened, PALETTE)
        picture = dq.render(labels, PALETTE)
        assert picture.shape == PIXELS.shape
        assert dq.relabel(image, PALETTE).dtype == np.uint8
    dq.render(GREY % 3, PALETTE)
    with pytest.raises(AssertionError, match="was computed"):
        picture.compute()


def test_a_histogram_is_as_good_as_its_image():
    histogram = dq.count_colors(PIXELS)
    for k in (1, 6):
        from_histogram = dq.fit_palette(histogram, k, seed=4, n_init=1)
        assert from_histogram == dq.fit_palette(PIXELS, k, seed=4, n_init=1)
        assert from_histogram.counts.sum() == GREY.size


def test_seeds_repeat_and_differ():
    fits = [dq.fit_palette(PIXELS, 12, seed=seed, n_init=1) for seed in (1, 1, 2, 3)]
    assert fits[0] == fits[1]
    assert any(fit != fits[0] for fit in fits[2:])


def test_fewer_colors_are_a_warning_and_all_of_them_come_back():
    image = np.array([[[1, 2, 3], [9, 9, 9], [9, 9, 9]]], dtype=np.uint8)
    for data in (image, dq.count_colors(image)):
        with pytest.warns(FewerColorsWarning, match="3 colours were asked for, .* only 2"):
            palette = dq.fit_palette(data, 3)
        assert list(palette) == [(9, 9, 9), (1, 2, 3)]
    dq.fit_palette(image, 2)  # as many as there are: no warning


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(FitError):
        dq.fit_palette(dq.ColorHistogram.empty(), 3)
    for engine in ("scalable", "dask-ml"):
        with pytest.raises(OptionError, match=f"histogram for the {engine} engine"):
            dq.fit_palette(dq.count_colors(PIXELS), 3, engine=engine)
    with pytest.raises(OptionError):
        dq.fit_palette(PIXELS, 0)
    with pytest.raises(OptionError):
        dq.fit_palette(PIXELS, 3, engine="other")
    with pytest.raises(SourceNotFoundError):
        dq.count_colors("nowhere.png")
    for wrong in (PIXELS.astype(float), PIXELS[..., :2], PIXELS[None], [[[1, 2, 3]]]):
        with pytest.raises(PixelFormatError):
            dq.count_colors(wrong)


def test_rendering_is_indexing():
    labels = (GREY % 3).astype(np.int64)
    for given in (labels, da.from_array(labels, chunks=(7, 13))):
        picture = dq.render(given, PALETTE)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture.compute(), PALETTE.colors[labels])
    with pytest.raises(PixelFormatError):
        dq.render(PIXELS, PALETTE)
    with pytest.raises(PixelFormatError):
        dq.render(GREY.astype(float), PALETTE)


@pytest.mark.parametrize("chunks", [-1, (7, 13), (40, 1), ((1, 38, 1), (59, 1))])
@pytest.mark.parametrize("name", ["o.png", "o.zarr"])
def test_labels_of_odd_chunks_and_types_are_written(tmp_path, small_units, chunks, name):
    labels = (GREY % 3).astype(np.int32)
    events = []
    n_bytes = dq.write(
        da.from_array(labels, chunks=chunks),
        tmp_path / name,
        palette=PALETTE,
        listener=events.append,
    )
    assert n_bytes > 0
    assert events[-1].done == events[-1].total
    if name == "o.zarr":
        written = zarr.open_group(tmp_path / name, mode="r")["0"][...]
    else:
        written = np.asarray(Image.open(tmp_path / name))
    assert written.dtype == np.uint8
    np.testing.assert_array_equal(written, labels)


def test_16_bit_labels_go_to_zarr_and_not_to_png(tmp_path, small_units):
    codes = np.arange(700)
    palette = dq.Palette(np.stack([codes * 91 % 256, codes * 37 % 256, codes // 3], axis=1))
    labels = dq.relabel(da.from_array(PIXELS, chunks=(9, 60, 3)), palette)
    dq.write(labels, tmp_path / "o.zarr", palette=palette)
    written = zarr.open_group(tmp_path / "o.zarr", mode="r")["0"][...]
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(written, labels.compute())
    assert dq.read_palette(tmp_path / "o.zarr") == palette
    with pytest.raises(OutputError, match="256"):
        dq.write(labels, tmp_path / "o.png", palette=palette)
    assert [path.name for path in tmp_path.iterdir()] == ["o.zarr"]


@pytest.mark.parametrize("wrong", [3, 255, 256, 300, -1])
@pytest.mark.parametrize("name", ["o.png", "o.zarr"])
def test_labels_beyond_the_palette_are_refused(tmp_path, wrong, name):
    labels = np.zeros((5, 6), dtype=np.int64)
    labels[4, 5] = wrong
    with pytest.raises(PixelFormatError, match=r"those of a palette of 3 colours are 0 to 2"):
        dq.write(labels, tmp_path / name, palette=PALETTE)
    assert list(tmp_path.iterdir()) == []


def test_other_labels_and_outputs_are_refused(tmp_path):
    for labels in (PIXELS, GREY.astype(float)):
        with pytest.raises(PixelFormatError):
            dq.write(labels, tmp_path / "o.png", palette=PALETTE)
    for name in ("o.jpg", "o.bmp", "o", "o.npy"):
        with pytest.raises(OutputError):
            dq.write(GREY % 3, tmp_path / name, palette=PALETTE)
    assert list(tmp_path.iterdir()) == []


def test_counting_tells_how_far_it_is():
    events = []
    dq.count_colors(da.from_array(PIXELS, chunks=(10, 60, 3)), listener=events.append)
    assert [(e.stage, e.done, e.total, e.unit) for e in events] == [
        ("count", 600 * i, 2400, "px") for i in range(5)
    ]


def test_labels_may_be_lists(tmp_path):
    labels = [[0, 1, 2], [2, 1, 0]]
    picture = dq.render(labels, PALETTE).compute()
    np.testing.assert_array_equal(picture, PALETTE.colors[np.array(labels)])
    dq.write(labels, tmp_path / "o.png", palette=PALETTE)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "o.png")), labels)
    for wrong in ([[0, 1], [2]], [0, 1], [["a"]], [[0.5]], "labels", None):
        with pytest.raises(PixelFormatError, match="labels"):
            dq.render(wrong, PALETTE)
        with pytest.raises(PixelFormatError, match="labels"):
            dq.write(wrong, tmp_path / "p.png", palette=PALETTE)
    with pytest.raises(OptionError, match="for out; use a path"):
        dq.write(labels, None, palette=PALETTE)


def test_palettes_may_be_lists_of_colors(tmp_path):
    colors = PALETTE.colors.tolist()
    labels = dq.relabel(PIXELS, colors).compute()
    np.testing.assert_array_equal(labels, dq.relabel(PIXELS, PALETTE).compute())
    np.testing.assert_array_equal(dq.render(labels, colors), dq.render(labels, PALETTE))
    dq.write(labels, tmp_path / "o.png", palette=colors)
    assert dq.read_palette(tmp_path / "o.png") == PALETTE
    for wrong in ("warm.gpl", [[0, 0]], [[0, 0, 0], [1]], [[0, 0, 300]], None):
        with pytest.raises(PaletteError, match=r"^Got "):
            dq.relabel(PIXELS, wrong)


@pytest.mark.parametrize("chunks", [((0, 60), (80,)), ((60, 0), (80,)), ((60,), (0, 80, 0))])
@pytest.mark.parametrize("name", ["o.png", "o.zarr"])
def test_empty_chunks_hold_nothing_and_do_no_harm(tmp_path, chunks, name):
    labels = np.random.default_rng(0).integers(0, 3, (60, 80))
    dq.write(da.from_array(labels, chunks=chunks), tmp_path / name, palette=PALETTE)
    if name == "o.zarr":
        written = zarr.open_group(tmp_path / name, mode="r")["0"][...]
    else:
        written = np.asarray(Image.open(tmp_path / name))
    np.testing.assert_array_equal(written, labels)


def test_images_are_opened_in_chunks_of_one_size_or_two(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    zarr.create_array(tmp_path / "a.zarr", data=PIXELS, chunks=(16, 16, 3))
    for source in (PIXELS, da.from_array(PIXELS), tmp_path / "a.png", tmp_path / "a.zarr"):
        assert dq.open_image(source, chunks=25).chunks == ((25, 15), (25, 25, 10), (3,))
        assert dq.open_image(source, chunks=(40, 30)).chunks == ((40,), (30, 30), (3,))
        for wrong in (0, "25", (1, 2, 3), 2.5, (5, None)):
            with pytest.raises(OptionError, match=r"^Got chunks"):
                dq.open_image(source, chunks=wrong)
