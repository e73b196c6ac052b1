"""Scenes draw pictures from label maps alone, for studies whose source has no images."""

from xmed.rendering.scenes.find_scene import (
    DrawScene,
    GenerateLabelMap,
    find_scene,
    label_map_generator,
    scene_names,
    source_picture,
)

__all__ = ["DrawScene", "GenerateLabelMap", "find_scene", "label_map_generator", "scene_names", "source_picture"]
