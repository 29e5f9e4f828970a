"""xarray's face: ``import dask_quant.accessor``, then ``data.quant.segment(...)``.

A `DataArray` of a band and two spatial dimensions, or a `Dataset` whose variables are the bands,
goes in; a `DataArray` of the two spatial dimensions, with their coordinates, comes out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import xarray as xr
from dask.delayed import delayed

from dask_quant.arrays import fit_palette, relabel, render
from dask_quant.execute import Executor
from dask_quant.palette import as_palette
from dask_quant.segmentation import label_classes, score_classes, segment
from dask_quant.sources.named_arrays import as_one_array, find_dimensions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from dask_quant.alpha_options import AlphaRule
    from dask_quant.class_model import ClassModel
    from dask_quant.class_scores import ClassCurve
    from dask_quant.palette import Palette

_READ_OPTIONS = ("bands", "indices", "nodata", "mask")
"""Options that say how pixels are read."""

MODEL_ATTRIBUTE = "dask_quant_model"
"""Attribute of labels that holds their classes, as JSON text."""


@xr.register_dataarray_accessor("quant")  # type: ignore[no-untyped-call]
@xr.register_dataset_accessor("quant")  # type: ignore[no-untyped-call]
class QuantAccessor:
    """Segmentation and quantization of xarray's arrays and data sets, as ``data.quant``.

    Parameters
    ----------
    data : DataArray or Dataset
        Numbers of a band and two spatial dimensions, in any order, NumPy or Dask; or a data set
        whose variables, of the same two dimensions, are the bands.
    """

    def __init__(self, data: xr.DataArray | xr.Dataset) -> None:
        self._data = data

    def segment(self, n_clusters: int = 8, **options: Any) -> xr.DataArray:
        """Find the classes of pixels, and return the class of each. **Eager** fit.

        Parameters
        ----------
        n_clusters : int, default 8
            Classes.
        **options : Any
            As `dask_quant.segment` takes them, ``out`` among them. Bands go by number or by name.

        Returns
        -------
        DataArray
            As `label` returns it.

        Raises
        ------
        DaskQuantError
            As `dask_quant.segment` does.
        """
        report = segment(self._data, n_clusters=n_clusters, **options)
        chosen = {key: options[key] for key in _READ_OPTIONS if key in options}
        return self.label(report.model, **chosen)

    def label(self, model: ClassModel, **options: Any) -> xr.DataArray:
        """Return the class of every pixel. **Lazy** for Dask, else NumPy.

        Parameters
        ----------
        model : ClassModel
            The classes.
        **options : Any
            ``bands``, ``indices``, ``nodata`` and ``mask``, as `dask_quant.label_classes` takes
            them.

        Returns
        -------
        DataArray
            Labels of the two spatial dimensions and their coordinates; its attributes hold
            ``_FillValue``, the label of pixels that have none, and the classes as JSON.

        Raises
        ------
        DaskQuantError
            As `dask_quant.label_classes` does.
        """
        array, labels = self._stack(), label_classes(self._data, model, **options)
        rows, columns, band = array.dims
        if not isinstance(array.data, da.Array):
            labels = Executor(None, "threads").compute(delayed(labels), stage="label")
        return xr.DataArray(
            labels,
            dims=(rows, columns),
            coords={name: value for name, value in array.coords.items() if band not in value.dims},
            name="classes",
            attrs={
                "_FillValue": model.nodata,
                "flag_values": list(range(len(model))),
                "flag_meanings": " ".join(f"class_{number}" for number in range(len(model))),
                MODEL_ATTRIBUTE: model.to_json(),
            },
        )

    def quantize(
        self,
        n_colors: int = 16,
        *,
        palette: Palette | ArrayLike | None = None,
        space: str = "srgb",
        dither: str = "none",
        alpha: str | AlphaRule = "keep",
        **options: Any,
    ) -> xr.DataArray:
        """Return a picture in few colours. **Eager** fit; **lazy** for Dask, else NumPy.

        Parameters
        ----------
        n_colors : int, default 16
            Colours to fit.
        palette : Palette or array_like, optional
            Colours to use instead, as `dask_quant.relabel` takes them.
        space, dither, alpha : str
            As in `dask_quant.quantize`: where distances are measured, how to show colours between
            those of the palette, and what becomes of a fourth band that is not opaque.
        **options : Any
            Of the fit, as `dask_quant.fit_palette` takes them.

        Returns
        -------
        DataArray
            sRGB uint8 with the dimensions and coordinates of the data, and three bands for one of
            grey, or four with alpha; its attribute ``palette`` holds the colours, ``#rrggbb``.

        Raises
        ------
        DaskQuantError
            As `dask_quant.fit_palette` and `dask_quant.relabel` do; data must be uint8.
        """
        array = self._stack()
        pixels, (rows, columns, band) = array.data, array.dims
        if palette is None:
            colors = fit_palette(pixels, n_colors, space=space, alpha=alpha, **options)
        else:
            colors = as_palette(palette)
        labels = relabel(pixels, colors, space=space, dither=dither, alpha=alpha)
        picture: Any = render(labels, colors)
        if not isinstance(pixels, da.Array):
            picture = Executor(None, "threads").compute(delayed(picture), stage="relabel")
        keeps_bands = array.sizes[band] == picture.shape[2]
        result = xr.DataArray(
            picture,
            dims=(rows, columns, band),
            coords={
                name: value
                for name, value in array.coords.items()
                if keeps_bands or band not in value.dims
            },
            name="picture",
            attrs={"palette": colors.hex},
        )
        given = self._data.dims if isinstance(self._data, xr.DataArray) else ()
        return result.transpose(*given) if band in given else result

    def score_classes(self, numbers: Sequence[int], **options: Any) -> ClassCurve:
        """Score several numbers of classes. **Eager**.

        Parameters
        ----------
        numbers : sequence of int
            Numbers of classes.
        **options : Any
            As `dask_quant.score_classes` takes them.

        Returns
        -------
        ClassCurve
            Scores of each.

        Raises
        ------
        DaskQuantError
            As `dask_quant.score_classes` does.
        """
        return score_classes(self._data, numbers, **options)

    def _stack(self) -> xr.DataArray:
        """Return the numbers with dimensions (rows, columns, band)."""
        data = as_one_array(self._data)
        rows, columns, band = find_dimensions(data)
        if band is None:
            band, data = "band", data.expand_dims("band")
        stacked: xr.DataArray = data.transpose(rows, columns, band)
        return stacked
