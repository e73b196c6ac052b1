"""Leakage: finds what the training or selection data share with the target's test cases; five checks."""

from __future__ import annotations

from collections.abc import Sequence

from xmed.cohort.case import Case, Cohort
from xmed.cohort.near_duplicates import NEAR_DUPLICATE_CORRELATION, stored_thumbnail, thumbnail_correlations
from xmed.cohort.store import Store
from xmed.records.data_summary import Leakage, LeakageCheck, NearPair
from xmed.spec import Split

LEARNED: tuple[Split, ...] = ("train", "select")
"""Partitions that a model is trained on or selected with."""
Member = tuple[Cohort, Case]
NO_UIDS = "the files name none (no DICOM, or read before headers' facts were kept)"
TEXTS = {
    "patient_overlap": "patients, by identity",
    "study_overlap": "studies, by UID",
    "series_overlap": "series, by UID",
    "pixel_overlap": "images, by sha256 of their voxels",
    "near_duplicates": "images nearly alike, by correlation of 16×16×16 thumbnails",
}


def find_leakage(learned: Sequence[Cohort], target: Cohort) -> Leakage:
    """Find what the train and select cases of some cohorts share with the test cases of the target.

    A renamed or repacked copy is found by the digest of its voxels; one that was rescaled, compressed or slightly
    disturbed by the correlation of its thumbnail. A person must look at near duplicates: two healthy organs can look
    alike.

    Args:
        learned: The cohorts that are trained on or selected with.
        target: The cohort whose test cases are used for evaluation.

    Returns:
        For each key of `TEXTS` the list of what is shared, and `checks`: for each of them how many items were
        compared on both sides, how many are shared, and the correlation of the most similar pair of images.
    """
    members = [(cohort, case) for cohort in learned for case in cohort.split(*LEARNED)]
    tested = [(target, case) for case in target.split("test")]
    near, nearest = _near_duplicates(members, tested, target)
    uids = {name: (_uids(members, name), _uids(tested, name)) for name in ("study", "series")}
    shared: dict[str, Sequence[str | NearPair]] = {
        "patient_overlap": sorted({c.patient for _, c in members} & {c.patient for _, c in tested}),
        "study_overlap": sorted(set.intersection(*uids["study"])),
        "series_overlap": sorted(set.intersection(*uids["series"])),
        "pixel_overlap": sorted(_pixels(members) & _pixels(tested)),
        "near_duplicates": near,
    }
    sides = {"study_overlap": uids["study"], "series_overlap": uids["series"]}
    checks = []
    for key, text in TEXTS.items():
        n_learned, n_tested = (len(side) for side in sides.get(key, (members, tested)))
        possible = n_learned > 0 and n_tested > 0
        check = LeakageCheck(
            id=key,
            text=text,
            between="what is learned or chosen from, and what is tested on",
            n_learned=n_learned,
            n_tested=n_tested,
            found=len(shared[key]) if possible else None,
            reason=None if possible else NO_UIDS,
            limit=NEAR_DUPLICATE_CORRELATION if key == "near_duplicates" else None,
            closest=nearest if key == "near_duplicates" else None,
        )
        checks.append(check)
    return Leakage.model_validate({**shared, "checks": checks})


def _near_duplicates(
    learned: list[Member], tested: list[Member], target: Cohort
) -> tuple[list[NearPair], NearPair | None]:
    """Pairs of images of one modality at or above the limit with different voxels, and the most similar pair of all."""
    same_modality = [(cohort, case) for cohort, case in learned if cohort.spec.modality == target.spec.modality]
    candidates = [(cohort, case) for cohort, case in same_modality if case.image]
    images = [(cohort, case) for cohort, case in tested if case.image]
    if not candidates or not images:
        return [], None
    learned_thumbnails = [stored_thumbnail(cohort, case) for cohort, case in candidates]
    table = thumbnail_correlations(learned_thumbnails, [stored_thumbnail(cohort, case) for cohort, case in images])
    digest_of = {case.image: _voxel_digest(cohort, case) for cohort, case in (*candidates, *images)}
    pairs: list[NearPair] = []
    for row, (_, tested_case) in enumerate(images):
        for column, (cohort, learned_case) in enumerate(candidates):
            if digest_of[learned_case.image] != digest_of[tested_case.image]:  # identical voxels: `pixel_overlap`
                correlation = round(float(table[row, column]), 6)
                pairs.append(
                    NearPair(
                        learned=learned_case.id,
                        dataset=cohort.spec.name,
                        tested=tested_case.id,
                        correlation=correlation,
                    )
                )
    pairs.sort(key=lambda pair: (-pair.correlation, pair.tested, pair.learned))
    return [pair for pair in pairs if pair.correlation >= NEAR_DUPLICATE_CORRELATION], next(iter(pairs), None)


def _uids(members: list[Member], name: str) -> set[str]:
    """The keyed UIDs of study or series that the images' headers name."""
    texts = (Store(cohort.home).meta(case.image).facts.get(name) for cohort, case in members if case.image)
    return {text for text in texts if text}


def _pixels(members: list[Member]) -> set[str]:
    return {_voxel_digest(cohort, case) for cohort, case in members if case.image}


def _voxel_digest(cohort: Cohort, case: Case) -> str:
    return Store(cohort.home).meta(str(case.image)).sha256
