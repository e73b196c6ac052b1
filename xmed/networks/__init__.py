"""Networks by name, their parts, and the trainable components that several methods share."""

from xmed.networks.architectures import (
    CONVOLUTIONS,
    NETWORKS,
    Ensemble,
    NetworkDefinition,
    build_network,
    default_device,
    network_definition,
)
from xmed.networks.network_parts import (
    batchnorm_layers,
    deepest_block,
    load_tensors,
    logits_and_features,
    named_tensors,
    segmentation_head,
)

__all__ = [
    "CONVOLUTIONS", "NETWORKS", "Ensemble", "NetworkDefinition", "batchnorm_layers", "build_network", "deepest_block",
    "default_device", "load_tensors", "logits_and_features", "named_tensors", "network_definition", "segmentation_head",
]  # fmt: skip
