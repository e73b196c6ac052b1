"""The script that MLflow keeps beside the weights; it loads safetensors, never a pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from xmed.model.prediction import Model


class Served(PythonModel):
    """A registered network: takes patches on the network's grid and in its intensity window, returns probabilities."""

    def load_context(self, context: Any) -> None:
        self.model = Model.load(Path(context.artifacts["model"]))

    def predict(self, context: Any, model_input: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """float32 (b, c, i, j[, k]) → float32 (b, structures + 1, i, j[, k]), summing to one over the second axis."""
        del context, params
        with torch.inference_mode():
            return torch.softmax(self.model.logits(torch.as_tensor(model_input)).float(), dim=1).cpu().numpy()


set_model(Served())
