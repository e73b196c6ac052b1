from .deployed import Model as Model
