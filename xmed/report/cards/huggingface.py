"""Hugging Face: the report as a model card, README.md with `model-index` metadata.

https://huggingface.co/docs/hub/model-card-annotated says which sections a card has; its metadata is YAML on top.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML

from xmed.html.render import NONE, initial, number, span, word
from xmed.report.display_names import ARM_NAMES, METRIC_NAMES

MISSING = "NOT PROVIDED"
SHOWN = ("dice", "nsd", "hd95_mm")


def huggingface_card(report: dict[str, Any]) -> str:
    """README.md of a model: what it is, for whom, how good, how bad, and where the evidence is."""
    data, said = report["data"]["target"], report["text"]["items"]
    names = ", ".join(map(word, report["study"]["structures"]))
    parts = [
        f"---\n{_metadata(report)}---\n",
        f"# {_plain(report['model']['name'])}\n",
        f"{_plain(report['headline']['sentence'])}\n",
        f"**Verdict: {report['verdict']}.** {_plain('; '.join(report['banner']['reasons']))}.\n",
        f"Research use only, not for diagnosis. Judged on {_plain(data['name'])} ({data['modality']}); structures: "
        f"{_plain(names)}.\n",
        "## Uses\n",
        f"- Intended use: {_plain(said.get('intended_use') or MISSING)}",
        f"- Users: {_plain(said.get('users') or MISSING)}",
        f"- Patients: {_plain(said.get('population') or MISSING)}",
        *(f"- Out of scope: {_plain(one)}" for one in report["intended_use"]["out_of_scope"]),
        "\n## Risks and limitations\n",
        *(f"- {_plain(one)}" for one in report["limitations"]["machine"]),
        f"- By a person: {_plain(said.get('limitations') or MISSING)}",
        "\n## Training\n",
        *(f"{_plain(text)}\n" for text in report["methods"]["paragraphs"]),
        "## Evaluation\n",
        *_table(report),
        "\nMean over patients, 95 % interval in brackets. A failed prediction counts as Dice 0.\n",
        "## Evidence\n",
        f"- Report `{report['report_id']}`: `report.html`, `report.json`; check it with `xmed report verify`",
        f"- Protocol `{report['protocol_sha256']}`, fixed before the test labels were read",
        f"- Weights: safetensors, sha256 `{report['banner']['weights_sha256'] or NONE}`",
        "\n## References\n",
        *(f"{n}. {_plain(one['text'])}" for n, one in enumerate(report["methods"]["references"], start=1)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _plain(text: str) -> str:
    """Text that cannot become markup in Markdown, nor HTML in it."""
    flat = " ".join(str(text).split())
    for sign in "\\`*_[]|":
        flat = flat.replace(sign, "\\" + sign)
    return flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _table(report: dict[str, Any]) -> list[str]:
    mm = report["metrics_conventions"]["spacing_credible"]
    metrics = [metric for metric in SHOWN if mm or metric == "dice"]
    rows = [
        "| Structure | Arm | " + " | ".join(METRIC_NAMES[m] for m in metrics) + " | Failed |",
        "|---" * (len(metrics) + 3) + "|",
    ]
    for s in report["study"]["structures"]:
        for arm, name in ARM_NAMES.items():
            cell = report["summary"].get(arm, {}).get(s)
            if cell:
                shown, dice = " | ".join(_cell(cell[m]) for m in metrics), cell["dice"]
                nobody = dice["failure_rate"]["value"] is None and dice["n_cases"]
                failed = _plain(dice["reason"]) if nobody else f"{dice['n_failed']} of {dice['n_cases']}"
                rows.append(f"| {_plain(initial(word(s)))} | {name} | {shown} | {failed} |")
    return rows


def _cell(cell: dict[str, Any]) -> str:
    return number(cell["mean"], 3) + (f" [{span(cell['ci'], 'number', 3)}]" if cell["ci"] else "")


def _metadata(report: dict[str, Any]) -> str:
    target, adapted = report["data"]["target"], report["summary"].get("adapted", {})
    metrics = [
        {"type": metric, "name": f"{METRIC_NAMES[metric]}, {word(s)}", "value": adapted[s][metric]["mean"]}
        for s in report["study"]["structures"]
        if s in adapted
        for metric in SHOWN
        if adapted[s][metric]["mean"] is not None
    ]
    result = {
        "task": {"type": "image-segmentation", "name": "Medical image segmentation"},
        "dataset": {"type": target["name"], "name": target["name"], "split": "test"},
        "metrics": metrics,
    }
    document = {
        "library_name": "xmed",
        "pipeline_tag": "image-segmentation",
        "tags": ["medical", "segmentation", "domain-adaptation", str(target["modality"]).lower()],
        "model-index": [{"name": report["model"]["name"], "results": [result] if metrics else []}],
    }
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output, yaml.allow_unicode = False, False, True  # type: ignore[assignment]
    yaml.dump(document, text)
    return text.getvalue()
