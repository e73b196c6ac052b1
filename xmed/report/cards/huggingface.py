"""Hugging Face card: the report as a model card, README.md with `model-index` metadata.

https://huggingface.co/docs/hub/model-card-annotated says which sections a card has; its metadata is YAML on top.
"""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML

from xmed.html.render import NONE, initial, number, span, word
from xmed.report.author_text import NOT_PROVIDED
from xmed.report.display_names import ARM_NAMES, METRIC_NAMES

SHOWN = ("dice", "nsd", "hd95_mm")


def huggingface_card(report: dict[str, Any]) -> str:
    """Return README.md of a model: its use, limitations, training and results, and where the evidence is."""
    data, author = report["data"]["target"], report["text"]["items"]
    names = ", ".join(map(word, report["study"]["structures"]))
    parts = [
        f"---\n{_metadata(report)}---\n",
        f"# {_escaped(report['model']['name'])}\n",
        f"{_escaped(report['headline']['sentence'])}\n",
        f"**Verdict: {report['verdict']}.** {_escaped('; '.join(report['banner']['reasons']))}.\n",
        f"Research use only, not for diagnosis. Judged on {_escaped(data['name'])} ({data['modality']}); structures: "
        f"{_escaped(names)}.\n",
        "## Uses\n",
        f"- Intended use: {_escaped(author.get('intended_use') or NOT_PROVIDED)}",
        f"- Users: {_escaped(author.get('users') or NOT_PROVIDED)}",
        f"- Patients: {_escaped(author.get('population') or NOT_PROVIDED)}",
        *(f"- Out of scope: {_escaped(use)}" for use in report["intended_use"]["out_of_scope"]),
        "\n## Risks and limitations\n",
        *(f"- {_escaped(limitation)}" for limitation in report["limitations"]["machine"]),
        f"- By a person: {_escaped(author.get('limitations') or NOT_PROVIDED)}",
        "\n## Training\n",
        *(f"{_escaped(text)}\n" for text in report["methods"]["paragraphs"]),
        "## Evaluation\n",
        *_table(report),
        "\nMean over patients, 95 % interval in brackets. A failed prediction counts as Dice 0.\n",
        "## Evidence\n",
        f"- Report `{report['report_id']}`: `report.html`, `report.json`; check it with `xmed report verify`",
        f"- Protocol `{report['protocol_sha256']}`, fixed before the test labels were read",
        f"- Weights: safetensors, sha256 `{report['banner']['weights_sha256'] or NONE}`",
        "\n## References\n",
        *(f"{n}. {_escaped(source['text'])}" for n, source in enumerate(report["methods"]["references"], start=1)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _escaped(text: str) -> str:
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
                numbers, dice = " | ".join(_cell(cell[m]) for m in metrics), cell["dice"]
                no_rate = dice["failure_rate"]["value"] is None and dice["n_cases"]
                failed = _escaped(dice["reason"]) if no_rate else f"{dice['n_failed']} of {dice['n_cases']}"
                rows.append(f"| {_escaped(initial(word(s)))} | {name} | {numbers} | {failed} |")
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
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output, yaml.allow_unicode = False, False, True  # type: ignore[assignment]  # its stub says None
    yaml.dump(document, text)
    return text.getvalue()
