"""Predict: the names under which scripts, and models registered by version 0.1.0, import prediction."""

from xmed.model.deployed import Model
from xmed.model.prediction import predict

__all__ = ["Model", "predict"]
