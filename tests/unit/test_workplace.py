import os

import pytest

from dask_quant.errors import OutputExistsError
from dask_quant.sinks.state_folder import open_state
from dask_quant.workplace import OutputPlaces, Workplace, forget_output, is_placed, note_output


@pytest.fixture
def state(tmp_path):
    with open_state(tmp_path / "state", {}, shown="out", resume=True) as state:
        yield state


def write(path, data=b"labels"):
    path.write_bytes(data)
    return path


def test_without_a_state_parts_are_gone_after_the_block(tmp_path):
    place = Workplace(tmp_path / "a.png")
    with place.open_parts() as folder:
        place.put_file(write(folder / "joined"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert not place.is_resumed


def test_parts_in_a_state_stay(tmp_path, state):
    place = Workplace(tmp_path / "a.png", state=state)
    with place.open_parts() as folder:
        write(folder / "0.part")
        write(folder / ".0.part.12.partial")
    with place.open_parts() as again:
        assert again == folder
        assert [path.name for path in folder.iterdir()] == ["0.part"]
        assert folder.is_absolute()


def test_a_store_in_a_state_is_started_once(tmp_path, state):
    started, discarded = [], []

    def start(temporary):
        started.append(temporary)
        temporary.mkdir()
        return temporary

    place = Workplace(tmp_path / "a.zarr", state=state)
    for _ in range(2):
        with place.open_store(start, discarded.append) as store:
            assert store == state.path / "store"
    assert started == [store]
    forget_output(state)
    with place.open_store(start, discarded.append):
        pass
    assert started == [store, store]


def test_a_store_that_was_torn_as_it_was_started_is_started_again(tmp_path, state):
    def fail(temporary):
        temporary.mkdir()
        raise KeyboardInterrupt

    def start(temporary):
        temporary.mkdir()

    place = Workplace(tmp_path / "a.zarr", state=state)
    with pytest.raises(KeyboardInterrupt), place.open_store(fail, os.rmdir):
        pass
    with place.open_store(start, os.rmdir) as store:
        assert store.is_dir()


def test_an_output_is_known_by_its_bytes_and_time(tmp_path, state):
    final = tmp_path / "a.png"
    Workplace(final, state=state).put_file(write(tmp_path / "whole"))
    assert is_placed(state, "out", final)
    assert not is_placed(state, "outline", final)
    os.utime(final, ns=(0, final.stat().st_mtime_ns + 1))
    assert not is_placed(state, "out", final)
    final.unlink()
    assert not is_placed(state, "out", final)


def test_a_store_is_known_by_what_describes_it(tmp_path, state):
    final = tmp_path / "a.zarr"
    final.mkdir()
    write(final / "zarr.json")
    note_output(state, "out", final)
    write(final / "more")
    assert is_placed(state, "out", final)
    write(final / "zarr.json", b"others")
    os.utime(final / "zarr.json", ns=(0, 1))
    assert not is_placed(state, "out", final)


def test_nothing_is_replaced_and_nothing_put_twice(tmp_path, state):
    final = tmp_path / "a.png"
    places = OutputPlaces(final, tmp_path / "deep" / "lines.png", state)
    write(places.out)
    write(places.outline, b"lines")
    places.put_all()
    assert (final.read_bytes(), places.final_outline.read_bytes()) == (b"labels", b"lines")
    write(places.out, b"labels again")
    places.put_all()
    assert final.read_bytes() == b"labels"
    write(final, b"mine")
    with pytest.raises(OutputExistsError):
        places.put_all()
    assert final.read_bytes() == b"mine"


def test_without_a_state_outputs_are_written_under_their_names(tmp_path):
    places = OutputPlaces(tmp_path / "a.png", tmp_path / "b.png", None)
    assert (places.out, places.outline) == (tmp_path / "a.png", tmp_path / "b.png")
    places.put_all()
    assert OutputPlaces(tmp_path / "a.png", None, None).outline is None
