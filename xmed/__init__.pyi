from . import predict as predict
from .app.adapt import adapt as adapt
from .app.check_drift import drift as drift
from .app.compare_methods import compare as compare
from .app.external_validation import validate as validate
from .app.predict_image import predict_file as predict_file
from .app.read_dataset import ingest as ingest
from .errors import XmedError as XmedError
from .home import Home as Home
from .io import (
    inspect as inspect,
    read_image as read_image,
    read_nifti as read_nifti,
    read_picture as read_picture,
    read_series as read_series,
    read_volumes as read_volumes,
    write_nifti as write_nifti,
)
from .labels import LabelTable as LabelTable
from .model import Model as Model
from .registry import approve as approve, register as register, withdraw as withdraw
from .run import Run as Run
from .spec import DatasetSpec as DatasetSpec, Study as Study, load_dataset as load_dataset, load_study as load_study
from .volume import Volume as Volume

__version__: str
