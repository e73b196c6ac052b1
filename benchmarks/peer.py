"""Peer: the same study trained with a general adaptation library, pytorch-adapt, beside our methods of the same kind.

    python -m venv PEER && PEER/bin/pip install . && PEER/bin/pip install --no-deps \
        pytorch-adapt==0.0.83 pytorch-metric-learning==1.6.3 torchmetrics==0.9.3 tqdm
    OMP_NUM_THREADS=1 XMED_HOME=HOME PEER/bin/python benchmarks/peer.py COMPARISON_FOLDER WORK_FOLDER

Both draw the same batches from the same samplers, in the same order, for the same network with the same first weights,
steps, AdamW, one cycle of the learning rate, bfloat16 and channels-last. The losses, their weights and the step itself
are the library's, by its own defaults: gradient reversal at a constant 1, the mean of all losses, no gradient clipping,
running statistics of both domains (ours: target alone), one critic or covariance over the features of the deepest block
averaged over each patch (ours: over its cells, drawn class by class). Its losses know no field of view, so the source
loss is our task's. Every arm is judged by the same code. Seconds are of the processor, from the first step to the last:
other work on the machine does not count, nor do bridge's renderings before it (3 s). Results: reports/benchmarks/peer.*
"""

import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from pytorch_adapt.hooks import AlignerHook, ChainHook, CLossHook, DANNHook, FeaturesHook
from pytorch_adapt.hooks.optimizer import OptimizerHook, SummaryHook
from pytorch_adapt.layers import CORALLoss
from pytorch_adapt.models import Discriminator
from pytorch_adapt.weighters import MeanWeighter
from run_table import BENCHMARKS, number, rows_of
from torch import Tensor, nn

from xmed import networks, train
from xmed.evaluate import evaluate
from xmed.files.atomic import write_atomically
from xmed.model.deployed import Model
from xmed.networks.feature_sampling import feature_width
from xmed.networks.precision import choose_precision
from xmed.prepare import Sampler
from xmed.processes.processor import cpu
from xmed.records.model_card import ModelOrigin
from xmed.run import Run, home
from xmed.spec import MethodSpec
from xmed.tasks import Segmentation
from xmed.train.arm_data import Data
from xmed.train.arms import FOREGROUND_SHARE, PLACES_LEARNED_FROM
from xmed.train.loop import WEIGHT_DECAY

SEED = 0
TIMED = {"coral": ("peer_coral", "peer_coral_100"), "dann": ("peer_dann",), "bridge": ()}
"""Ours that are trained again and timed, each followed by the library's of the same kind."""
BESIDE = ("source_only", "target_supervised")
"""Ours that are taken from the comparison where it has them."""
CRITIC = 128
"""Hidden width, as in our DANN; the library's default is for features of 2048, these have 96."""
PACKAGES = ("pytorch-adapt", "pytorch-metric-learning", "torchmetrics", "torch", "monai", "xmed")
PEERS = {
    "peer_coral": "pytorch-adapt, CORAL at its default weight of 1",
    "peer_coral_100": "pytorch-adapt, CORAL at our weight of 100",
    "peer_dann": "pytorch-adapt, DANN",
}


class Shown(nn.Module):
    """The library's `G`: image (b, c, i, j) → features of the deepest block averaged over space (b, f), and logits."""

    def __init__(self, net: nn.Module, bfloat16: bool) -> None:
        super().__init__()
        self.net, self.bfloat16 = net, bfloat16

    def forward(self, image: Tensor) -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            logits, seen = networks.logits_and_features(self.net, image, "deepest")
        return [seen.float().flatten(2).mean(2), logits.float()]


def hook_of(peer: str, task: Segmentation, optimiser: torch.optim.Optimizer):
    """One whole training step as the library puts it together. The two outputs of `G` are named as its hooks expect."""
    both = FeaturesHook(out_suffixes=["_features", "_features_logits"])
    supervised = CLossHook(loss_fn=lambda logits, batch: task.loss(logits, batch.reference, batch.fov))
    if peer == "peer_dann":
        return DANNHook([optimiser], pre=[both], c_hook=supervised)
    weight = 100.0 if peer == "peer_coral_100" else 1.0  # ours, and the library's default
    weigher = MeanWeighter(weights={"features_confusion_loss": weight})
    # AlignerPlusCHook's own body, but for the loss and for aligning maps of logits, which CORALLoss cannot take.
    step = OptimizerHook(ChainHook(both, AlignerHook(CORALLoss()), supervised), [optimiser], weigher)
    return ChainHook(step, SummaryHook({"total_loss": step}))


