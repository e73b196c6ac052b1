from .labelled_anatomy import (
    LabelledAnatomy as LabelledAnatomy,
    Renderer as Renderer,
    renderer as renderer,
    renderers as renderers,
)
