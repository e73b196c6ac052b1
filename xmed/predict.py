"""Predict: the name under which scripts, and models registered by version 0.1.0, import prediction.

`xmed.predict` is both this module and the function of the front door: the module can be called.
"""

import sys
from types import ModuleType
from typing import Any

from xmed.model.deployed import Model
from xmed.model.prediction import predict

__all__ = ["Model", "predict"]


class _CalledModule(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return predict(*arguments, **options)


sys.modules[__name__].__class__ = _CalledModule
