"""Series whose every picture says in its first pixel which one it is, for the kinds of wrong volumes."""

from datetime import datetime, timedelta

import numpy as np
from pydicom import Dataset
from pydicom.uid import generate_uid

from support.synthetic_dicom import oblique, save, slices
from xmed.errors import XmedError
from xmed.io import read_volumes
from xmed.io.notes import collect_notes

SHAPE = (9, 7)
"""Columns and rows of a picture."""
STRAIGHT = np.diag([1.0, 1.0, 1.0, 1.0])


def item(**values):
    """A data set of these attributes."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def stack(places, phase, modality="CT", affine=STRAIGHT, thickness=None, **values):
    """Slices at `places` (mm along the third axis): the k-th one's first pixel is 100 · phase + k.

    values: attributes by keyword, for all slices, or from k where callable. thickness: as their distance by default.
    """
    unit = affine.copy()
    unit[:3, 2] /= np.linalg.norm(unit[:3, 2])
    step = abs(places[1] - places[0]) if len(places) > 1 else 1.0
    found = []
    for k, place in enumerate(places):
        picture = np.random.default_rng(17 * phase + k).integers(1, 90, (*SHAPE, 1)).astype(np.uint16)
        picture[0, 0, 0] = 100 * phase + k
        here = unit.copy()
        here[:3, 3] = unit[:3, 3] + place * unit[:3, 2]
        (ds,) = slices(picture, here, modality)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SliceThickness = thickness or step
        ds.AcquisitionDate = ds.ContentDate = "20240102"
        for keyword, value in values.items():
            value = value(k) if callable(value) else value
            if value is None:
                ds.pop(keyword, None)
            else:
                setattr(ds, keyword, value)
        found.append(ds)
    return found


def clock(start, apart=0.0):
    """AcquisitionTime of slice k: `start` (HHMMSS) and `apart` seconds more for each slice."""
    begun = datetime.strptime(start, "%H%M%S")
    return lambda k: f"{begun + timedelta(seconds=apart * k):%H%M%S.%f}"


def numbered(datasets):
    """The data sets with Instance Numbers in their order."""
    for n, ds in enumerate(datasets):
        ds.InstanceNumber = n + 1
    return datasets


def marks(volume):
    """The first pixel of each slice, ascending along the normal."""
    return [int(mark) for mark in volume.array[0, 0]]


def shown(phase, count):
    """What `marks` gives for a whole phase."""
    return [100 * phase + k for k in range(count)]


def tried(datasets, folder, shuffle=True):
    """(marks of each volume in the order given, codes of the notes), or (None, code of the refusal)."""
    order = np.random.default_rng(3).permutation(len(datasets)) if shuffle else range(len(datasets))
    save([datasets[n] for n in order], folder)
    with collect_notes() as notes:
        try:
            volumes = read_volumes(folder)
        except XmedError as problem:
            return None, problem.code
    return [marks(volume) for volume in volumes.values()], {note.code for note in notes} - {"SEVERAL_VOLUMES"}


TURNED = oblique()
