"""Leakage: what stands both where something is learned or chosen and in the target's test; looked for five ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xmed.cohort.case import Case, Cohort
from xmed.cohort.near_duplicates import LIMIT, closest, likeness
from xmed.cohort.store import Store
from xmed.records.data_summary import Leakage
from xmed.spec import Split

LEARNED: tuple[Split, ...] = ("train", "select")
Member = tuple[Cohort, Case]
NO_UIDS = "the files name none (no DICOM, or read before headers' facts were kept)"
TEXTS = {
    "patient_overlap": "patients, by identity",
    "study_overlap": "studies, by UID",
    "series_overlap": "series, by UID",
    "pixel_overlap": "images, by sha256 of their voxels",
    "near_duplicates": "images nearly alike, by correlation of 16×16×16 thumbnails",
}


def leakage(learned: Sequence[Cohort], target: Cohort) -> Leakage:
    """Lists of what the train and select cases of `learned` share with the test cases of `target`.

    And `checks`: what was compared with what, how much was found, and how near the nearest pair of images came.

    A renamed or repacked copy is found by the digest of its voxels, one that was rescaled, compressed or disturbed a
    little by its likeness. Near duplicates are for a person to look at: two healthy organs may be alike.
    """
    known = [(cohort, case) for cohort in learned for case in cohort.split(*LEARNED)]
    tested = [(target, case) for case in target.split("test")]
    near, nearest = _near(known, tested, target)
    found: dict[str, list[Any]] = {
        "patient_overlap": sorted({c.patient for _, c in known} & {c.patient for _, c in tested}),
        "study_overlap": _shared(_facts(known, "study"), _facts(tested, "study")),
        "series_overlap": _shared(_facts(known, "series"), _facts(tested, "series")),
        "pixel_overlap": _shared(_pixels(known), _pixels(tested)),
        "near_duplicates": near,
    }
    sides = {
        "study_overlap": (_facts(known, "study"), _facts(tested, "study")),
        "series_overlap": (_facts(known, "series"), _facts(tested, "series")),
    }
    checks = []
    for key, text in TEXTS.items():
        n_learned, n_tested = (len(side) for side in sides.get(key, (known, tested)))
        possible = n_learned > 0 and n_tested > 0
        checks.append({
            "id": key,
            "text": text,
            "between": "what is learned or chosen from, and what is tested on",
            "n_learned": n_learned,
            "n_tested": n_tested,
            "found": len(found[key]) if possible else None,
            "reason": None if possible else NO_UIDS,
            "limit": LIMIT if key == "near_duplicates" else None,
            "closest": nearest if key == "near_duplicates" else None,
        })  # fmt: skip
    return Leakage.model_validate({**found, "checks": checks})


def _near(
    known: list[Member], tested: list[Member], target: Cohort
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Pairs at or above LIMIT that are not the very same voxels, and the nearest pair of all; of one modality only."""
    alike = [(cohort, case) for cohort, case in known if case.image and cohort.spec.modality == target.spec.modality]
    images = [(cohort, case) for cohort, case in tested if case.image]
    if not alike or not images:
        return [], None
    table = closest([likeness(c, case) for c, case in alike], [likeness(c, case) for c, case in images])
    of = {case.image: Store(cohort.home).meta(str(case.image))["sha256"] for cohort, case in (*alike, *images)}
    pairs: list[dict[str, Any]] = []
    for row, (_, there) in enumerate(images):
        for column, (cohort, here) in enumerate(alike):
            if of[here.image] != of[there.image]:  # the very same voxels are found by their digest
                pair = {"learned": here.id, "dataset": cohort.spec.name, "tested": there.id}
                pairs.append({**pair, "correlation": round(float(table[row, column]), 6)})
    pairs.sort(key=lambda pair: (-pair["correlation"], pair["tested"], pair["learned"]))
    return [pair for pair in pairs if pair["correlation"] >= LIMIT], next(iter(pairs), None)


def _facts(members: list[Member], name: str) -> set[str]:
    found = (Store(cohort.home).meta(case.image).get("facts", {}).get(name) for cohort, case in members if case.image)
    return {text for text in found if text}


def _pixels(members: list[Member]) -> set[str]:
    return {Store(cohort.home).meta(case.image)["sha256"] for cohort, case in members if case.image}


def _shared(one: set[str], other: set[str]) -> list[str]:
    return sorted(one & other)
