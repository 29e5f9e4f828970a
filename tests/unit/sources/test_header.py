from dask_quant.sources.header import ImageHeader, show_cause, show_path


def test_pixels_are_height_times_width():
    header = ImageHeader("a.png", "PNG", "RGB", height=3, width=5, bands=3, input_bytes=80)
    assert header.n_pixels == 15


def test_paths_in_messages_are_printable_and_one_line():
    shown = show_path("caf\xe9\n\udcff.png")
    assert shown.isprintable()
    assert shown.startswith("café")
    shown.encode()


def test_cause_is_one_line_and_never_empty():
    assert show_cause(ValueError("two\nlines.")) == "two lines"
    assert show_cause(EOFError()) == "EOFError"
