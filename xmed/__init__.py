"""Domain adaptation for medical images: train on a labelled modality, adapt to an unlabelled one, validate, report.

The names below are for scripts and notebooks; docs/python.md has an example of each. Each is imported when it is first
used, so that `import xmed` itself loads no other package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "xmed.volume": ("Volume",),
    "xmed.labels": ("LabelTable",),
    "xmed.errors": ("XmedError",),
    "xmed.home": ("Home",),
    "xmed.run": ("Run",),
    "xmed.spec": ("DatasetSpec", "Study", "load_dataset", "load_study"),
    "xmed.io": ("inspect", "read_image", "read_nifti", "read_picture", "read_series", "read_volumes", "write_nifti"),
    "xmed.model": ("Model",),
    "xmed.registry": ("approve", "register", "withdraw"),
    "xmed.app.adapt": ("adapt",),
    "xmed.app.read_dataset": ("ingest",),
    "xmed.app.compare_methods": ("compare",),
    "xmed.app.external_validation": ("validate",),
    "xmed.app.check_drift": ("drift",),
    "xmed.app.predict_image": ("predict_file",),
}
"""Module -> names of the front door that it defines."""
_PLACE = {name: module for module, names in _PLACES.items() for name in names}

if TYPE_CHECKING:
    from xmed import predict as predict
    from xmed.app.adapt import adapt as adapt
    from xmed.app.check_drift import drift as drift
    from xmed.app.compare_methods import compare as compare
    from xmed.app.external_validation import validate as validate
    from xmed.app.predict_image import predict_file as predict_file
    from xmed.app.read_dataset import ingest as ingest
    from xmed.errors import XmedError as XmedError
    from xmed.home import Home as Home
    from xmed.io import inspect as inspect
    from xmed.io import read_image as read_image
    from xmed.io import read_nifti as read_nifti
    from xmed.io import read_picture as read_picture
    from xmed.io import read_series as read_series
    from xmed.io import read_volumes as read_volumes
    from xmed.io import write_nifti as write_nifti
    from xmed.labels import LabelTable as LabelTable
    from xmed.model import Model as Model
    from xmed.registry import approve as approve
    from xmed.registry import register as register
    from xmed.registry import withdraw as withdraw
    from xmed.run import Run as Run
    from xmed.spec import DatasetSpec as DatasetSpec
    from xmed.spec import Study as Study
    from xmed.spec import load_dataset as load_dataset
    from xmed.spec import load_study as load_study
    from xmed.volume import Volume as Volume

__all__ = ["__version__", "predict", *sorted(_PLACE)]


def __getattr__(name: str) -> Any:
    if name == "predict":
        return import_module("xmed.predict")
    if name not in _PLACE:
        raise AttributeError(f"module 'xmed' has no attribute '{name}'")
    attribute = getattr(import_module(_PLACE[name]), name)
    globals()[name] = attribute
    return attribute


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
