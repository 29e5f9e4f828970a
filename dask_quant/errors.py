"""Every exception and warning that dask_quant raises, drawn as a tree.

::

    DaskQuantError (Exception)
    ├── OptionError (ValueError)              an option out of its range: usage
    ├── SourceError (OSError)                 an input that cannot be read
    │   ├── DecoderError                      an input of which the decoder died, or took too much
    │   └── SourceNotFoundError (FileNotFoundError)
    ├── PixelFormatError (ValueError)         pixels of a kind that is not supported
    ├── PaletteError (ValueError)             a palette that cannot be built or parsed
    ├── MemoryBudgetError (MemoryError)       a plan that does not fit
    ├── OutputError (OSError)                 an output that cannot be written
    │   └── OutputExistsError (FileExistsError)
    ├── ClusterError (ConnectionError)        a scheduler that cannot be reached or used
    ├── JobError (RuntimeError)               a collection that cannot be finished
    └── FitError (RuntimeError)               a fit that cannot produce a palette

    DaskQuantWarning (UserWarning)
    ├── ColorProfileWarning                   an embedded colour profile that cannot be used
    ├── FewerColorsWarning                    the image holds fewer colours than asked for
    ├── FewerClassesWarning                   the pixels have fewer distinct spectra than asked for
    └── WorkerVersionWarning                  a worker with other versions of packages

Each family is also the built-in that a caller would catch. Every class takes one positional
message, so that it survives pickling on its way back from a worker.
"""

from __future__ import annotations


class DaskQuantError(Exception):
    """Base of every error that dask_quant raises on purpose."""


class OptionError(DaskQuantError, ValueError):
    """An option or argument is out of its documented range."""


class SourceError(DaskQuantError, OSError):
    """An input cannot be read or decoded."""


class DecoderError(SourceError):
    """The process that decoded an input died, took too long, or too much memory."""

    from_outside: bool = False
    """Whether it was killed by a signal that says nothing about the input."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """An input does not exist, or a folder or glob holds no image."""


class PixelFormatError(DaskQuantError, ValueError):
    """An input was read, but its pixels are of a kind that is not supported."""


class PaletteError(DaskQuantError, ValueError):
    """A palette cannot be built, parsed or stored in the format asked for."""


# MemoryError comes first for its __new__, which refuses classes of which it is not the main base;
# what unpickles errors from a worker calls it.
class MemoryBudgetError(MemoryError, DaskQuantError):
    """A plan needs more memory than its budget allows."""


class OutputError(DaskQuantError, OSError):
    """An output cannot be written."""


class OutputExistsError(OutputError, FileExistsError):
    """An output exists and overwriting was not asked for."""


class ClusterError(DaskQuantError, ConnectionError):
    """A scheduler cannot be reached, or is not fit for the job."""


class JobError(DaskQuantError, RuntimeError):
    """A job over a collection cannot be finished."""


class FitError(DaskQuantError, RuntimeError):
    """A fit cannot produce the palette that was asked for."""


class DaskQuantWarning(UserWarning):
    """Base of every warning that dask_quant issues."""


class ColorProfileWarning(DaskQuantWarning):
    """An image's embedded colour profile cannot be used and was left out."""


class FewerColorsWarning(DaskQuantWarning):
    """The input holds fewer distinct colours than were asked for."""


class FewerClassesWarning(DaskQuantWarning):
    """The pixels have fewer distinct spectra than classes were asked for."""


class WorkerVersionWarning(DaskQuantWarning):
    """A worker has other versions of packages than the process that asks it."""
