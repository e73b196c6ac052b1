"""Stock: how three readers that people use read a path, each as its own documentation says, for a guarded process."""

import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from monai.transforms import LoadImage

from xmed.io import read_image
from xmed.volume import Volume

try:
    import dicom2nifti
except ImportError:
    dicom2nifti = None

Read = Callable[[Path], "tuple[np.ndarray, np.ndarray] | None"]
RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def monai(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """LoadImage, which picks a reader itself."""
    image = LoadImage(image_only=True)(str(path))
    return np.asarray(image), np.asarray(image.affine)


def simpleitk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """ReadImage, or for a folder the series reader on the files that GDCM lists."""
    if path.is_dir():
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        image = reader.Execute()
    else:
        image = sitk.ReadImage(str(path))
    affine = np.eye(image.GetDimension() + 1)
    affine[:-1, :-1] = np.reshape(image.GetDirection(), affine[:-1, :-1].shape) * image.GetSpacing()
    affine[:-1, -1] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image)
    return array.transpose(range(array.ndim)[::-1]), RAS @ affine if affine.shape == (4, 4) else affine


def d2n(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """dicom_series_to_nifti, which reads folders of DICOM and nothing else."""
    if not path.is_dir():
        return None
    with tempfile.TemporaryDirectory() as folder:
        dicom2nifti.dicom_series_to_nifti(str(path), str(Path(folder, "out.nii")), reorient_nifti=False)
        image = nib.load(Path(folder, "out.nii"))
        return np.asanyarray(image.dataobj).copy(), image.affine


READERS: dict[str, Read] = {"MONAI LoadImage": monai, "SimpleITK": simpleitk}
if dicom2nifti is not None:
    READERS["dicom2nifti"] = d2n


def look(name: str, path: Path, modality: str, right: bool) -> dict[str, Any]:
    """What a reader makes of a path: error, or shape, spacing and whether it is the volume that xmed reads.

    right: the path holds one volume that can be read, so that there is something to compare with.
    """
    _forget_peak()
    before, start = _memory("VmRSS"), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = READERS[name](path)
        except Exception as problem:  # what a stock reader raises is what is measured here
            return {"error": type(problem).__name__}
    if found is None:
        return {"skipped": True}
    array, affine = found
    answer: dict[str, Any] = {
        "shape": list(array.shape),
        "peak_mb": round((_memory("VmHWM") - before) / 1024),
        "seconds": round(time.process_time() - start, 1),
    }
    if right:
        answer["same"] = _same(array, affine, path, modality)
    return answer


def _same(array: np.ndarray, affine: np.ndarray, path: Path, modality: str) -> bool:
    """Whether voxels and place are those of xmed's volume, after both are turned to the same orientation."""
    ours = _xmed(path, modality)
    if array.ndim != 3 or affine.shape != (4, 4):
        return False
    try:
        mine = nib.as_closest_canonical(nib.Nifti1Image(ours.array.astype(np.float64), RAS @ ours.affine))
        theirs = nib.as_closest_canonical(nib.Nifti1Image(array.astype(np.float64), affine))
    except (TypeError, ValueError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError):
        return False
    return (
        mine.shape == theirs.shape
        and np.allclose(mine.affine, theirs.affine, atol=1e-3)
        and np.allclose(mine.get_fdata(), theirs.get_fdata(), rtol=1e-4, atol=1e-3, equal_nan=True)
    )


def _xmed(path: Path, modality: str) -> Volume:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_image(path, modality)


def _memory(field: str) -> int:
    """kB that the kernel counts: VmRSS now, VmHWM at its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
