"""OME-Zarr images by zarr alone, of every version, and by the reference writer, read back."""

import json

import numpy as np
import pytest
import zarr
from ome_zarr.format import FormatV04, FormatV05
from ome_zarr.writer import write_image as write_ome_image

from dask_quant.errors import OptionError, PixelFormatError, SourceError
from dask_quant.options import Page
from dask_quant.pixel_grid import PixelGrid
from dask_quant.sources.reading import list_any_pages
from dask_quant.sources.zarr_store import (
    describe_reading,
    find_zarr_image,
    list_zarr_pages,
    open_zarr,
    open_zarr_samples,
    read_pixel_grid,
    read_zarr_image,
)

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def describe_axes(axes, version):
    if version == "0.3":
        return list(axes)
    named = [{"name": axis, "type": TYPES[axis]} for axis in axes]
    for axis in named:
        if axis["type"] == "space":
            axis["unit"] = "micrometer"
    return named


def write_image(path, levels, axes, version="0.4", extra=None):
    """Write levels of samples as an OME-Zarr image; datasets are called s0, s1, ..."""
    datasets = [
        {
            "path": f"s{number}",
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5 * 2**number if a in "yx" else 1 for a in axes]},
                {"type": "translation", "translation": [3.0 if a in "yx" else 0 for a in axes]},
            ],
        }
        for number in range(len(levels))
    ]
    scales = {"axes": describe_axes(axes, version), "datasets": datasets}
    if version < "0.3":
        del scales["axes"]
    last = [{"type": "scale", "scale": [10.0 if a == "y" else 1.0 for a in axes]}]
    scales |= {"coordinateTransformations": last}
    ome = {"multiscales": [scales]} | (extra or {})
    attributes = ome
    if version == "0.5":
        attributes = {"ome": {"version": version} | ome}
    else:
        scales["version"] = version
    zarr_format = 3 if version == "0.5" else 2
    group = zarr.create_group(path, zarr_format=zarr_format, attributes=attributes)
    for number, samples in enumerate(levels):
        sides = [16 if axis in "yx" else 1 for axis in axes]
        array = group.create_array(
            f"s{number}", shape=samples.shape, dtype=samples.dtype, chunks=sides
        )
        array[...] = samples
    return path


def put_axes(pixels, axes):
    """Return ``(y, x, c)`` pixels with these axes; those that it lacks have a length of 1."""
    order = [axis for axis in axes if axis in "cyx"]
    moved = pixels.transpose(["yxc".index(axis) for axis in order])
    return moved[tuple(slice(None) if axis in "cyx" else None for axis in axes)]


@pytest.mark.parametrize(
    ("version", "axes"),
    [("0.1", "tczyx"), ("0.3", "tcyx"), ("0.4", "tczyx"), ("0.4", "cyx"), ("0.5", "czyx"),
     ("0.5", "yxc"), ("0.5", "tczyx")],
)  # fmt: skip
def test_three_channels_of_8_bits_are_colors(tmp_path, version, axes):
    levels = [put_axes(PIXELS, axes), put_axes(PIXELS[::2, ::2], axes)]
    path = write_image(tmp_path / "a.zarr", levels, axes, version)
    assert np.array_equal(read_zarr_image(path), PIXELS)
    image = open_zarr(path, chunks=(16, 32))
    assert np.array_equal(image[3:33, 7:40].compute(scheduler="synchronous"), PIXELS[3:33, 7:40])
    small = open_zarr(path, page=Page(level=1)).compute(scheduler="synchronous")
    assert np.array_equal(small, PIXELS[::2, ::2])
    assert "3 channels of" in describe_reading(path)
    # A level can be named as well, and what is said of the image holds.
    assert np.array_equal(read_zarr_image(path / "s1"), PIXELS[::2, ::2])


