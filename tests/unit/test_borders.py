"""Borders of labels: where they are, of which arrays, and painted into a picture."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import dask_quant as dq
from dask_quant.borders import label_borders, mark_borders
from dask_quant.errors import OptionError, PixelFormatError

BLOBS = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [0, 2, 2, 1]])

BLOB_BORDERS = np.array([[0, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]], dtype=bool)


def find_naively(labels):
    """Borders pixel by pixel, from the words of the convention."""
    height, width = labels.shape
    borders = np.zeros(labels.shape, dtype=bool)
    for y in range(height):
        for x in range(width):
            right = x + 1 < width and labels[y, x] != labels[y, x + 1]
            below = y + 1 < height and labels[y, x] != labels[y + 1, x]
            borders[y, x] = right or below
    return borders


def test_the_oracle_marks_the_left_and_the_upper_side_of_a_change():
    np.testing.assert_array_equal(find_naively(BLOBS), BLOB_BORDERS)


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", "u4", "u8", "i1", "i4", "i8", ">i4", ">u2"], ids=lambda name: name
)
def test_labels_may_be_any_integers(dtype):
    labels = np.random.default_rng(3).integers(0, 3, (9, 40)).astype(dtype)
    if np.iinfo(dtype).min < 0:
        labels = -labels
    borders = dq.find_borders(labels)
    assert type(borders) is np.ndarray
    assert borders.dtype == bool
    np.testing.assert_array_equal(borders, find_naively(labels))


def test_a_mask_has_borders():
    np.testing.assert_array_equal(dq.find_borders(BLOBS == 2), find_naively(BLOBS == 2))


@pytest.mark.parametrize("order", ["C", "F", "step", "read-only"])
def test_the_layout_in_memory_does_not_matter(order):
    labels = np.random.default_rng(5).integers(0, 3, (12, 14)).astype(np.uint8)
    given = {
        "C": labels.copy(),
        "F": np.asfortranarray(labels),
        "step": np.repeat(np.repeat(labels, 2, axis=0), 3, axis=1)[::2, ::3],
        "read-only": labels.copy(),
    }[order]
    given.setflags(write=order != "read-only")
    np.testing.assert_array_equal(dq.find_borders(given), find_naively(labels))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (0, 5), (5, 0), (0, 0)])
def test_thin_and_empty_images_have_borders_of_their_shape(shape):
    labels = np.arange(np.prod(shape)).reshape(shape) // 2
    expected = find_naively(labels)
    np.testing.assert_array_equal(dq.find_borders(labels), expected)
    np.testing.assert_array_equal(dq.find_borders(da.from_array(labels)).compute(), expected)


def test_every_change_is_marked_once_by_one_pixel():
    labels = np.repeat([[0, 1, 2]], 4, axis=0).repeat(5, axis=1)
    borders = dq.find_borders(labels)
    assert borders.sum(axis=1).tolist() == [2] * 4


def test_the_thick_boundaries_of_scikit_image_hold_these():
    segmentation = pytest.importorskip("skimage.segmentation")
    labels = np.random.default_rng(0).integers(0, 3, (5, 6)).repeat(4, axis=0).repeat(3, axis=1)
    thick = segmentation.find_boundaries(labels, connectivity=1, mode="thick")
    borders = dq.find_borders(labels)
    assert (thick | ~borders).all()
    # Turned by half a turn, they mark the other side; both together are the thick ones.
    np.testing.assert_array_equal(borders | dq.find_borders(labels[::-1, ::-1])[::-1, ::-1], thick)


def test_a_data_array_keeps_its_coordinates():
    labels = xr.DataArray(
        BLOBS, dims=("lat", "lon"), coords={"lat": [3, 2, 1]}, name="classes", attrs={"a": 1}
    )
    borders = dq.find_borders(labels)
    assert (borders.dims, borders.name, borders.attrs) == (labels.dims, "borders", {})
    assert borders.lat.equals(labels.lat)
    np.testing.assert_array_equal(borders, BLOB_BORDERS)
    lazy = dq.find_borders(labels.chunk({"lat": 2}))
    assert lazy.chunks == ((2, 1), (4,))
    np.testing.assert_array_equal(lazy, BLOB_BORDERS)


def test_neighbours_that_are_given_count():
    borders = mark_borders(np.ones((2, 2), dtype=int), np.array([[1, 3]]), np.array([[5], [1]]))
    assert borders.tolist() == [[False, True], [False, True]]


def test_borders_are_labels_of_black_on_white():
    labels = label_borders(BLOBS)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, BLOB_BORDERS)


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        (np.zeros((3, 3)), "float64"),
        (np.zeros((3, 3, 3), dtype=int), r"\(3, 3, 3\)"),
        (np.zeros(3, dtype=int), r"\(3,\)"),
        (da.zeros((3, 3)), "float64"),
        ([[1, 2], [3]], "ragged"),
        ("labels.png", "<U10"),
    ],
    ids=str,
)
def test_what_is_no_label_image_is_refused_in_one_line(labels, shown):
    with pytest.raises(PixelFormatError, match=shown) as caught:
        dq.find_borders(labels)
    assert "\n" not in str(caught.value)


def test_labels_of_unknown_shape_are_refused():
    labels = da.from_array(BLOBS, chunks=(1, 4))
    with pytest.raises(PixelFormatError, match="compute_chunk_sizes"):
        dq.find_borders(labels[da.from_array(np.array([True, False, True]))])


@pytest.mark.parametrize("color", ["#ff0080", (255, 0, 128), np.array([255, 0, 128])], ids=str)
def test_render_paints_borders_in_a_colour(color):
    palette = np.array([[9, 9, 9], [80, 80, 80], [255, 255, 255]])
    lazy = dq.render(da.from_array(BLOBS, chunks=(2, 3)), palette, outline=color)
    assert lazy.chunks == ((2, 1), (3, 1), (3,))
    assert lazy.dtype == np.uint8
    expected = palette[BLOBS]
    expected[BLOB_BORDERS] = [255, 0, 128]
    np.testing.assert_array_equal(lazy.compute(), expected)
    np.testing.assert_array_equal(dq.render(BLOBS, palette), palette[BLOBS])


def test_render_refuses_what_is_no_colour():
    with pytest.raises(OptionError, match="'blackish' for outline"):
        dq.render(BLOBS, np.eye(3, dtype=int), outline="blackish")


def test_the_outline_of_a_picture_is_lazy():
    def refuse(*_, **__):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        dq.render(da.from_array(BLOBS, chunks=2), np.eye(3, dtype=int), outline="#000000")
