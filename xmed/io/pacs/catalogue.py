"""Find the series that a query selects, from study level down to single objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import translate
from functools import partial
from itertools import product

from xmed.errors import XmedError
from xmed.io.pacs.archive import Archive, ArchiveSeries, MatchAttributes, QueryLevel, with_retries
from xmed.spec.archive_query import Wanted

Query = dict[str, str | list[str]]
STUDY = ("PatientID", "PatientName", "AccessionNumber", "StudyDate", "StudyDescription", "StudyInstanceUID",
         "ModalitiesInStudy")  # fmt: skip
SERIES = ("Modality", "SeriesDescription", "SeriesInstanceUID", "BodyPartExamined", "ProtocolName")
OBJECT = ("SOPInstanceUID", "SOPClassUID")
UID = re.compile(r"[0-9.]{1,64}")
"""Form of a UID (PS3.5 9.1). Other text could change a query or the address of a request."""


def find_series(archive: Archive, query: Wanted, studies: Sequence[ArchiveSeries] = ()) -> list[ArchiveSeries]:
    """Find every series that a query selects.

    Args:
        archive: The archive.
        query: Values by DICOM keyword.
        studies: If given, search only in the studies of these series.

    Returns:
        The series with their objects, sorted by UID.

    Raises:
        XmedError: PACS_UNREACHABLE, PACS_REFUSED, PACS_ANSWER.
    """
    series_by_uid: dict[str, ArchiveSeries] = {}
    of_study: Query = {key: value for key, value in query.items() if key in STUDY}
    of_series: Query = {key: value for key, value in query.items() if key in SERIES}
    for study in _find_studies(archive, of_study, studies):
        uid = _checked_uid(study, "StudyInstanceUID")
        for series in _find_matches(archive, "SERIES", {**of_series, "StudyInstanceUID": uid}, SERIES):
            series_uid = _checked_uid(series, "SeriesInstanceUID")
            place = {"StudyInstanceUID": uid, "SeriesInstanceUID": series_uid}
            objects = with_retries(partial(archive.find, "IMAGE", place, OBJECT))
            names = {_checked_uid(match, "SOPInstanceUID"): match["SOPClassUID"] for match in objects}
            if names:
                patient = study["PatientID"] or uid
                series_by_uid[series_uid] = ArchiveSeries(patient, uid, series_uid, names)
    return [series_by_uid[uid] for uid in sorted(series_by_uid)]


def _find_studies(archive: Archive, query: Query, studies: Sequence[ArchiveSeries]) -> Iterator[MatchAttributes]:
    """Yield the studies of the query, or the studies that are already known."""
    if studies:
        patient_of = {series.study: series.patient for series in studies}
        yield from ({"StudyInstanceUID": uid, "PatientID": patient} for uid, patient in sorted(patient_of.items()))
    else:
        yield from _find_matches(archive, "STUDY", query, STUDY)


def _find_matches(archive: Archive, level: QueryLevel, query: Query, keywords: Sequence[str]) -> list[MatchAttributes]:
    """Return the matches, with one query for each combination of listed values.

    An archive ignores keys that it does not support (PS3.18 8.3.4, PS3.4 C.2.2.2.1) and then returns too many matches,
    so they are filtered again.
    """
    matches = []
    lists = [value if isinstance(value, list) else [value] for value in query.values()]
    for values in product(*lists):
        keys = dict(zip(query, values))
        answers = with_retries(partial(archive.find, level, keys, keywords))
        matches += [match for match in answers if all(_value_matches(match.get(key, ""), keys[key]) for key in keys)]
    return matches


def _value_matches(value: str, key: str) -> bool:
    """Return whether a value matches a key by PS3.4 C.2.2.2.

    Supported are wildcards ignoring case, date ranges, and one of several values. If the archive does not return the
    value, it cannot be compared, and the match is accepted.
    """
    if not value or not key:
        return True
    dates = re.fullmatch(r"(\d{8})?-(\d{8})?", key)
    if dates and value.isdecimal():
        return (dates[1] or "0") <= value <= (dates[2] or "9")
    pattern = re.compile(translate(key.replace("[", "[[]")), re.IGNORECASE)
    return any(pattern.match(part.strip()) for part in value.split("\\"))


def _checked_uid(match: MatchAttributes, keyword: str) -> str:
    """Return the UID of a match, or refuse the answer."""
    if not UID.fullmatch(match[keyword]):
        raise XmedError("PACS_ANSWER", f"the archive returned a match without {keyword}", "a UID (PS3.5 9.1)")
    return match[keyword]