@pytest.mark.parametrize("axes", ["yx", "cyx", "tczyx"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_one_channel_is_grey(tmp_path, axes, dtype):
    grey = PIXELS[..., :1].astype(dtype) * (257 if dtype == "u2" else 1)
    samples = put_axes(grey, axes) if "c" in axes else grey[..., 0]
    path = write_image(tmp_path / "a.zarr", [samples], axes)
    assert np.array_equal(read_zarr_image(path), np.dstack([PIXELS[..., 0]] * 3))
    assert describe_reading(path) is None


@pytest.mark.parametrize(("n_channels", "dtype"), [(2, "u1"), (4, "u1"), (3, "u2"), (7, "f4")])
def test_other_channels_are_signals_that_segment_takes(tmp_path, n_channels, dtype):
    samples = np.ones((1, n_channels, 1, 40, 60), dtype)
    samples[0, :, 0, 5, 6] = range(n_channels)
    path = write_image(tmp_path / "a.zarr", [samples], "tczyx")
    message = r"use segment" if n_channels > 2 and n_channels < 5 else r"shape must be|use segment"
    with pytest.raises(PixelFormatError, match=message):
        find_zarr_image(path)
    taken, _, _ = open_zarr_samples(path)
    assert taken.shape == (40, 60, n_channels)
    assert taken[5, 6].compute(scheduler="synchronous").tolist() == list(range(n_channels))


def test_levels_are_counted_from_the_full_resolution(tmp_path):
    path = write_image(tmp_path / "a.zarr", [PIXELS[..., 0], PIXELS[::2, ::2, 0]], "yx")
    assert find_zarr_image(path, page=Page(level=1)).shape == (20, 30)
    for level in (2, 9):
        with pytest.raises(OptionError, match=rf"level {level} .* levels are 0 to 1"):
            find_zarr_image(path, page=Page(level=level))


def test_levels_and_pictures_are_listed(tmp_path):
    samples = [np.zeros((2, 1, 3, 40 >> level, 61 >> level), "u1") for level in range(3)]
    path = write_image(tmp_path / "a.zarr", samples, "tczyx")
    expected = (6, ((40, 61), (20, 30), (10, 15)))
    assert list_zarr_pages(path) == expected
    assert list_zarr_pages(path, page=Page(number=5, level=2)) == expected
    # An array that is named itself has no other level to choose.
    assert list_any_pages(path / "s1") == (6, ((20, 30),))
    (path / "s2" / ".zarray").write_text("{}")
    with pytest.raises(SourceError, match="level 2 does not open"):
        list_zarr_pages(path)


def test_scales_and_units_are_read(tmp_path):
    levels = [put_axes(PIXELS, "tczyx"), put_axes(PIXELS[::2, ::2], "tczyx")]
    path = write_image(tmp_path / "a.zarr", levels, "tczyx", "0.5")
    units = ("micrometer", "micrometer")
    assert read_pixel_grid(path) == PixelGrid((5.0, 0.5), (30.0, 3.0), units)
    assert read_pixel_grid(path, page=Page(level=1)) == PixelGrid((10.0, 1.0), (30.0, 3.0), units)
    plain = tmp_path / "plain.zarr"
    zarr.create_array(plain, shape=(4, 5), dtype="u1")
    assert read_pixel_grid(plain) == PixelGrid()


@pytest.mark.parametrize("ome_format", [FormatV04(), FormatV05()], ids=["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "cyx", "tczyx"])
def test_what_the_reference_writer_writes_is_read(tmp_path, ome_format, axes):
    samples = put_axes(PIXELS, axes) if "c" in axes else PIXELS[..., 0]
    path = tmp_path / "a.zarr"
    write_ome_image(
        *(samples, str(path)),
        axes=axes,
        fmt=ome_format,
        scale_factors=[2],
        scale={axis: {"y": 0.5, "x": 0.25}.get(axis, 1.0) for axis in axes},
        axes_units={"y": "micrometer", "x": "nanometer"},
    )
    expected = PIXELS if "c" in axes else np.dstack([PIXELS[..., 0]] * 3)
    assert np.array_equal(read_zarr_image(path), expected)
    assert read_pixel_grid(path).scale == (0.5, 0.25)
    assert read_pixel_grid(path).units == ("micrometer", "nanometer")
    smaller = open_zarr(path, page=Page(level=1)).compute(scheduler="synchronous")
    assert smaller.shape == (20, 30, 3)
    stored = zarr.open_array(sorted(each for each in path.iterdir() if each.is_dir())[1], mode="r")
    shown = stored[:].reshape(-1, 20, 30)
    assert np.array_equal(smaller, np.broadcast_to(np.moveaxis(shown, 0, 2), (20, 30, 3)))
    assert read_pixel_grid(path, page=Page(level=1)).scale == (1.0, 0.5)


def make_plate(path, zarr_format, n_fields):
    def attributes(value):
        return {"ome": {"version": "0.5"} | value} if zarr_format == 3 else value

    wells = [{"path": f"{row}/{column}"} for row in "AB" for column in "12345"]
    plate = zarr.create_group(
        path, zarr_format=zarr_format, attributes=attributes({"plate": {"wells": wells}})
    )
    for well in wells:
        images = [{"path": str(number)} for number in range(n_fields)]
        plate.create_group(well["path"], attributes=attributes({"well": {"images": images}}))
    write_image(path / "A" / "1" / "0", [PIXELS], "yxc", "0.5" if zarr_format == 3 else "0.4")
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_plate_is_refused_with_the_names_of_what_is_inside(tmp_path, zarr_format):
    path = make_plate(tmp_path / "p.zarr", zarr_format, 2)
    with pytest.raises(SourceError, match=r"p.zarr/A/1, .*p.zarr/A/4 and 6 more\.$") as caught:
        find_zarr_image(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match=r"a well of fields.*A/1/0, .*A/1/1\.$"):
        find_zarr_image(path / "A" / "1")
    assert np.array_equal(read_zarr_image(path / "A" / "1" / "0"), PIXELS)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_series_are_named_and_one_alone_is_taken(tmp_path, zarr_format):
    layout = {"bioformats2raw.layout": 3}
    attributes = {"ome": {"version": "0.5"} | layout} if zarr_format == 3 else layout
    version = "0.5" if zarr_format == 3 else "0.4"
    group = zarr.create_group(tmp_path / "s.zarr", zarr_format=zarr_format, attributes=attributes)
    write_image(tmp_path / "s.zarr" / "0", [put_axes(PIXELS, "tczyx")], "tczyx", version)
    group.create_group("OME")
    assert np.array_equal(read_zarr_image(tmp_path / "s.zarr"), PIXELS)
    assert f"3 channels of {tmp_path}/s.zarr/0 as" in describe_reading(tmp_path / "s.zarr")
    write_image(tmp_path / "s.zarr" / "1", [put_axes(PIXELS, "tczyx")], "tczyx", version)
    with pytest.raises(SourceError, match=r"collection of images.*s.zarr/0, .*s.zarr/1\.$"):
        find_zarr_image(tmp_path / "s.zarr")
    assert np.array_equal(read_zarr_image(tmp_path / "s.zarr" / "1"), PIXELS)


def test_labels_are_no_picture(tmp_path):
    path = write_image(tmp_path / "a.zarr", [PIXELS[..., 0]], "yx", extra={"image-label": {}})
    with pytest.raises(PixelFormatError, match="holds labels, not pixels"):
        find_zarr_image(path)


@pytest.mark.parametrize(
    "multiscales",
    [[{}], [{"datasets": []}], "words", [{"datasets": [{"path": "none"}]}], [{"datasets": [5]}],
     {"datasets": 3}, [{"axes": [{}], "datasets": [{"path": "s0"}]}]],
)  # fmt: skip
def test_damaged_metadata_are_one_line(tmp_path, multiscales):
    path = write_image(tmp_path / "a.zarr", [PIXELS[..., 0]], "yx")
    (path / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    with pytest.raises((SourceError, PixelFormatError), match=r"a\.zarr") as caught:
        find_zarr_image(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "transforms", [[{"type": "scale"}], [{"type": "scale", "scale": [1]}], [3]]
)
def test_damaged_scales_are_one_line(tmp_path, transforms):
    path = write_image(tmp_path / "a.zarr", [PIXELS[..., 0]], "yx")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"] = transforms
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(SourceError, match="scales are damaged"):
        read_pixel_grid(path)


def test_a_group_of_arrays_names_them(tmp_path):
    group = zarr.create_group(tmp_path / "g.zarr")
    for name in ("red", "blue"):
        group.create_array(name, shape=(4, 5), dtype="u1")
    with pytest.raises(SourceError, match="name one of its arrays: blue, red"):
        find_zarr_image(tmp_path / "g.zarr")


@pytest.mark.parametrize("text", ["[]", '"0"', "false"])
def test_attributes_that_are_no_object_are_refused_in_one_line(tmp_path, text):
    write_image(tmp_path / "a.zarr", [PIXELS], "yxc")
    (tmp_path / "a.zarr" / "s0" / ".zattrs").write_text(text)
    for read in (open_zarr, open_zarr_samples, describe_reading, read_pixel_grid):
        with pytest.raises(SourceError, match=r"a\.zarr: it is not a Zarr store that opens"):
            read(tmp_path / "a.zarr")