class Clock:
    """Seconds of the processor (and of the wall) between the first and the last step."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def __call__(self, *_: object) -> None:
        self.marks.append((time.process_time(), time.monotonic()))

    def record(self) -> dict[str, float]:
        (cpu_0, wall_0), (cpu_1, wall_1) = self.marks[0], self.marks[-1]
        found = {"cpu_seconds": cpu_1 - cpu_0, "wall_seconds": wall_1 - wall_0, "load_average": os.getloadavg()[1]}
        return {key: round(value, 2) for key, value in found.items()}


def learn(peer: str, run: Run, data: Data, tick: Clock) -> tuple[nn.Module, dict[str, float]]:
    """Train the library's way; return the network and the last step's losses as the library reports them."""
    budget, task = run.study.budget, Segmentation(tuple(run.study.structures), run.study.task.largest_component)
    torch.manual_seed(SEED)
    net = networks.build_network(run.study.network, data.grid.spatial_dims, data.grid.channels, task.classes, SEED)
    precision = choose_precision(run.study.network, data.grid, task.classes, torch.device("cpu"), "training")
    models = nn.ModuleDict({"G": Shown(net, precision.is_bfloat16), "D": Discriminator(feature_width(net), CRITIC)})
    models.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(models.parameters(), lr=budget.learning_rate, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, budget.learning_rate, total_steps=budget.steps)
    source = Sampler(data.labelled, data.grid, data.batch, data.augmentation(data.source), SEED, FOREGROUND_SHARE)
    target = Sampler(data.unlabelled, data.grid, data.batch, data.augmentation(data.target), SEED + 1)
    hook, layout, last = hook_of(peer, task, optimiser), torch.channels_last, {}
    domains = {"src_domain": torch.zeros(data.batch), "target_domain": torch.ones(data.batch)}
    for _ in range(budget.steps):
        ours, theirs = (next(one).to(torch.device("cpu"), layout) for one in (source, target))
        given = {"src_imgs": ours.image, "src_labels": ours, "target_imgs": theirs.image}
        last = hook({**models, **given, **domains})[1]["total_loss"]
        schedule.step()
        tick()
    return net.eval(), last


def fit_peer(peer: str, run: Run) -> None:
    """An arm of the run like any other: model/ and train.json. A finished one is left alone."""
    folder = run.arm(peer, SEED)
    if (folder / "train.json").is_file():
        return
    data, clock = Data.of(run.study, MethodSpec(name="coral"), home()), Clock()
    net, last = learn(peer, run, data, clock)
    model = Model(net, network=run.study.network, origin=ModelOrigin(method=PEERS[peer]), **data.seen_by_model)
    seen = data.unlabelled[:PLACES_LEARNED_FROM]  # as every arm's model learns them, see train.arms
    model = model.learn_places(seen)
    model.save(folder / "model")
    document = {"arm": peer, "seed": SEED, "last_losses": last, "target_labels_used": False}
    write_atomically(folder / "clock.json", json.dumps(clock.record()))
    write_atomically(folder / "train.json", json.dumps(document, indent=1, allow_nan=False) + "\n")


def fit_ours(arm: str, run: Run) -> None:
    folder, clock = run.arm(arm, SEED), Clock()
    if not (folder / "train.json").is_file():
        train.fit(run, arm, SEED, home(), clock)
        write_atomically(folder / "clock.json", json.dumps(clock.record()))


def begin(comparison: Run, work: Path) -> Run:
    """The run that everything is judged in, with the arms of the comparison that are not trained again."""
    found = sorted(work.glob("runs/*/study.json"))
    study = comparison.study.model_copy(update={"seeds": [SEED]})
    run = Run(found[-1].parent) if found else Run.create(study, work, [*TIMED, *BESIDE, *PEERS])
    for arm in BESIDE:
        if (comparison.arm(arm, SEED) / "train.json").is_file():
            shutil.copytree(comparison.arm(arm, SEED), run.arm(arm, SEED), dirs_exist_ok=True)
    return run


def write(run: Run) -> None:
    rows, arms = rows_of(run.folder), {}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        dice = [row["dice"] or 0.0 for row in rows if row["arm"] == arm]
        clock = run.arm(arm, SEED) / "clock.json"
        timed = json.loads(clock.read_text()) if clock.is_file() else {}
        arms[arm] = {"dice": float(np.mean(dice)), "each_case": [round(one, 3) for one in dice], **timed}
    lines = ["| | Dice, mean of the cases | each case | processor seconds | wall seconds |", "|---|---|---|---|---|"]
    for arm, one in sorted(arms.items(), key=lambda item: -item[1]["dice"]):
        seconds = " | ".join(number(one.get(key), 1) for key in ("cpu_seconds", "wall_seconds"))
        each = ", ".join(map(number, one["each_case"]))
        lines.append(f"| {PEERS.get(arm, f'xmed, {arm}')} | {number(one['dice'])} | {each} | {seconds} |")
    where = {"cpu": cpu(), "cores": os.cpu_count(), "threads": 1, "python": platform.python_version()}
    where |= {name: version(name) for name in PACKAGES}
    budget, loads = run.study.budget, [one["load_average"] for one in arms.values() if "load_average" in one]
    about = (
        f"Study {run.study.name}, seed {SEED}, {budget.steps} steps × {budget.batch}, one run of each, one after the "
        f"other, while other work ran: load average {min(loads):.0f} to {max(loads):.0f}, so wall seconds say little. "
        "A dash: taken from the comparison, or not trained at all. Trivial rules are chosen with the test labels, in "
        "their favour. Our weights are CORAL 100, DANN 1."
    )
    text = f"# Peer\n\n{__doc__.split('COMPARISON_FOLDER WORK_FOLDER', 1)[1].strip()}\n\n{about}\n\n" + "\n".join(lines)
    text += f"\n\nMachine: {', '.join(f'{key} {value}' for key, value in where.items())}.\n"
    (BENCHMARKS / "peer.md").write_text(text, encoding="utf-8")
    document = {"study": run.study.name, "seed": SEED, "budget": budget.model_dump()}
    document |= {"arms": arms, "where": where, "rows": rows}
    (BENCHMARKS / "peer.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    torch.set_num_threads(1)
    run = begin(Run(Path(sys.argv[1])), Path(sys.argv[2]))
    for ours, theirs in TIMED.items():
        fit_ours(ours, run)
        for peer in theirs:
            fit_peer(peer, run)
    evaluate(run, home())
    write(run)


if __name__ == "__main__":
    main()
