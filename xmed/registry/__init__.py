"""Registry: what MLflow keeps of runs, and registered models. The only room that imports MLflow."""

import os

import lazy_loader

# Before mlflow is imported. It reads DO_NOT_TRACK only as exactly "true", and by default it would unpickle what a
# stranger registered (its own default is to allow it); xmed stores no pickle, so nothing is lost.
os.environ["DO_NOT_TRACK"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every run, where a server is

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
