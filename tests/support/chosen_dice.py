"""Runs whose every Dice is chosen: what the verdict, the table and the page make of them."""

import json
import re

from support.evaluated_runs import missed, undefined, written
from xmed import report
from xmed.report.compose_report import compose_report
from xmed.report.sources import Sources

PATIENTS = 8
CLEAR = {
    "source_only": 0.2,
    "adapted": 0.8,
    "target_supervised": 0.88,
    "trivial_threshold": 0.3,
    "trivial_position": 0.4,
}


def run_of(folder, dice=None, patients=PATIENTS, spread=0.01, also=None, **how):
    """A run in which every arm has these Dice of the primary structure.

    dice: arm -> one number, around which patients lie within `spread`, or one number for each patient.
    also: (row) -> row, at last.
    """
    values = {**CLEAR, **(dice or {})}

    def change(rows):
        out = []
        for row in rows:
            if row["structure"] == how.get("names", ("prostate", "bladder"))[0]:
                n, given = int(row["patient"].rpartition("-")[2]), values[row["arm"]]
                one = given[n] if isinstance(given, list | tuple) else given + spread * (1 if n % 2 else -1)
                row = missed(row) if one <= 0 else {**row, "dice": one, "nsd": one if row["nsd"] is not None else None}
            out.append(also(row) if also else row)
        return [row for row in out if row is not None]

    return written(folder, patients=patients, seeds=how.pop("seeds", (0,)), change=change, **how)


def without(*structures):
    """For `also`: no test patient has these structures; the trivial arms and the adapted net draw them nevertheless."""

    def change(row):
        if row["structure"] not in structures:
            return row
        drawn = row["arm"] in ("adapted", "trivial_threshold", "trivial_position")
        return invented(row) if drawn else undefined(row)

    return change


def invented(row):
    """The row of a case without the structure, in which it was drawn: as evaluation writes it."""
    none = dict.fromkeys(("hd95_mm", "hd_mm", "assd_mm", "centre_inside", "centre_off_mm"))
    return {**row, **none, "dice": 0.0, "nsd": 0.0, "volume_ml": 12.0, "reference_volume_ml": 0.0, "components": 2,
            "largest_share": 0.7, "reference_empty": True}  # fmt: skip


def judged(run):
    """report.json of a run, without drawing a page."""
    return json.loads(json.dumps(compose_report(Sources.of(run)), allow_nan=False))


def built(run):
    """(report.json, the text of report.html) of a run."""
    page = report.write_report(run)
    return json.loads((run.report / "report.json").read_text()), plain(page.read_text())


def plain(page):
    """What a reader sees of a page."""
    bare = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare)).replace("&#39;", "'").replace("&gt;", ">")


def first_paragraph(run):
    """The first paragraph below the heading of the report's summary."""
    page = (run.report / "report.html").read_text()
    return plain(re.search(r'<section id="summary".*?<p[^>]*>(.*?)</p>', page, re.S)[1])
