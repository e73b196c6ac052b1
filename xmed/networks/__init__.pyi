from .architectures import (
    CONVOLUTIONS as CONVOLUTIONS,
    NETWORKS as NETWORKS,
    Ensemble as Ensemble,
    NetworkDefinition as NetworkDefinition,
    build_network as build_network,
    default_device as default_device,
    network_definition as network_definition,
)
from .network_parts import (
    batchnorm_layers as batchnorm_layers,
    deepest_block as deepest_block,
    deepest_features as deepest_features,
    load_tensors as load_tensors,
    logits_and_features as logits_and_features,
    named_tensors as named_tensors,
    segmentation_head as segmentation_head,
)
