"""Prepare the images that a segmentation refers to, in the form that highdicom expects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydicom import Dataset

from xmed.errors import XmedError
from xmed.io.dicom.instance import Instance
from xmed.io.dicom.planes import Plane, has_planes
from xmed.io.dicom.regular_grid import affine_from_planes
from xmed.io.dicom.series import select_series, sorted_planes
from xmed.io.dicom.ultrasound import read_ultrasound
from xmed.io.dicom.write_series import decimal_strings
from xmed.io.file_kinds import Source
from xmed.io.objects.source_identity import check_referable, conforming_header
from xmed.volume import Grid, Volume


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images of one series, without pixels.

    Attributes:
        images: Single-frame headers, or one multi-frame header.
        order: For each frame, the index k of its slice in `grid`.
        grid: The grid of the series as `read_series` finds it.
        placed: Whether the frames have a position in space. Those of an ultrasound film have none; its grid then
            describes only the image itself.
    """

    images: list[Dataset]
    order: list[int]
    grid: Grid
    placed: bool

    def with_headers(self, header: Callable[[Dataset], Dataset]) -> SourceImages:
        """Return the same images with other headers, and in the frame of reference that these name."""
        images = [conforming_header(header(image)) for image in self.images]
        check_referable(images, placed=self.placed)
        frame = images[0].FrameOfReferenceUID if self.grid.frame else None
        return replace(self, images=images, grid=replace(self.grid, frame=frame))

    def check_same_grid(self, labels: Volume) -> None:
        """Check that labels lie on the grid of these images.

        highdicom 0.28 does not detect it: its check compares a frame of reference with itself.

        Raises:
            XmedError: FRAME_MISMATCH, GRID_MISMATCH.
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
    """Read the one image series in `source`, with patient and study attributes that conform to the standard.

    Raises:
        XmedError: The codes of `read_series`; MULTI_VOLUME for several multi-frame images; NOT_REFERABLE for images
            with missing or repeated identifiers.
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
    """Check the images and return them."""
    check_referable(images.images, placed=images.placed)
    return images


def _referable_images(instances: Sequence[Instance], planes: Sequence[Plane]) -> tuple[list[Dataset], list[int]]:
    """Return the headers that a segmentation refers to, and the slice index of each frame."""
    first = instances[0].dataset
    if planes[0].size != (first.Rows, first.Columns):
        raise XmedError("MULTI_VOLUME", "slices that are parts of one picture", "one frame for each", "write NIfTI")
    multiframe = [instance for instance in instances if int(instance.dataset.get("NumberOfFrames") or 1) > 1]
    if not multiframe:
        measures = _pixel_measures(planes)
        return [
            _single_frame_header(instances[plane.instance_index], plane, planes[0], measures) for plane in planes
        ], [*range(len(planes))]
    slice_by_frame = {plane.frame_index: k for k, plane in enumerate(planes)}
    if len(instances) > 1 or len(slice_by_frame) != int(multiframe[0].dataset.NumberOfFrames):
        raise XmedError(
            "MULTI_VOLUME", f"{len(instances)} objects, {len(planes)} different slices", "one frame for each slice"
        )
    return [_multiframe_header(multiframe[0], planes)], [slice_by_frame[number] for number in range(len(planes))]


def _single_frame_header(instance: Instance, plane: Plane, first: Plane, measures: Dataset) -> Dataset:
    """Return the header of one slice. highdicom requires orientations that agree in their last digit."""
    dataset = conforming_header(instance.dataset)
    dataset.update(measures)
    dataset.pop("SpacingBetweenSlices", None)  # often wrong; highdicom computes it from positions
    dataset.ImageOrientationPatient = decimal_strings([*first.row, *first.column])
    dataset.ImagePositionPatient = decimal_strings(plane.position)
    return dataset


def _multiframe_header(instance: Instance, planes: Sequence[Plane]) -> Dataset:
    """Return a multi-frame header with the planes where highdicom expects them, also for an Enhanced US Volume.

    A Segmentation has no functional group for volume coordinates; its frame of reference identifies them.
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
    """Return pixel spacing and the required slice thickness; if no header states it, slices touch each other."""
    depth = planes[0].thickness or float(np.linalg.norm(affine_from_planes(planes)[:3, 2]))
    measures = Dataset()
    measures.PixelSpacing, measures.SliceThickness = decimal_strings(planes[0].spacing), decimal_strings([depth])[0]
    return measures
