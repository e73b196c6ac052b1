"""Translate labelled volumes of one modality to the look of another, learned without pairs.

Sources: Park et al., Contrastive learning for unpaired image-to-image translation (CUT), ECCV 2020, arXiv:2007.15651;
losses of edges and segmentation after the winners of crossMoDA 2023 (github.com/MedICL-VU/crossmoda2023).
"""

from xmed.rendering.translation.adversarial_pair import TranslationSettings, Translator, edge_strength
from xmed.rendering.translation.translate_volumes import translate

__all__ = ["TranslationSettings", "Translator", "edge_strength", "translate"]
