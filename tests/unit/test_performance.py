"""Dask's report of a job: where there is no cluster, there is none to write."""

import pytest

import dask_quant as dq
from dask_quant.errors import OptionError
from dask_quant.events import Notice
from dask_quant.options import ClusterOptions
from dask_quant.performance import reporting_performance


def test_it_is_refused_without_a_cluster(photo_path, tmp_path):
    options = ClusterOptions(performance_report=tmp_path / "performance.html")
    with pytest.raises(OptionError, match=r"'performance\.html' .* without a cluster; .*--workers"):
        dq.quantize(photo_path, tmp_path / "out.png", cluster=options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_it_is_refused_on_the_schedulers_of_this_process(scheduler):
    with pytest.raises(OptionError, match=f"with the scheduler {scheduler}; it is for a cluster"):
        ClusterOptions(performance_report="a.html", scheduler=scheduler)


def test_its_name_says_what_it_is():
    with pytest.raises(OptionError, match=r"must end in \.html"):
        ClusterOptions(performance_report="a.pdf", workers=2)


def test_images_that_are_only_described_have_none(photo_path):
    options = ClusterOptions(performance_report="a.html", workers=1)
    with pytest.raises(OptionError, match="for info"):
        dq.describe_images(photo_path, cluster=options)


def test_counts_alone_have_none(photo_path, tmp_path):
    counts = dq.count_colors(photo_path)
    options = ClusterOptions(performance_report=tmp_path / "a.html", workers=1)
    with pytest.raises(OptionError, match="without images"):
        dq.make_palette(None, tmp_path / "a.gpl", histogram=counts, cluster=options)


class Broken:
    """A client whose scheduler begins to look, and then is gone."""

    n_calls = 0

    def sync(self, function, *args, **kwargs):
        self.n_calls += 1
        if self.n_calls > 1:
            raise OSError("gone")


def test_a_scheduler_that_can_make_none_costs_a_job_one_line(tmp_path):
    heard = []
    path = tmp_path / "a.html"
    with reporting_performance(Broken(), path, "call", heard.append, overwrite=False):
        pass
    (notice,) = heard
    assert isinstance(notice, Notice)
    assert notice.message.endswith("(OSError: gone).")
    assert not path.exists()


class Recorder:
    """A client that keeps what its scheduler is asked for."""

    def __init__(self):
        self.given = {}

    def sync(self, function, *args, **kwargs):
        self.given |= kwargs


def test_names_of_files_are_no_markup(tmp_path):
    client = Recorder()
    call = "quantize '<img src=x onerror=alert(1)>.png'"
    with reporting_performance(client, tmp_path / "a.html", call, print, overwrite=False):
        pass
    assert client.given["code"] == "quantize &#x27;&lt;img src=x onerror=alert(1)&gt;.png&#x27;"
