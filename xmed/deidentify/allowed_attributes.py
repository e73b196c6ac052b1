"""Allowed attributes: the attributes that a de-identified copy may contain, and which of their values.

The confidentiality profile of DICOM PS3.15 Annex E lists attributes to remove, so that an attribute it does not list
stays. This table lists the attributes to keep: a new data set is built from it, by the same rules at every depth of
nesting. No free text is kept: a word is kept only if it is listed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from xmed.io.dicom.private_elements import SCALING


class Rule(StrEnum):
    """What happens to the value of a permitted attribute. The text is what `xmed deidentify --explain` prints."""

    NUMBER = "kept where it is a finite number"
    COUNT = "kept where it is a whole number below 100 000"
    STANDARD_UID = "kept where the standard defines it"
    UID = "replaced by a keyed one"
    TIME = "moved into the past by the patient's own keyed amount"
    TAG = "kept where it names a permitted attribute"
    SIDE = "kept where it is made of the letters of directions"
    CODE = "kept where the code is one of the standard's; its meaning is the standard's, not the file's"
    SEQUENCE = "each item is rebuilt by these same rules"


Words = frozenset[str]
N, C, T, S = Rule.NUMBER, Rule.COUNT, Rule.TIME, Rule.SEQUENCE


def _words(text: str) -> Words:
    return frozenset(text.split())


def _all(rule: Rule | Words, keywords: str) -> dict[str, Rule | Words]:
    return dict.fromkeys(keywords.split(), rule)


_IMAGE_TYPE = _words(
    "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER REFORMATTED MPR M P R I SE GR MIXED FFE T1 T2 ADC FA DIFFUSION"
    " NONE NORM DIS2D DIS3D ND MAGNITUDE PHASE REAL IMAGINARY VOLUME WATER FAT IN_PHASE OUT_PHASE AVERAGE MOSAIC"
    " RESAMPLED STATIC DYNAMIC GATED OTHER"
)

PERMITTED: dict[str, Mapping[str, Rule | Words]] = {
    "the object": {
        "SOPClassUID": Rule.STANDARD_UID,
        "ReferencedSOPClassUID": Rule.STANDARD_UID,
        **_all(
            Rule.UID,
            "SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID VolumeFrameOfReferenceUID"
            " DimensionOrganizationUID SynchronizationFrameOfReferenceUID IrradiationEventUID",
        ),
        "Modality": _words("MR CT PT US"),
        "ImageType": _IMAGE_TYPE,
        "ContentQualification": _words("PRODUCT RESEARCH SERVICE"),
        **_all(C, "SeriesNumber InstanceNumber AcquisitionNumber"),
    },
    "time": _all(
        T,
        "StudyDate StudyTime SeriesDate SeriesTime AcquisitionDate AcquisitionTime ContentDate ContentTime"
        " AcquisitionDateTime FrameAcquisitionDateTime FrameReferenceDateTime RadiopharmaceuticalStartTime"
        " RadiopharmaceuticalStopTime RadiopharmaceuticalStartDateTime RadiopharmaceuticalStopDateTime",
    )
    | {"TimezoneOffsetFromUTC": _words("+0000")},
    "geometry": {
        **_all(
            N,
            "ImagePositionPatient ImageOrientationPatient ImagePositionVolume ImageOrientationVolume PixelSpacing"
            " SliceThickness SpacingBetweenSlices SliceLocation GantryDetectorTilt ReconstructionDiameter ApexPosition"
            " VolumeToTransducerMappingMatrix DepthsOfFocus PixelAspectRatio",
        ),
        "PatientPosition": _words("HFS HFP HFDL HFDR FFS FFP FFDL FFDR LFP LFS RFP RFS AFDR AFDL PFDR PFDL"),
        "PatientOrientation": Rule.SIDE,
        "Laterality": _words("L R"),
        "ImageLaterality": _words("L R U B"),
        "FrameLaterality": _words("L R U B"),
        "PositionMeasuringDeviceUsed": _words("RIGID FREEHAND"),
        "UltrasoundAcquisitionGeometry": _words("APEX PATIENT"),
        "VolumeToTransducerRelationship": _words("FIXED MOBILE"),
    },
    "pixels": {
        **_all(
            C, "SamplesPerPixel PlanarConfiguration Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation"
        ),
        **_all(C, "NumberOfFrames"),
        **_all(
            N,
            "PixelPaddingValue PixelPaddingRangeLimit RescaleSlope RescaleIntercept RealWorldValueFirstValueMapped"
            " RealWorldValueLastValueMapped DoubleFloatRealWorldValueFirstValueMapped RealWorldValueSlope"
            " DoubleFloatRealWorldValueLastValueMapped RealWorldValueIntercept RealWorldValueLUTData",
        ),
        "RealWorldValueMappingSequence": S,
        "MeasurementUnitsCodeSequence": Rule.CODE,
        "LUTLabel": _words("OTHER"),  # required (type 1), and free text
        "RescaleType": _words("HU US OD HGL BQML SUV PCT Z_EFF ED EDW HU_MOD MGML"),  # PS3.3 C.11.1.1.2
    },
    "display": {
        **_all(N, "WindowCenter WindowWidth LossyImageCompressionRatio"),
        "PhotometricInterpretation": _words("MONOCHROME1 MONOCHROME2 RGB"),
        "PixelPresentation": _words("MONOCHROME COLOR MIXED TRUE_COLOR"),
        "PresentationLUTShape": _words("IDENTITY INVERSE"),
        "VOILUTFunction": _words("LINEAR LINEAR_EXACT SIGMOID"),
        "LossyImageCompression": _words("00 01"),
        "LossyImageCompressionMethod": _words("ISO_10918_1 ISO_14495_1 ISO_15444_1 ISO_13818_2 ISO_14496_10"),
    },
    "frames": {
        **_all(
            S,
            "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence FrameContentSequence"
            " PlanePositionSequence PlaneOrientationSequence PlanePositionVolumeSequence PlaneOrientationVolumeSequence"
            " PixelValueTransformationSequence FrameVOILUTSequence FrameAnatomySequence DimensionOrganizationSequence"
            " DimensionIndexSequence MRImageFrameTypeSequence CTImageFrameTypeSequence PETFrameTypeSequence"
            " USImageDescriptionSequence MREchoSequence MRTimingAndRelatedParametersSequence MRDiffusionSequence"
            " DiffusionGradientDirectionSequence IrradiationEventIdentificationSequence",
        ),
        **_all(Rule.CODE, "AnatomicRegionSequence AcquisitionContextSequence"),
        **_all(Rule.TAG, "DimensionIndexPointer FunctionalGroupPointer FrameIncrementPointer"),
        **_all(C, "DimensionIndexValues StackID InStackPositionNumber TemporalPositionIndex FrameAcquisitionNumber"),
        **_all(
            N,
            "FrameTime FrameTimeVector FrameDelay CineRate RecommendedDisplayFrameRate FrameAcquisitionDuration"
            " AcquisitionDuration TriggerTime NominalCardiacTriggerDelayTime",
        ),
        "FrameType": _IMAGE_TYPE,
        "DimensionOrganizationType": _words("3D 3D_TEMPORAL TILED_FULL TILED_SPARSE"),
        "VolumetricProperties": _words("VOLUME SAMPLED DISTORTED MIXED"),
        "VolumeBasedCalculationTechnique": _words(
            "NONE MAX_IP MIN_IP VOLUME_RENDER SURFACE_RENDER MPR CURVED_MPR MIXED"
        ),
    },
    "magnetic resonance": {
        **_all(
            N,
            "RepetitionTime EchoTime EffectiveEchoTime InversionTime FlipAngle MagneticFieldStrength NumberOfAverages"
            " ImagingFrequency PixelBandwidth DiffusionBValue DiffusionGradientOrientation",
        ),
        **_all(
            C,
            "NumberOfKSpaceTrajectories EchoTrainLength EchoNumbers TemporalPositionIdentifier"
            " NumberOfTemporalPositions",
        ),
        "ScanningSequence": _words("SE IR GR EP RM"),
        "SequenceVariant": _words("SK MTC SS TRSS SP MP OSP NONE OTHER"),
        "ScanOptions": _words("PER RG CG PPG FC PFF PFP SP FS CT NONE"),
        "MRAcquisitionType": _words("2D 3D"),
        "AngioFlag": _words("Y N"),
        **_all(
            _words("YES NO"),
            "MultipleSpinEcho MultiPlanarExcitation PhaseContrast TimeOfFlightContrast SaturationRecovery"
            " EchoPlanarPulseSequence",
        ),
        "EchoPulseSequence": _words("SPIN GRADIENT BOTH"),
        "SpectrallySelectedSuppression": _words("FAT WATER FAT_AND_WATER SILICON_GEL NONE"),
        "SteadyStatePulseSequence": _words("FREE_PRECESSION TRANSVERSE TIME_REVERSED LONGITUDINAL NONE"),
        "RectilinearPhaseEncodeReordering": _words("LINEAR CENTRIC SEGMENTED REVERSE_LINEAR REVERSE_CENTRIC UNKNOWN"),
        "GeometryOfKSpaceTraversal": _words("RECTILINEAR RADIAL SPIRAL"),
        "SegmentedKSpaceTraversal": _words("SINGLE PARTIAL FULL"),
        "CoverageOfKSpace": _words("FULL CYLINDRICAL ELLIPSOIDAL WEIGHTED"),
        "OversamplingPhase": _words("2D 3D 2D_3D NONE"),
        "ResonantNucleus": _words("1H 3HE 7LI 13C 19F 23NA 31P 129XE"),
        "KSpaceFiltering": _words("COSINE FERMI GAUSSIAN HAMMING HANNING LORENTZIAN RIESZ TUKEY NONE"),
        "DiffusionDirectionality": _words("DIRECTIONAL BMATRIX ISOTROPIC NONE"),
        "ComplexImageComponent": _words("MAGNITUDE PHASE REAL IMAGINARY MIXED"),
        "AcquisitionContrast": _words(
            "DIFFUSION FLOW_ENCODED FLUID_ATTENUATED PERFUSION PROTON_DENSITY STIR TAGGING T1 T2"
        )
        | _words("T2_STAR TOF UNKNOWN MIXED"),
    },
    "computed tomography": {
        **_all(N, "KVP ExposureTime XRayTubeCurrent Exposure"),
        "RotationDirection": _words("CW CC"),
    },
    "positron emission": {
        **_all(
            N,
            "RadionuclideTotalDose RadionuclideHalfLife RadionuclidePositronFraction FrameReferenceTime DecayFactor"
            " ActualFrameDuration DoseCalibrationFactor ScatterFractionFactor DeadTimeFactor",
        ),
        **_all(C, "NumberOfSlices NumberOfTimeSlices ImageIndex"),
        "RadiopharmaceuticalInformationSequence": S,
        **_all(
            Rule.CODE, "RadionuclideCodeSequence PatientOrientationCodeSequence PatientGantryRelationshipCodeSequence"
        ),
        "Units": _words("CNTS NONE CM2 PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS MLMINML")
        | _words("MLML GML STDDEV"),
        "SUVType": _words("BSA BW LBM LBMJAMES128 LBMJANMA IBW"),
        "DecayCorrection": _words("NONE START ADMIN"),
        "CorrectedImage": _words("DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM"),
        "SeriesType": _words("STATIC DYNAMIC GATED IMAGE REPROJECTION") | {"WHOLE BODY"},
        "CountsSource": _words("EMISSION TRANSMISSION"),
        "CollimatorType": _words("NONE RING"),
    },
    "ultrasound": {
        **_all(S, "SequenceOfUltrasoundRegions ImageDataTypeSequence"),
        **_all(
            Rule.CODE,
            "TransducerScanPatternCodeSequence TransducerGeometryCodeSequence TransducerBeamSteeringCodeSequence"
            " TransducerApplicationCodeSequence ViewCodeSequence SliceProgressionDirectionSequence",
        ),
        "DataType": _words("TISSUE_INTENSITY TISSUE_VELOCITY FLOW_POWER FLOW_VELOCITY FLOW_VARIANCE ELASTICITY"),
        "AliasedDataType": _words("YES NO"),
        "SynchronizationTrigger": _words("SOURCE EXTERNAL PASSTHRU") | {"NO TRIGGER"},
        "AcquisitionTimeSynchronized": _words("Y N"),
        **_all(
            C,
            "RegionSpatialFormat RegionDataType RegionFlags PhysicalUnitsXDirection PhysicalUnitsYDirection"
            " RegionLocationMinX0 RegionLocationMinY0 RegionLocationMaxX1 RegionLocationMaxY1"
            " UltrasoundColorDataPresent",
        ),
        **_all(
            N,
            "PhysicalDeltaX PhysicalDeltaY ReferencePixelX0 ReferencePixelY0 ReferencePixelPhysicalValueX"
            " ReferencePixelPhysicalValueY DepthOfScanField MechanicalIndex SoftTissueThermalIndex BoneThermalIndex"
            " CranialThermalIndex ZeroVelocityPixelValue",
        ),
    },
}
"""Group → attribute → the rule for its values, or the words that are permitted."""

PATIENT: dict[str, Rule | Words] = {"PatientSex": _words("M F O"), **_all(N, "PatientWeight PatientSize")}
"""Attributes of the patient that are kept for PET only: the standardized uptake value is computed from them."""

PRIVATE = SCALING
"""Private elements of PET and MR that scale stored values; they are kept as numbers, dates and times."""

RULES: dict[str, Rule | Words] = {keyword: rule for group in PERMITTED.values() for keyword, rule in group.items()}
ESSENTIAL = frozenset(
    keyword for group in ("geometry", "pixels") for keyword, rule in PERMITTED[group].items() if rule in (N, C)
)
"""Attributes that an image cannot be interpreted without: a file is withheld if one of them is not a number."""

VENDORS = _words(
    "SIEMENS GE PHILIPS CANON TOSHIBA HITACHI SAMSUNG MINDRAY ESAOTE FUJIFILM SHIMADZU ALOKA BK VARIAN SONOSITE"
    " MEDISON UIH"
)
"""Manufacturer becomes the first of these words that it contains; the manufacturer distinguishes domains."""

EMPTY = (
    "PatientBirthDate", "PatientSex", "ReferringPhysicianName", "StudyID", "AccessionNumber", "Manufacturer",
    "StudyDate", "StudyTime", "SeriesNumber", "InstanceNumber",
)  # fmt: skip
"""Attributes of type 2 in every image: present, and empty where no value may be kept (PS3.3 C.7.1 to C.7.5)."""

MUST_SAY = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "PulseSequenceName")
"""Text attributes that enhanced images must contain (PS3.3 C.7.5.2, C.8.13.4): their value becomes REMOVED."""

METHOD_CODES = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113111": "Retain Safe Private Option",
}
"""Codes for De-identification Method Code Sequence (PS3.16 CID 7050)."""
