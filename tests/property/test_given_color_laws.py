"""Law 2 where a user has a say in the colours: chunks do not show in what is written."""

import dask.array as da
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dask_quant as dq
from dask_quant.options import ClusterOptions

GIVEN = {
    "keep": {"n_colors": 6, "keep": ["#ff0000", "#7f8f9f", "#00ff00"]},
    "recolor": {"n_colors": 3, "recolor": "#fff,#f00,#000"},
}


@pytest.mark.parametrize("suffix", [".png", ".zarr"])
@pytest.mark.parametrize("name", GIVEN)
@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chunks=st.tuples(*[st.integers(5, 24)] * 2))
def test_chunks_do_not_show(
    tmp_path_factory, photo, small_units, digest_output, label_oracle, name, suffix, chunks
):
    folder, picture = tmp_path_factory.mktemp("same"), photo[200:224, 300:324].copy()
    options = {**GIVEN[name], "n_init": 1}
    whole = dq.quantize(picture, folder / f"whole{suffix}", **options)
    cut = dq.quantize(
        da.from_array(picture, chunks=(*chunks, 3)),
        folder / f"cut{suffix}",
        cluster=ClusterOptions(scheduler="synchronous"),
        **options,
    )
    assert digest_output(folder / f"cut{suffix}") == digest_output(folder / f"whole{suffix}")
    assert cut.palette == whole.palette
    assert (cut.mse, cut.n_iter) == (whole.mse, whole.n_iter)
    np.testing.assert_array_equal(cut.palette.counts, whole.palette.counts)
    if name == "keep":  # labels are the nearest entries as written
        _, distances = label_oracle(picture, whole.palette.colors)
        assert whole.mse == distances.mean()
