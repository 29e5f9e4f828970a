"""Every file that labels are written to, read back by readers that are not ours."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from dask_quant.errors import OutputError
from dask_quant.palette import Palette
from dask_quant.sinks.atomic import write_file_atomically
from dask_quant.sinks.label_file import (
    FILE_SUFFIXES,
    check_color_number,
    check_image_shape,
    encode_labels,
    plan_label_file,
)

SIZES = [1, 2, 3, 16, 17, 255, 256]
LARGE = [257, 65536]
SHAPES = [(1, 1), (1, 700), (700, 1), (513, 511)]


def make_palette(n_colors):
    """Distinct colours in an order that nothing sorts by."""
    codes = np.random.default_rng(n_colors).permutation(1 << 17)[:n_colors] * 127 % (1 << 24)
    return Palette(np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1))


def make_labels(shape, palette):
    """Labels in runs and speckles, that of the last colour among them."""
    rng = np.random.default_rng(shape[0])
    labels = np.add.outer(np.arange(shape[0]) // 7, np.arange(shape[1]) // 5) % len(palette)
    labels[rng.random(shape) < 0.2] = len(palette) - 1
    return labels.astype(palette.label_dtype)


def write(path, labels, palette):
    return write_file_atomically(path, encode_labels(labels, palette, path), overwrite=False)


def read_with_pillow(path):
    with Image.open(path) as image:
        colors = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
        return np.asarray(image), colors


def read_with_numpy(path):
    with np.load(path) as arrays:
        assert set(arrays) == {"labels", "palette"}
        return arrays["labels"], arrays["palette"]


def read_with_tifffile(path):
    with tifffile.TiffFile(path) as file:
        table = file.pages[0].colormap
        assert (table % 257 == 0).all()
        return file.asarray(), (table // 257).astype(np.uint8).T


READERS = [
    *[(suffix, read_with_pillow, SIZES) for suffix in (".png", ".gif", ".tif", ".tiff")],
    (".tif", read_with_tifffile, SIZES + LARGE),
    (".npz", read_with_numpy, SIZES + LARGE),
]


@pytest.mark.parametrize(("suffix", "read", "sizes"), READERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_files_read_back_equal(tmp_path, suffix, read, sizes, shape):
    for n_colors in sizes:
        palette = make_palette(n_colors)
        labels = make_labels(shape, palette)
        path = tmp_path / f"{n_colors}{suffix}"
        n_bytes = write(path, labels, palette)
        found, colors = read(path)
        np.testing.assert_array_equal(found, labels)
        np.testing.assert_array_equal(colors[:n_colors], palette.colors)
        assert n_bytes == path.stat().st_size


@pytest.mark.parametrize("suffix", FILE_SUFFIXES)
@pytest.mark.parametrize("shape", [(50, 70), (1, 70), (70, 1), (33, 16)])
def test_parts_give_the_bytes_of_the_whole(tmp_path, suffix, shape, small_units):
    palette = make_palette(9)
    labels = make_labels(shape, palette)
    file = plan_label_file(Path(f"a{suffix}"), shape, labels.dtype, 9)
    rows, columns = file.unit
    for top in reversed(range(0, shape[0], rows)):
        for left in range(0, shape[1], columns):
            block = labels[top : top + rows, left : left + columns]
            assert file.put(tmp_path, block, (top, left)) == block.size
    joined = b"".join(file.join(tmp_path, palette))
    assert joined == b"".join(file.encode(labels, palette))


@pytest.mark.parametrize("suffix", FILE_SUFFIXES)
@pytest.mark.parametrize("harm", [lambda data: data[:-1], lambda data: b"\xff" + data[1:]])
def test_an_altered_part_is_found(tmp_path, suffix, harm, small_units):
    palette = make_palette(9)
    labels = make_labels((50, 70), palette)
    file = plan_label_file(Path(f"a{suffix}"), (50, 70), labels.dtype, 9)
    file.put(tmp_path, labels, (0, 0))
    part = max(path for path in tmp_path.iterdir() if "partial" not in path.name)
    part.write_bytes(harm(part.read_bytes()))
    with pytest.raises(OutputError, match="torn part"):
        b"".join(file.join(tmp_path, palette))


@pytest.mark.parametrize(
    ("name", "n_colors", "hint"), [("a.png", 257, ".zarr"), ("a.GIF", 257, ".tif")]
)
def test_too_many_colors_are_refused_with_a_way_out(name, n_colors, hint):
    check_color_number(Path(name), 256)
    with pytest.raises(OutputError, match=rf"Got {n_colors} colours.*256.*\{hint}"):
        check_color_number(Path(name), n_colors)


@pytest.mark.parametrize("shape", [(1, 65536), (65536, 1), (8193, 8192)])
def test_an_image_too_large_for_gif_is_refused_with_numbers(shape):
    check_image_shape(Path("a.gif"), (8192, 8192))
    check_image_shape(Path("a.gif"), (1, 65535))
    check_image_shape(Path("a.png"), shape)
    with pytest.raises(OutputError, match=rf"{shape[1]} x {shape[0]}.*65535.*67,108,864"):
        check_image_shape(Path("a.gif"), shape)


def test_an_image_without_pixels_is_refused():
    with pytest.raises(OutputError, match="at least one pixel"):
        plan_label_file(Path("a.tif"), (0, 5), np.dtype(np.uint8), 3)
    with pytest.raises(OutputError, match="2147483647 a side"):
        plan_label_file(Path("a.tif"), (1, 2**31), np.dtype(np.uint8), 3)
