import pickle

import numpy as np
import pytest

from dask_quant.errors import SourceError
from dask_quant.sources.scratch import ScratchImage, open_scratch

STORED = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)

UPRIGHT = {
    1: STORED,
    2: STORED[:, ::-1],
    3: STORED[::-1, ::-1],
    4: STORED[::-1],
    5: STORED.swapaxes(0, 1),
    6: np.rot90(STORED, -1),  # the file is to be turned clockwise
    7: np.rot90(STORED, 2).swapaxes(0, 1),
    8: np.rot90(STORED),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_any_part_is_read_upright(tmp_path, orientation):
    (tmp_path / "pixels.raw").write_bytes(STORED.tobytes())
    image = ScratchImage(str(tmp_path / "pixels.raw"), (5, 7), orientation)
    expected = UPRIGHT[orientation]
    assert image.shape == expected.shape
    for box in (np.s_[0:1, 0:1, 0:3], np.s_[1:4, 0:5, 1:2], np.s_[0:5, 2:4, 0:3]):
        np.testing.assert_array_equal(image[box], expected[box])
    array = open_scratch(pickle.loads(pickle.dumps(image)), chunks=(2, 3))
    np.testing.assert_array_equal(array.compute(scheduler="synchronous"), expected)


def test_a_file_that_is_too_short_is_told(tmp_path):
    (tmp_path / "pixels.raw").write_bytes(STORED.tobytes()[:-1])
    image = ScratchImage(str(tmp_path / "pixels.raw"), (5, 7), 1)
    with pytest.raises(SourceError, match="ends before its last pixel"):
        image[0:5, 0:7, 0:3]
