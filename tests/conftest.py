"""What all tests share: the Hypothesis profile, a photograph, slow and obvious oracles."""

import hashlib
import signal
from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import settings
from outputs import MANIFEST, list_outputs
from PIL import Image

from dask_quant.sinks import png, store_layout, tiff_layout
from dask_quant.sources.samples import find_sample_images

# The same examples in every run: a failure is a change of the code, never of the draw.
settings.register_profile("dask_quant", derandomize=True, deadline=None, max_examples=30)
settings.load_profile("dask_quant")


# A shell has what it starts in the background ignore Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def photo_path():
    """A photograph of 640 x 427 pixels, JPEG."""
    return find_sample_images()[0]


@pytest.fixture(scope="session")
def photo(photo_path):
    """Its pixels, decoded by Pillow, read-only."""
    pixels = np.asarray(Image.open(photo_path).convert("RGB"))
    pixels.setflags(write=False)
    return pixels


@pytest.fixture(scope="session")
def count_oracle():
    """Counts of distinct colours by NumPy: ``{(red, green, blue): pixels}``."""

    def count(pixels):
        codes = pixels.reshape(-1, 3).astype(np.int64) @ [65536, 256, 1]
        found, counts = np.unique(codes, return_counts=True)
        colors = zip(found // 65536, found // 256 % 256, found % 256, strict=True)
        return {tuple(map(int, c)): int(n) for c, n in zip(colors, counts, strict=True)}

    return count


@pytest.fixture(scope="session")
def label_oracle():
    """Nearest palette entries by comparison with all of them, in int64: labels and distances."""

    def label(colors, palette):
        flat = np.asarray(colors).reshape(-1, 3).astype(np.int64)
        entries = np.asarray(palette).astype(np.int64)
        labels = np.zeros(len(flat), dtype=np.int64)
        best = np.full(len(flat), np.iinfo(np.int64).max)
        for index, entry in enumerate(entries):
            distance = ((flat - entry) ** 2).sum(axis=1)
            closer = distance < best  # strictly: the lowest index wins a tie
            labels[closer] = index
            best[closer] = distance[closer]
        shape = np.asarray(colors).shape[:-1]
        return labels.reshape(shape), best.reshape(shape)

    return label


@pytest.fixture(scope="session")
def read_indexed():
    """Labels, palette ``(n, 3)`` and painted pixels of an indexed PNG, as Pillow reads it."""

    def read(path):
        with Image.open(path) as image:
            assert image.mode in ("P", "1", "L")
            palette = np.array(image.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)
            return np.asarray(image), palette, np.asarray(image.convert("RGB"))

    return read


@pytest.fixture(scope="session")
def digest_output():
    """Digest of a file, or of all files of a store or outputs of a folder with their names."""

    def digest(path):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        files = sorted(file for file in path.rglob("*") if file.is_file())
        if (path / MANIFEST).exists():
            files = [path / name for name in list_outputs(path)]
        assert files, f"{path} holds nothing"
        names = [(str(file.relative_to(path)), file.read_bytes()) for file in files]
        return hashlib.sha256(repr(names).encode()).hexdigest()

    return digest


@pytest.fixture
def small_units(monkeypatch):
    """Strips of 560 pixels, shards and blocks of 32 x 32, so that small images have several."""
    monkeypatch.setattr(png, "STRIP_PIXELS", 560)
    monkeypatch.setattr(store_layout, "CHUNK_SIDE", 16)
    monkeypatch.setattr(store_layout, "SHARD_SIDE", 32)
    monkeypatch.setattr(tiff_layout, "TILE_SIDE", 16)
    monkeypatch.setattr(tiff_layout, "BLOCK_SIDE", 32)
    assert png.strip_rows(70) == 8
    assert store_layout.label_shards((50, 70)) == (32, 32)


EMPTY_ELEMENTS = ("br", "img", "meta")
"""Elements of pages about jobs that have no end."""


@dataclass
class ParsedPage(HTMLParser):
    """A page, taken apart by the parser of the standard library; its elements must be nested."""

    open_tags: list = field(default_factory=list)
    elements: list = field(default_factory=list)
    texts: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY_ELEMENTS:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if self.open_tags and self.open_tags[-1] != "style" and data.strip():
            self.texts.append(data.strip())

    def find(self, tag):
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        """All that is read on it, parts one to a line."""
        return "\n".join(self.texts)


@pytest.fixture(scope="session")
def parse_page():
    """Return a function that takes a page of HTML apart, having seen that it is whole."""

    def parse(text):
        page = ParsedPage()
        page.feed(text)
        page.close()
        assert page.open_tags == []
        return page

    return parse
