import io
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image

import dask_quant as dq
from dask_quant.errors import PixelFormatError
from dask_quant.sources.discover import Discovery, Input
from dask_quant.sources.frames import expand_frames
from dask_quant.sources.pillow import count_frames, read_image

SIZE = (12, 9)


def make_frames(number=5):
    """A red square that moves over blue: each frame changes a part of the one before."""
    frames = []
    for place in range(number):
        pixels = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
        pixels[..., 2] = 255
        pixels[2:5, place : place + 3] = (255, 0, 0)
        frames.append(pixels)
    return frames


def save(path, frames, **options):
    first, *rest = [Image.fromarray(frame) for frame in frames]
    if path.suffix == ".webp":
        options["lossless"] = True
    first.save(path, save_all=True, append_images=rest, duration=50, **options)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp"])
def test_frames_are_read_as_they_are_shown(tmp_path, name):
    frames = make_frames()
    path = save(tmp_path / name, frames)
    assert count_frames(path) == 5
    assert dq.describe_images(path)[0].n_frames == 5
    for number in (0, 3, 1, 4, 2):
        assert np.array_equal(read_image(path, frame=number), frames[number])


def test_a_transparent_index_of_a_gif_shows_the_frame_before(tmp_path):
    frames = make_frames()
    path = save(tmp_path / "a.gif", frames, optimize=True, disposal=1)
    assert b"\x21\xf9\x04\x05" in path.read_bytes()  # a frame with a transparent index
    assert np.array_equal(read_image(path, frame=4), frames[4])


def test_pages_of_a_tiff_are_no_frames(tmp_path):
    path = save(tmp_path / "a.tif", make_frames())
    assert count_frames(path) == 1


def test_frames_of_deeper_samples_are_refused():
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(buffer, "PNG")
    with pytest.raises(PixelFormatError, match="mode I;16, of which only the first"):
        read_image(io.BytesIO(buffer.getvalue()), frame=1)


def test_frames_have_places_of_their_own(tmp_path):
    path = str(save(tmp_path / "b.gif", make_frames(2)))
    (tmp_path / "broken.gif").write_bytes(b"GIF89a")
    still = Input(str(tmp_path / "broken.gif"), PurePosixPath("broken.gif"))
    found = Discovery((Input(path, PurePosixPath("a/b.gif")), still), n_ignored=3)
    expanded = expand_frames(found)
    places = [PurePosixPath("a/b-000.gif"), PurePosixPath("a/b-001.gif")]
    assert [entry.relative for entry in expanded.inputs[:2]] == places
    assert [entry.frame for entry in expanded.inputs] == [0, 1, 0]
    assert expanded.inputs[2] == still
    assert expanded.n_ignored == 3


@pytest.mark.parametrize("per_image", [False, True])
def test_all_frames_are_quantized_as_a_collection(tmp_path, read_indexed, per_image):
    frames = make_frames(4)
    path = save(tmp_path / "a.gif", frames)
    options = {"n_colors": 2, "frames": "all", "per_image": per_image}
    plan = dq.plan_job(path, tmp_path / "out", **options)
    report = dq.quantize(path, tmp_path / "out", **options)
    assert report.n_images == plan.n_images == 4
    assert [name[-9:] for name in report.outputs] == [f"a-00{i}.png" for i in range(4)]
    assert report.outputs == plan.outputs
    for name, frame in zip(report.outputs, frames, strict=True):
        assert np.array_equal(read_indexed(name)[2], frame)


def test_a_palette_of_all_frames_holds_what_the_first_has_not(tmp_path):
    frames = [np.full((4, 4, 3), level, dtype=np.uint8) for level in (10, 200)]
    path = save(tmp_path / "a.gif", frames)
    first = dq.make_palette(path, tmp_path / "a.hex", n_colors=1)
    both = dq.make_palette(path, tmp_path / "b.hex", n_colors=2, frames="all")
    assert first.palette.colors.tolist() == [[10, 10, 10]]
    assert sorted(both.palette.colors.tolist()) == [[10, 10, 10], [200, 200, 200]]
    applied = dq.apply_palette(path, tmp_path / "out", both.palette, frames="all")
    assert applied.mse == 0
    assert applied.n_images == 2


def test_all_frames_do_not_fit_one_file(tmp_path):
    path = save(tmp_path / "a.gif", make_frames(3))
    with pytest.raises(dq.OutputError, match="3 images for the one file"):
        dq.quantize(path, tmp_path / "a.png", n_colors=2, frames="all")
    with pytest.raises(dq.OptionError, match="frames 'some'; choose one of first, all"):
        dq.quantize(path, tmp_path / "a.png", n_colors=2, frames="some")
