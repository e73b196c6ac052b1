"""Describes the patients that a model was validated on in numbers, to compare new data with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xmed import __version__
from xmed.cohort import Case, load_cohort
from xmed.errors import XmedError
from xmed.evaluate import judged
from xmed.files.digest import digest, folder_digest
from xmed.files.progress import Progress
from xmed.model.deployed import Model
from xmed.model.prediction import adapts_at_test_time
from xmed.monitor.alarm import RULE, simulated
from xmed.monitor.measure import Bench, by_patient, unlinked
from xmed.records.data_summary import DataSummary
from xmed.records.drift import Measurements, ValidationReference
from xmed.records.evaluation import CaseRows
from xmed.records.record import Number
from xmed.report.failure_causes import TAU
from xmed.report.row_facts import unsupported
from xmed.run import Arm, Run

SCHEMA = "xmed-reference/1"
MOST_OTHERS, MOST_DISTURBED = 8, 5
"""Patients beyond the tested ones who are measured for the simulation, and those who are measured disturbed, too."""


def keep(run: Run, home: Path, progress: Progress | None = None) -> ValidationReference:
    """Make the reference of a run and write it as monitor.json; the same weights on the same data are measured once.

    Args:
        run: An evaluated run.
        home: The home.
        progress: Reports each measured case.

    Returns:
        What new data will be compared with.

    Raises:
        XmedError: DATA_CHANGED, PATH_NOT_FOUND.
    """
    if not run.has(ValidationReference) or run.read(ValidationReference).of != _of(run):
        run.write(reference(run, home, progress))
    return run.read(ValidationReference)


def reference(run: Run, home: Path, progress: Progress | None = None) -> ValidationReference:
    """Measure the target's test patients with the first seed's adapted model; the result names nobody.

    The simulation has no disturbed images where the study says `robustness: false`, or where the method learns anew
    from every volume.

    Args:
        run: An evaluated run.
        home: The home.
        progress: Reports each measured case.

    Raises:
        XmedError: DATA_CHANGED where the target is not the one that the run was evaluated on, PATH_NOT_FOUND.
    """
    study, target = run.study, load_cohort(run.study.target, home)
    if target.fingerprint != run.read(DataSummary).target.fingerprint:
        what = f"{target.spec.name} has changed since run {run.id}"
        raise XmedError("DATA_CHANGED", what, "the data that the model was validated on", "run the study again")
    model = Model.load(run.arm(Arm.ADAPTED, study.seeds[0]) / "model")
    bench, tested = Bench(model, target, target.spec.spacing_credible, progress), judged(target)
    rows, unread = bench.measure(tested)
    others = _others(target.cases, tested)
    pool = by_patient(tested, rows)
    rest = by_patient(others, bench.measure(others)[0])
    disturb = study.robustness and not adapts_at_test_time(model)
    copies = bench.disturbed(_one_each([*others, *tested])[:MOST_DISTURBED]) if disturb else {}
    return ValidationReference(
        schema=SCHEMA,
        of=_of(run),
        rule=RULE,
        study=study.name,
        run=run.id,
        weights_sha256=str(model.weights_sha256),
        dataset=target.spec.name,
        fingerprint=target.fingerprint,
        modality=model.modality,
        credible=bench.credible,
        structures=study.structures,
        cases=len(rows),
        refused=sum(case.split == "test" for case in target.quarantined) + len(unread),
        patients=unlinked(pool),
        errors=_errors(run, tested, rows),
        tau=study.protocol.failure_below or TAU,
        simulation=simulated({**pool, **rest}, copies, len(pool)),
    )


def _of(run: Run) -> str:
    model = folder_digest(run.arm(Arm.ADAPTED, run.study.seeds[0]) / "model")
    return digest([model, run.read(DataSummary).target.fingerprint, run.study.robustness, SCHEMA, __version__])


def _others(cases: Sequence[Case], tested: Sequence[Case]) -> list[Case]:
    """One image of each of a few target patients who were not tested."""
    patients = {case.patient for case in tested}
    return _one_each([case for case in cases if case.image and case.patient not in patients])[:MOST_OTHERS]


def _one_each(cases: Sequence[Case]) -> list[Case]:
    return list({case.patient: case for case in reversed(cases)}.values())[::-1]


def _errors(run: Run, tested: Sequence[Case], measured: Mapping[str, Measurements]) -> dict[str, list[Number]]:
    """Of each structure the patients' largest |confidence − Dice|, in an order that says nothing about anybody."""
    patients, seed = {case.id: case.patient for case in tested}, run.study.seeds[0]
    largest: dict[str, dict[str, float]] = {name: {} for name in run.study.structures}
    rows = run.read(CaseRows).root
    lacking = unsupported(rows)  # a Dice of 0 of what nobody has says nothing of confidence
    for row in (row for row in rows if row.structure not in lacking):
        if (row.arm, row.seed) == (Arm.ADAPTED, seed) and row.case in measured and row.dice is not None:
            error = abs(measured[row.case].numbers["confidence"][row.structure] - row.dice)
            of_structure, patient = largest[row.structure], patients[row.case]
            of_structure[patient] = max(of_structure.get(patient, 0.0), error)  # a patient counts once
    return {name: [*sorted(errors.values())] for name, errors in largest.items()}
