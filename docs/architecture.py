"""Write docs/architecture.md: the floors of the library, its doors, its rules and seven journeys through it.

    python docs/architecture.py

Floors and doors are those that `tests/test_architecture.py` enforces; what a room does is the first sentence of its
docstring; how the steps of a journey are connected is read from the code. `tests/test_documentation.py` fails when
the page is no longer what this file writes.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "architecture.md"
sys.path.insert(0, str(ROOT / "tests"))

from test_architecture import DOORS, FLOORS, TENSORS  # noqa: E402 (tests/ is no package)


@dataclass(frozen=True)
class Hop:
    """One step of a journey: a function, as `file:function` or `file:Class.method`, and what it does there."""

    place: str
    does: str

    @property
    def file(self) -> str:
        """The file, relative to the root of the repository."""
        return self.place.partition(":")[0]

    @property
    def function(self) -> str:
        """The function, or the class and its method."""
        return self.place.partition(":")[2]

    @property
    def name(self) -> str:
        """The last part of the function's name, which a caller writes."""
        return self.function.rpartition(".")[2]

    @property
    def room(self) -> str:
        """The room that the file belongs to."""
        return Path(self.file).with_suffix("").parts[1]


JOURNEYS: dict[str, tuple[Hop, ...]] = {
    "Run a study": (
        Hop("xmed/cli/run_commands.py:run_command", "`xmed run STUDY`: parses, checks the plan"),
        Hop("xmed/cli/flows.py:load_adapt_flow", "starts Prefect for this home"),
        Hop("pipelines/xmed_pipelines/adapt_flow.py:adapt_flow", "makes each step of the job a Prefect task"),
        Hop("xmed/app/adapt.py:adapt", "the job: every step, in order, in plain Python"),
        Hop("xmed/cohort/ingest.py:ingest_cases", "source and target, read into the store"),
        Hop("xmed/train/arm_processes.py:fit_all", "every arm and seed, each in its own process"),
        Hop("xmed/train/candidate_decision.py:promote", "may the adapted model become a candidate? (selection.json)"),
        Hop("xmed/evaluate/evaluate_run.py:evaluate", "predicts and measures the test cases (rows.json)"),
        Hop("xmed/monitor/validated_data.py:keep", "what new data will be compared with (monitor.json)"),
        Hop("xmed/report/build_report.py:write_report", "report.json and every page drawn from it"),
        Hop("xmed/registry/tracked_runs.py:log_run", "parameters, curves and files, to MLflow"),
        Hop("xmed/registry/registration.py:register", "the model, as a version with the alias `candidate`"),
    ),
    "From DICOM to a batch": (
        Hop("xmed/io/dicom/instance.py:read_instances", "the files of a folder, header by header"),
        Hop("xmed/io/dicom/pixels.py:modality_values", "stored values to modality values"),
        Hop("xmed/io/dicom/series.py:read_series", "slices sorted by position: one Volume, in LPS+"),
        Hop("xmed/io/image.py:read_image", "the same for DICOM, NIfTI and pictures"),
        Hop("xmed/cohort/case_inputs.py:read_and_check", "image and label of one case, in a sandboxed process"),
        Hop("xmed/cohort/case_reader.py:CaseReader", "each case of a dataset, or its refusal with a code"),
        Hop("xmed/cohort/store.py:Store", "writes a volume, whole or not at all, and maps it into memory again"),
        Hop("xmed/cohort/case.py:Cohort.image", "the same volume, when a training asks for it"),
        Hop("xmed/prepare/study_samples.py:load_samples", "the cases of a split, as the network of a study sees them"),
        Hop("xmed/prepare/sample.py:make_sample", "resampled to the network's grid, intensities normalised"),
        Hop("xmed/prepare/patches.py:Sampler", "random patches, augmented as one batch of tensors"),
        Hop("xmed/batch.py:Batch", "what one training step gets; a batch of the target has no label"),
    ),
    "The loss of a method": (
        Hop("xmed/train/arms.py:fit", "builds the network and the method"),
        Hop("xmed/train/loop.py:train", "the loop that all methods share: batches, precision, optimiser, checkpoints"),
        Hop("xmed/methods/method.py:Method", "what the loop asks of every method"),
        Hop("xmed/methods/gin.py:Gin", "one method: named losses of a source and a target batch"),
        Hop("xmed/rendering/appearance_change.py:random_convolutions", "an image in another random appearance"),
        Hop("xmed/tasks/segmentation.py:Segmentation.loss", "cross-entropy and soft Dice"),
        Hop("xmed/networks/distributed.py:Ranks.sum", "a sum over all devices that share the batch"),
    ),
    "From an image to a DICOM SEG": (
        Hop("xmed/cli/model_commands.py:predict_command", "`xmed predict MODEL INPUT -o OUT --format dicom-seg`"),
        Hop("xmed/app/predict_image.py:predict_file", "the job: read (see the second journey), predict, write"),
        Hop("xmed/registry/fetch_model.py:fetch", "a reference such as `models:/name@alias` to a checked model folder"),
        Hop("xmed/model/deployed.py:Model.load", "weights and card, checked before they are used"),
        Hop("xmed/model/prediction.py:predict", "Volume to label map"),
        Hop("xmed/model/prediction.py:segment", "probabilities, back on the grid of the image; the largest wins"),
        Hop("xmed/model/deployed.py:Model.probabilities", "the network in overlapping windows, averaged over flips"),
        Hop("xmed/prepare/geometry.py:interpolate", "linear interpolation from the network's grid to the image's"),
        Hop("xmed/io/objects/write_seg.py:write_seg", "the label map as a DICOM Segmentation (PS3.3 A.51)"),
        Hop("xmed/io/objects/source_images.py:read_source_images", "the images that its frames refer to"),
    ),
    "Selection without target labels": (
        Hop("xmed/app/adapt.py:promote_model", "the step of the job, after every training"),
        Hop("xmed/train/candidate_decision.py:promote", "per seed which arm is estimated best; writes selection.json"),
        Hop("xmed/model/prediction.py:predicted_probabilities", "what a model predicts of an unlabelled target volume"),
        Hop("xmed/select/unlabelled_measures.py:CandidateInputs.findings", "what is measured of each model"),
        Hop("xmed/select/validators.py:mean_overlap", "one of these measures: consistency under disturbance"),
        Hop("xmed/select/rank_models.py:rank_models", "checks, ranks over all measures, the decision and its reason"),
        Hop("xmed/select/trivial_estimates.py:best_baseline", "whether a trivial baseline is estimated best"),
    ),
    "A section of the report": (
        Hop("xmed/stats/coverage.py:risk_coverage_curve", "the statistic: risk when the least confident cases go"),
        Hop("xmed/report/sections/risk_coverage/compute.py:SECTION", "the section: its rules, its keys, its place"),
        Hop("xmed/report/sections/risk_coverage/compute.py:risk_plot", "its drawing"),
        Hop("xmed/report/section_registry.py:Section", "what every section is; each folder of sections/ is one"),
        Hop("xmed/report/compose_report.py:compose_report", "all parts: report.json, from the run's files alone"),
        Hop("xmed/report/build_report.py:write_report", "checks the document, writes every file of the report"),
        Hop("xmed/report/report_page.py:report_html", "the document to HTML: one template a section"),
        Hop("xmed/html/render.py:traced", "each number on the page names its place in the document"),
        Hop("xmed/files/atomic.py:write_atomically", "the file, whole or not at all"),
    ),
    "Approve a model": (
        Hop("xmed/cli/model_commands.py:approve_command", "`xmed approve NAME VERSION --by … --meaning …`"),
        Hop("xmed/registry/approval.py:approve", "the decision: the alias is given when nothing speaks against it"),
        Hop("xmed/registry/ledger.py:record", "the record of it, written before the alias is given"),
        Hop("xmed/registry/audit_log.py:append", "one line of audit.jsonl, chained to the line before by its hash"),
        Hop("xmed/registry/gate.py:gate_refusals", "every reason against it"),
        Hop("xmed/registry/recheck.py:disproved", "the run's own account, computed again"),
        Hop("xmed/report/verify.py:verify_report", "every number and hash of the report"),
        Hop("xmed/evaluate/remeasure.py:remeasure", "the kept predictions against the stored references"),
        Hop("xmed/evaluate/repredict.py:repredict", "the predictions, by the registered model"),
        Hop("xmed/train/candidate_decision.py:reselect", "the selection without target labels"),
    ),
}  # fmt: skip
"""The functions that matter, in the order in which a reader meets them. A room that is left is not entered again."""
LONGEST = 12
"""Hops of a journey."""


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


