from types import SimpleNamespace

import pytest

from dask_quant.errors import ClusterError
from dask_quant.scaling import count_side_by_side, scale_cluster


class Scaling:
    """A cluster that notes how it is told to scale, or refuses."""

    def __init__(self, error=None):
        self.told, self.error = [], error

    def adapt(self, **bounds):
        self.told.append(bounds)
        if self.error is not None:
            raise self.error


class WithoutTemplate(Scaling):
    """One that has no way to start a worker."""

    _supports_scaling = False


class Fixed:
    """One that never heard of scaling."""


def client_of(cluster, n_threads=()):
    return SimpleNamespace(
        cluster=cluster,
        scheduler=SimpleNamespace(address="tcp://127.0.0.1:9"),
        nthreads=lambda: dict(enumerate(n_threads)),
    )


def test_a_cluster_is_told_its_bounds_in_the_words_that_all_know():
    cluster = Scaling()
    scale_cluster(client_of(cluster), 0, 4)
    assert cluster.told == [{"minimum": 0, "maximum": 4}]


@pytest.mark.parametrize(
    ("cluster", "words"),
    [
        (None, "tcp://127.0.0.1:9, which has no cluster to scale; give the client of a cluster"),
        (Fixed(), "a Fixed, which cannot scale; leave adapt out"),
        (WithoutTemplate(), "a WithoutTemplate, which cannot scale; leave adapt out"),
        (Scaling(NotImplementedError()), "refused .*: NotImplementedError; leave adapt out"),
        (Scaling(ValueError("at most 2\nworkers")), "refused .*: at most 2; leave adapt out"),
    ],
)
def test_a_cluster_that_cannot_scale_is_said_in_one_line(cluster, words):
    with pytest.raises(ClusterError, match=words) as caught:
        scale_cluster(client_of(cluster), 0, 4)
    assert "adapt=(0, 4)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("n_threads", "most", "found"),
    [
        ((), 0, (1, 1)),  # a cluster without workers is none of this process
        ((), 4, (4, 4)),
        ((2, 2), 0, (2, 4)),
        ((2, 3), 4, (4, 11)),
        ((2, 2, 2), 2, (3, 6)),
    ],
)
def test_workers_that_are_to_come_are_counted(n_threads, most, found):
    assert count_side_by_side(client_of(None, n_threads), most) == found
