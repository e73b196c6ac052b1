"""Determine what a DICOM object is from its SOP class (PS3.4 B.5), even if its header says something else."""

from __future__ import annotations

from pydicom import uid
from pydicom.sr.codedict import codes
from pydicom.uid import UID

from xmed.io.dicom.clock import Attributes
from xmed.io.notes import add_note

_MODALITIES = {code.value for cid in (codes.cid29, codes.cid33) for code in cid.concepts.values()}
LABEL_MAP = UID("1.2.840.10008.5.1.4.1.1.66.7")
"""Label Map Segmentation Storage, PS3.4 of 2024e (Supplement 243)."""
_NEWER = {
    LABEL_MAP: "Label Map Segmentation Storage",
    UID("1.2.840.10008.5.1.4.1.1.66.8"): "Height Map Segmentation Storage",
}
"""SOP classes that pydicom 3.0 does not know."""
_MODALITY = {
    **dict.fromkeys((uid.CTImageStorage, uid.EnhancedCTImageStorage, uid.LegacyConvertedEnhancedCTImageStorage), "CT"),
    **dict.fromkeys(
        (
            uid.MRImageStorage,
            uid.EnhancedMRImageStorage,
            uid.EnhancedMRColorImageStorage,
            uid.LegacyConvertedEnhancedMRImageStorage,
        ),
        "MR",
    ),
    **dict.fromkeys(
        (
            uid.PositronEmissionTomographyImageStorage,
            uid.EnhancedPETImageStorage,
            uid.LegacyConvertedEnhancedPETImageStorage,
        ),
        "PT",
    ),
    uid.NuclearMedicineImageStorage: "NM",
    uid.EnhancedUSVolumeStorage: "US",
    uid.RTStructureSetStorage: "RTSTRUCT",
    **dict.fromkeys((uid.SegmentationStorage, uid.SurfaceSegmentationStorage, LABEL_MAP), "SEG"),
}
"""The only modality that PS3.3 allows for each class (C.8.2.1, C.8.3.1, C.8.9.1, C.8.4.1, C.8.8.1, C.8.20)."""


_ULTRASOUND = (uid.UltrasoundImageStorage, uid.UltrasoundMultiFrameImageStorage)
"""Intravascular ultrasound (IVUS) has the same classes, so they decide only if the header states no modality."""


def sop_class_name(sop_class: UID) -> str:
    """Return the name of a SOP class, or its UID if it is unknown."""
    return _NEWER.get(sop_class, sop_class.name) or "an object without SOP class"


def stores_images(sop_class: UID) -> bool | None:
    """Return whether objects of this class are images of a patient; None for an unknown class."""
    if sop_class in _NEWER:
        return False
    name = sop_class.name
    if name == str(sop_class):
        return None
    name = name.removesuffix(" (Retired)").removesuffix(" - For Presentation").removesuffix(" - For Processing")
    return name.endswith(("Image Storage", "Volume Storage")) and "Non-Image" not in name


def object_modality(header: Attributes) -> str | None:
    """Return the modality of an object.

    It is that of the SOP class if the class has a single one, otherwise the stated one; OT if that is no defined term.
    PT is kept: in an image that was converted to another class, only it says that values are activity.

    Args:
        header: The attributes of the object.
    """
    sop_class, stated = UID(str(header.get("SOPClassUID") or "")), str(header.get("Modality") or "").strip()
    own = _MODALITY.get(sop_class, "US" if sop_class in _ULTRASOUND and stated in ("", "OT") else None)
    if own is None or stated in (own, "PT"):
        return (stated if stated in _MODALITIES else "OT") if stated else None  # defined terms of PS3.16 CID 29 and 33
    if stated:
        add_note(
            "MODALITY",
            f"objects of {sop_class_name(sop_class)} state modality {stated if stated in _MODALITIES else 'OT'}",
        )
    return own
