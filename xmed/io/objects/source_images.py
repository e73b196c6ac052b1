"""Source images: the images that a segmentation was drawn on, in the words that highdicom takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.dicom.decimal_string import decimal_strings
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.planes import Plane, has_planes
from xmed.io.dicom.regular_grid import affine_from_planes
from xmed.io.dicom.series import select_series, sorted_planes
from xmed.io.dicom.ultrasound import read_ultrasound
from xmed.io.file_kinds import Source
from xmed.io.objects.source_identity import check_referable, conforming_header
from xmed.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images of one series, without their pixels.

    images: single frames, or one multi-frame image. order: for each of their frames the slice k of `grid` that lies
    there. grid: as the readers find it. placed: whether the frames say where in space they lie; those of an ultrasound
    film do not, and its grid is then only the picture's own.
    """

    images: list[Dataset]
    order: list[int]
    grid: Grid
    placed: bool

    def with_headers(self, header: Callable[[Dataset], Dataset]) -> SourceImages:
        """The same images with other headers, and in the frame of reference that those name."""
        images = [conforming_header(header(image)) for image in self.images]
        check_referable(images, placed=self.placed)
        frame = images[0].FrameOfReferenceUID if self.grid.frame else None
        return replace(self, images=images, grid=replace(self.grid, frame=frame))

    def check_same_grid(self, labels: Volume) -> None:
        """Raises XmedError FRAME_MISMATCH or GRID_MISMATCH for labels that are not on these very images.

        highdicom 0.28 does not see it: where it compares frames of reference, it compares one with itself.
        """
        if labels.frame != self.grid.frame:
            raise XmedError("FRAME_MISMATCH", "labels of another frame of reference", "that of the source images")
        if not labels.grid.same(self.grid):
            raise XmedError(
                "GRID_MISMATCH",
                f"labels of {labels.array.shape}, up to {labels.grid.distance(self.grid):.3g} mm from the source's",
                f"the source's own grid, {self.grid.shape}",
                "resample the labels onto it",
            )


def read_source_images(source: Source) -> SourceImages:
    """The one image series in `source`, with the patient's and study's attributes as an object may carry them.

    Raises XmedError as `read_series` does, MULTI_VOLUME for several multi-frames, NOT_REFERABLE for images that lack or
    repeat what would be referred to.
    """
    instances = select_series(source)
    first = instances[0]
    if first.modality == "US" and not any(has_planes(instance) for instance in instances):
        grid = read_ultrasound(first).grid
        return _check(SourceImages([conforming_header(first.dataset)], list(range(grid.shape[2])), grid, placed=False))
    planes = sorted_planes(instances)
    rows, columns = planes[0].size
    images, order = _referable_images(instances, planes)
    grid = Grid((columns, rows, len(planes)), affine_from_planes(planes), planes[0].frame)
    return _check(SourceImages(images, order, grid, placed=True))


def _check(images: SourceImages) -> SourceImages:
    check_referable(images.images, placed=images.placed)
    return images


def _referable_images(instances: Sequence[Instance], planes: Sequence[Plane]) -> tuple[list[Dataset], list[int]]:
    first = instances[0].dataset
    if planes[0].size != (first.Rows, first.Columns):
        raise XmedError("MULTI_VOLUME", "slices that are parts of one picture", "one frame for each", "write NIfTI")
    multiframe = [instance for instance in instances if int(instance.dataset.get("NumberOfFrames") or 1) > 1]
    if not multiframe:
        measures = _pixel_measures(planes)
        return [
            _single_frame_header(instances[plane.instance_index], plane, planes[0], measures) for plane in planes
        ], [*range(len(planes))]
    slice_of = {plane.frame_index: k for k, plane in enumerate(planes)}
    if len(instances) > 1 or len(slice_of) != int(multiframe[0].dataset.NumberOfFrames):
        raise XmedError(
            "MULTI_VOLUME", f"{len(instances)} objects, {len(planes)} different slices", "one frame for each slice"
        )
    return [_multiframe_header(multiframe[0], planes)], [slice_of[number] for number in range(len(planes))]


def _single_frame_header(instance: Instance, plane: Plane, first: Plane, measures: Dataset) -> Dataset:
    """A single frame where the readers found it. highdicom wants directions that agree in their last digit."""
    dataset = conforming_header(instance.dataset)
    dataset.update(measures)
    dataset.pop("SpacingBetweenSlices", None)  # often wrong; highdicom computes it from the positions
    dataset.ImageOrientationPatient = decimal_strings([*first.row, *first.column])
    dataset.ImagePositionPatient = decimal_strings(plane.position)
    return dataset


def _multiframe_header(instance: Instance, planes: Sequence[Plane]) -> Dataset:
    """A multi-frame image with its planes where highdicom looks for them, also those of an Enhanced US Volume.

    A Segmentation has no functional group for volume coordinates; the frame of reference says whose they are.
    """
    dataset, first = conforming_header(instance.dataset), planes[0]
    orientation, shared = Dataset(), Dataset()
    orientation.ImageOrientationPatient = decimal_strings([*first.row, *first.column])
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [_pixel_measures(planes)], [orientation]
    dataset.FrameOfReferenceUID = first.frame
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [Dataset() for _ in planes]
    for plane in planes:
        position = Dataset()
        position.ImagePositionPatient = decimal_strings(plane.position)
        dataset.PerFrameFunctionalGroupsSequence[plane.frame_index].PlanePositionSequence = [position]
    return dataset


def _pixel_measures(planes: Sequence[Plane]) -> Dataset:
    """Pixel spacing and slice thickness, which is required: where no header states it, the slices touch."""
    depth = planes[0].thickness or float(np.linalg.norm(affine_from_planes(planes)[:3, 2]))
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = decimal_strings(planes[0].spacing), decimal_strings([depth])[0]
    return measures