Definition = ast.FunctionDef | ast.ClassDef | ast.Assign


def _definitions(file: str) -> dict[str, Definition]:
    """Functions, classes, methods (as `Class.method`) and constants of a file."""
    found: dict[str, Definition] = {}
    for node in _tree(file).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}": part for part in node.body if isinstance(part, ast.FunctionDef)}
    return found


def exists(hop: Hop) -> bool:
    """Whether the file has the function."""
    return (ROOT / hop.file).is_file() and hop.function in _definitions(hop.file)


@dataclass(frozen=True)
class Used:
    """The names that a piece of code uses: plain ones, those that it reaches by a dot, and of these what it calls."""

    plain: set[str]
    dotted: set[str]
    called: set[str]

    @classmethod
    def by(cls, node: ast.AST) -> Used:
        """The names in a function or class; what it imports counts as plain, under its own name."""
        parts = list(ast.walk(node))
        imported = {part.name.rpartition(".")[2] for part in parts if isinstance(part, ast.alias)}
        return cls(
            {part.id for part in parts if isinstance(part, ast.Name)} | imported,
            {part.attr for part in parts if isinstance(part, ast.Attribute)},
            {part.func.attr for part in parts if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute)},
        )


def _imports(file: str) -> Iterator[tuple[str, str, str]]:
    """(module, name, name in this file) of everything of xmed that a file imports, at its top or in a function."""
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("xmed"):
            yield from ((node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def _imports_module_of(hop: Hop, other: Hop) -> bool:
    """Whether the file of one function imports the module of another, or the package that re-exports it."""
    target = other.file.removeprefix("pipelines/").removesuffix(".py").replace("/", ".")
    if hop.file == other.file:
        return True
    for module, name, _ in _imports(hop.file):
        if target.startswith(f"xmed.{name}" if module == "xmed" else module):
            return True
    return False


@cache
def _names_of(hop: Hop) -> Used:
    """The names that a function uses, itself or in the functions of its own file that it calls."""
    definitions = _definitions(hop.file)
    renamed = {alias: name for _, name, alias in _imports(hop.file) if alias != name}
    waiting, seen, total = [hop.function], set[str](), Used(set(), set(), set())
    while waiting:
        function = waiting.pop()
        if function in seen:
            continue
        seen.add(function)
        used, owner = Used.by(definitions[function]), function.rpartition(".")[0]
        total.plain.update(used.plain, {renamed[name] for name in used.plain if name in renamed})
        total.dotted.update(used.dotted)
        total.called.update(used.called)
        waiting += [name for name in used.plain if name in definitions]
        waiting += [f"{owner}.{name}" for name in used.dotted if f"{owner}.{name}" in definitions]
    return total


def uses(hop: Hop, other: Hop) -> bool:
    """Whether a function uses another: calls a method, or names a function or class whose module its file imports."""
    used = _names_of(hop)
    if "." in other.function:
        return other.name in used.called
    return other.name in used.plain | used.dotted and _imports_module_of(hop, other)


def _result_types(hop: Hop) -> set[str]:
    """The types of xmed in the annotation of what a function returns; for a class, itself."""
    node = _definitions(hop.file)[hop.function]
    if isinstance(node, ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return set()
    own = {name for name, part in _definitions(hop.file).items() if isinstance(part, ast.ClassDef)}
    own |= {alias for _, _, alias in _imports(hop.file)}
    return Used.by(node.returns).plain & own if node.returns else set()


def takes_result(hop: Hop, other: Hop) -> bool:
    """Whether a function works with a type of xmed that another one returns."""
    return bool(_result_types(other) & _names_of(hop).plain)


CONNECTIONS: tuple[tuple[str, Callable[[Hop, Hop], bool]], ...] = (
    ("used by", lambda hop, other: uses(other, hop)),
    ("uses", uses),
    ("takes the result of", takes_result),
)
"""How a step of a journey is connected with an earlier one; the first that holds is shown."""


def connected(hop: Hop, other: Hop) -> bool:
    """Whether the code connects two functions, in either direction."""
    return any(holds(hop, other) or holds(other, hop) for _, holds in CONNECTIONS)


def _connection(hops: Sequence[Hop], number: int) -> str:
    """How a step is connected with the nearest earlier one, for the page; empty where only later ones lead to it."""
    for how, holds in CONNECTIONS:
        for earlier in range(number - 1, -1, -1):
            if holds(hops[number], hops[earlier]):
                return f" ({how} {earlier + 1})"
    return ""


def rooms_of(hops: Sequence[Hop]) -> list[str]:
    """The rooms of a journey in their order, each once for every stay."""
    rooms: list[str] = []
    for hop in hops:
        if not rooms or rooms[-1] != hop.room:
            rooms.append(hop.room)
    return rooms


def disconnected(hops: Sequence[Hop]) -> list[str]:
    """The steps of a journey that no other step of it leads to."""
    reached, waiting = {hops[0]}, [hops[0]]
    while waiting:
        hop = waiting.pop()
        near = [other for other in hops if other not in reached and connected(hop, other)]
        reached |= set(near)
        waiting += near
    return [hop.place for hop in hops if hop not in reached]


def purpose(room: str) -> str:
    """What a room does: the first sentence of its docstring, without the noun that it begins with."""
    folder = ROOT / ("pipelines" if room == "xmed_pipelines" else "xmed")
    path = folder / room / "__init__.py" if (folder / room).is_dir() else folder / f"{room}.py"
    text = ast.get_docstring(_tree(str(path.relative_to(ROOT)))) or ""
    sentence = " ".join(text.split("\n\n")[0].split())
    noun, colon, rest = sentence.partition(": ")
    return rest if colon and len(noun) < 20 else sentence


def _floors() -> str:
    rows = []
    for number in range(len(FLOORS), 0, -1):
        rooms = FLOORS[number - 1]
        rows += [f"| {number} | `{_shown(room)}` | {purpose(room)} |" for room in rooms]
    return "| floor | room | what it does |\n|---|---|---|\n" + "\n".join(rows)


def _shown(room: str) -> str:
    return room if room == "xmed_pipelines" else f"xmed.{room}"


def _doors() -> str:
    rows = [
        f"| `{package}` | {'the rooms that work on tensors' if rooms is TENSORS else _listed(rooms)} |"
        for package, rooms in DOORS.items()
    ]
    return "| package | imported only in |\n|---|---|\n" + "\n".join(rows)


def _listed(rooms: set[str]) -> str:
    return ", ".join(f"`{_shown(room)}`" for room in sorted(rooms))


def _journey(title: str, hops: Sequence[Hop]) -> str:
    lines = [
        f"### {title}",
        "",
        f"{len(hops)} steps; rooms: {' → '.join(f'`{_shown(r)}`' for r in rooms_of(hops))}.",
        "",
    ]
    for number, hop in enumerate(hops):
        lines.append(f"{number + 1}. `{hop.file}`: `{hop.function}`{_connection(hops, number)}: {hop.does}")
    return "\n".join(lines)


def text() -> str:
    """The whole page."""
    return TEMPLATE.format(
        floors=_floors(),
        doors=_doors(),
        tensors=_listed(TENSORS),
        journeys="\n\n".join(_journey(title, hops) for title, hops in JOURNEYS.items()),
        longest=LONGEST,
    )


TEMPLATE = """\
<!-- Written by `python docs/architecture.py`: change that file, or the docstring that a line comes from. -->

# Architecture

**The journey, in one sentence:** volumes come in through `io`, become a `cohort`, are brought onto a network's grid by
`prepare`; a `method` learns a `task` from them, `evaluate` measures, `report` shows, `registry` keeps; `app` does one
whole job, `xmed_pipelines` schedules it, `cli` asks for it.

That journey is a script that a test runs: [`journey.py`](journey.py). The names for scripts and notebooks are in
[`python.md`](python.md), and [`where.md`](where.md) says in which file each of forty features is.

## Floors

A room is a folder or a single file of the library. It imports only from floors below its own; rooms of one floor do not
import each other. Each sentence is the first of the room's docstring. `tests/test_architecture.py` holds the table and
enforces it, without exceptions.

{floors}

## Doors

A heavy package is imported in few rooms, so that it can be replaced there, and so that what does not need it starts
fast.

{doors}

The rooms that work on tensors are {tensors}.

## Nine rules

1. **Typed documents.** A JSON file that one room writes and another reads is one frozen type. No `dict[str, Any]`
   passes from room to room.
2. **A folder is a registry.** A method, a renderer, a scene, a section of the report or a group of commands is one file
   or folder beside its siblings. Adding one changes no other file, and one test asks all of them the same questions.
3. **One word, one meaning,** and it is the field's word: `reference`, `prediction`, `case`, `patient`, `arm`,
   `checkpoint`, `patch`, `spacing`, `quarantine`, `candidate`. No module has the name of another.
4. **Plain English.** Docstrings say what a function does, with shapes, units and source. Errors print what was found,
   what was expected and how to fix it.
5. **A front door.** `import xmed` gives the names that scripts need, imported when they are first used.
6. **No hidden state.** A `Home` knows where everything lies. Random generators are passed in.
7. **Facts without torch.** Names, citations and settings of methods and networks can be read without loading torch.
8. **A package's `__init__` only re-exports,** what its `__init__.pyi` lists, and imports a name when it is first used
   (`lazy_loader`): `xmed models` needs no torch. Logic lives in modules with names. A file under 40 lines joins the
   neighbour that it serves; functions stay short.
9. **Classes of errors above the codes:** what the user gave, the data, the model, a service. The codes stay.

## Where this differs from the first plan, and why

- **More floors, fewer rooms on each.** The plan had eleven floors with up to seven rooms, some of which imported their
  neighbours, with a list of exceptions. Here the order is almost linear: every import that was an exception became
  the difference between two floors. A reader needs no list of exceptions.
- **`train` stands above `select` and `evaluate`.** A training asks `select` which of its checkpoints to keep, so the
  three cannot be neighbours.
- **`registry` stands above `report`.** The gate verifies a report before it opens. `html` stands below
  `report`, since the pages of comparisons and drift checks use it, too.
- **The room for comparisons is `xmed.comparison`.** `compare` is a function of the front door; a module of the same
  name would hide it.
- **`files` and `processes` are rooms of their own.** Nearly every room needs atomic writes, digests, and processes that
  end with their parent.
- **`console` is a room.** `app` and `cli` both need progress, tables and the lock of a home, so these lie below both.
- **`xmed.predict` stays,** as a module that can be called. Scripts, and models registered by version 0.1.0, import it.
- **`home` lies below `run`,** since a run knows its home.

## Seven journeys

Each is a list of the functions that matter, in the order in which a reader meets them. A journey has at most {longest}
steps and does not enter again a room that it has left. What stands in brackets is read from the code: which earlier
step uses this one, which one this one uses, or whose result it takes. Helpers inside a file are no steps. A test fails
where a step is gone, or where nothing in the code leads to it.

{journeys}
"""

if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
