"""Law 10: every input is written or quarantined; what is no image is counted as ignored."""

import warnings
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from outputs import list_outputs
from PIL import Image

import dask_quant as dq
from dask_quant.errors import FewerColorsWarning, JobError

KINDS = ("good", "torn", "empty", "text as image", "text", "hidden", "misnamed")


def make_file(folder, kind, number):
    """Write a file of this kind; return its path when it counts as an input."""
    pixels = np.random.default_rng(number).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    name = {"text": "txt", "misnamed": "dat"}.get(kind, "png")
    prefix = "." if kind == "hidden" else ""
    path = folder / f"{prefix}{kind.split()[0]}{number}.{name}"
    Image.fromarray(pixels).save(path, format="PNG")
    if kind == "torn":
        path.write_bytes(path.read_bytes()[:90])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind.startswith("text"):
        path.write_text("no image at all, only words")
    return path


@settings(max_examples=12)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=9),
    per_image=st.booleans(),
)
def test_every_input_is_accounted_for(tmp_path_factory, kinds, per_image):
    root = tmp_path_factory.mktemp("all")
    (root / "in" / "sub").mkdir(parents=True)
    paths = [
        (make_file(root / "in" / ("sub" if i % 2 else ""), kind, i), kind)
        for i, kind in enumerate(kinds)
    ]
    good = {path for path, kind in paths if kind in ("good", "misnamed")}
    broken = {path for path, kind in paths if kind in ("torn", "empty", "text as image")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FewerColorsWarning)
            report = dq.quantize(root / "in", root / "out", n_colors=4, per_image=per_image)
    except JobError:
        assert broken
        assert not good
        return
    except dq.SourceNotFoundError:
        assert not broken
        assert not good
        return
    written = list_outputs(root / "out")
    assert {Path(name).stem for name in written} == {path.stem for path in good}
    assert report.n_images == len(good)
    assert {q.path for q in report.quarantined} == set(map(str, broken))
    assert report.n_ignored == len(paths) - len(good) - len(broken)
