"""Description: explains de-identification, from the tables that it works with."""

from __future__ import annotations

from pydantic import JsonValue
from pydicom.uid import UID

from xmed.deidentify import burned_in_text, pixel_mask
from xmed.deidentify.allowed_attributes import (
    EMPTY,
    METHOD_CODES,
    PATIENT,
    PERMITTED,
    PRIVATE,
    VENDORS,
    Rule,
    Words,
)
from xmed.deidentify.key import MAX_DAYS, VARIABLE
from xmed.deidentify.nifti_file import KEPT
from xmed.records.deidentification_rules import DeidentificationRules
from xmed.records.record import content

_PRIVATE = {"DS": Rule.NUMBER.value, "FL": Rule.NUMBER.value, "DT": Rule.TIME.value}


def explain_rules() -> DeidentificationRules:
    """Describe every rule: which attributes are kept and how, what happens to pixels, names and NIfTI headers.

    Returns:
        The rules, from the tables that de-identification works with.
    """
    return DeidentificationRules.model_validate({
        "attributes": {
            group: {keyword: _rule_text(rule) for keyword, rule in rules.items()} for group, rules in PERMITTED.items()
        },
        "of the patient, in positron emission alone": {keyword: _rule_text(rule) for keyword, rule in PATIENT.items()},
        "private, which scale stored values": {
            f"({element.group:04X},xx{element.element:02X}) {element.creator}": _PRIVATE[element.kind]
            for element in PRIVATE
        },
        "empty where nothing crosses": list(EMPTY),
        "made anew": {
            "PatientName, PatientID": "one pseudonym, keyed",
            "Manufacturer": f"the vendor's word, of {', '.join(sorted(VENDORS))}",
            "file meta information, preamble": "written for the new object; nothing of the old",
            "file and folder names": "keyed pseudonyms; never a tag, never the old name",
        },
        "time": f"a patient's moments move back by one keyed amount, up to {MAX_DAYS} days and a part of a day",
        "time zones": "where one is known all moments become UTC, and the copy says +0000; else they stay local",
        "quantities": "original and copy are read and compared: where their values or units differ it is withheld",
        "key": f"{VARIABLE}, else the file deidentify/key in XMED_HOME",
        "screens": {
            "kinds": _names(pixel_mask.PICTURES),
            "kept": "tissue regions calibrated in cm, to the bit; 0 elsewhere, in every frame",
            "withheld": "without such a region, or where they cover "
            f"{pixel_mask.MAX_REGION_SHARE:.0%} of the picture or more",
        },
        "slices": {"kinds": _names(pixel_mask.SLICES), "kept": "the stored bits of every pixel"},
        "every other kind": "withheld",
        "writing": " ".join((burned_in_text.__doc__ or "").split())
        + f" {burned_in_text.MIN_LETTERS} in a row withhold the file.",
        "faces": "MR, CT and PET of what the header calls a head are withheld until --face says what holds for them",
        "nifti": {"kept": list(KEPT), "dropped": "every other field, extensions, what follows the voxels"},
        "method codes (PS3.16 CID 7050)": dict(METHOD_CODES),
    })  # fmt: skip


def explanation_lines(rules: DeidentificationRules) -> list[str]:
    """Write rules as lines of text for a terminal.

    Args:
        rules: What `explain_rules` returned.

    Returns:
        The lines, indented by two spaces for each level.
    """
    return _lines(content(rules), 0)


def _lines(value: JsonValue, depth: int) -> list[str]:
    indent = "  " * depth
    if not isinstance(value, dict):
        return [f"{indent}{', '.join(map(str, value)) if isinstance(value, list) else value}"]
    text_lines = []
    for name, part in value.items():
        if isinstance(part, str):
            text_lines.append(f"{indent}{name}: {part}")
        else:
            text_lines += [f"{indent}{name}", *_lines(part, depth + 1)]
    return text_lines


def _rule_text(rule: Rule | Words) -> str:
    return rule.value if isinstance(rule, Rule) else f"kept where it is one of {', '.join(sorted(rule))}"


def _names(uids: set[UID]) -> list[str]:
    return sorted(uid.name for uid in uids)
