"""Fixtures that several test modules share: the public data where it is there, and small datasets made on the spot."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Tests side by side have one thread each, which is set before anything counts processors.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# The faster precision is another on another machine, and in a test nobody waits for its measurement.
os.environ.setdefault("XMED_PRECISION", "float32")

import numpy as np
import pytest

from support import ready_databases
from xmed.cohort import case_inputs
from xmed.io import write_nifti
from xmed.spec import DatasetSpec
from xmed.volume import Volume

# Tests write many small files. Where memory is large enough to hold them they take less time: the system's part of a
# test of the gate is a fifth of what it is on a disk.
IN_MEMORY, ENOUGH = Path("/dev/shm"), 8 * 2**30
if "TMPDIR" not in os.environ and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > ENOUGH:
    tempfile.tempdir = os.environ["TMPDIR"] = str(IN_MEMORY)


@pytest.fixture(scope="session")
def xmed_data() -> Path:
    """The folder of the public data sets; without it the test is skipped, with the reason."""
    folder = os.environ.get("XMED_DATA")
    if not folder:
        pytest.skip("XMED_DATA is not set: no public data to test on")
    if not Path(folder).is_dir():
        pytest.skip(f"XMED_DATA is no folder: {folder}")
    return Path(folder)


LONGEST_FIRST = (
    "test_stack", "test_serve", "test_leaks", "test_cluster", "test_b10_processes", "test_d5_private", "test_c2_registry",
    "test_c5_approve_again", "test_b2_paths", "test_approve_flow_suspended", "test_distributed_process", "test_train",
    "test_c6_accounts", "test_gate", "test_registry", "test_c3_audit_key", "test_adapt_flow", "test_translate_volumes",
)  # fmt: skip
"""Modules that take over a minute. One that began last would keep a single processor at work while the others rest."""


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look through it again and again (an eighth of the time)."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules that take long come first, the others in their order."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of this test run share."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(scope="session")
def prefect_database(shared_folder: Path) -> Path:
    """An empty database of Prefect's server; `ready_databases.give_prefect_database` lays it into a home."""
    return ready_databases.prefect_database(shared_folder)


@pytest.fixture(scope="session")
def _tracking_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], None]]:
    """Lets new MLflow stores be copies, as soon as MLflow's store was imported; a test alone never imports it for that."""
    template = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    done: list[bool] = []

    def copy_from_now_on() -> None:
        if not done and "mlflow.store.db.utils" in sys.modules:
            ready_databases.copy_new_tracking_stores(patch, template)
            done.append(True)

    with pytest.MonkeyPatch.context() as patch:
        yield copy_from_now_on


@pytest.fixture(scope="session", autouse=True)
def _state_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What an audit log leaves outside its home is no longer there in the next run, whose homes have the same paths."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True)
def _quick_tracking_store(_tracking_store: Callable[[], None]) -> None:
    _tracking_store()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty XMED_HOME."""
    return tmp_path / "home"


@pytest.fixture
def unguarded(monkeypatch):
    """Reading happens in this process, where a test can reach it."""
    monkeypatch.setattr(case_inputs, "run_in_sandbox", lambda function, *arguments: function(*arguments))


def ball(seed: int, shape: tuple[int, int, int] = (12, 14, 10)) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image (float32) with a brighter ball, and the ball's mask (uint8), both (i, j, k)."""
    random = np.random.default_rng(seed)
    centre = np.array(shape) / 2 + random.uniform(-1, 1, 3)
    distance = np.linalg.norm(np.moveaxis(np.indices(shape), 0, -1) - centre, axis=-1)
    mask = (distance < 3.5).astype(np.uint8)
    return (random.normal(100, 10, shape) + 80 * mask).astype(np.float32), mask


@dataclass
class Clinic:
    """A dataset in the making: NIfTI pairs image/<case>.nii.gz and label/<case>.nii.gz below `root`."""

    root: Path
    train: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    ball = staticmethod(ball)

    def add(
        self, case: str, split: str = "train", image: np.ndarray | None = None, label: np.ndarray | None = None
    ) -> None:
        """Write one case; arrays that are not given show a ball that differs from case to case."""
        seed = len(self.train) + len(self.test)
        some_image, some_label = ball(seed)
        self.write(self.image(case), some_image if image is None else image)
        self.write(self.label(case), some_label if label is None else label)
        getattr(self, split).append(case)

    def image(self, case: str) -> Path:
        return self.root / "image" / f"{case}.nii.gz"

    def label(self, case: str) -> Path:
        return self.root / "label" / f"{case}.nii.gz"

    def write(self, path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(Volume(array, np.diag([*spacing, 1.0])), path)

    def spec(self, **changes: Any) -> DatasetSpec:
        """The dataset's spec, with some of its keys changed."""
        document = {
            "name": "clinic",
            "modality": "MR",
            "root": str(self.root),
            "layout": {"image": "image/{case}.nii.gz", "label": "label/{case}.nii.gz"},
            "labels": {1: {"name": "ball", "category": "49755003", "type": "4147007"}},
            "splits": {"train": self.train, "test": self.test},
        }
        return DatasetSpec.model_validate({**document, **changes})


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """Three good cases: a and b to train, c to test."""
    made = Clinic(tmp_path / "data")
    for case, split in (("a", "train"), ("b", "train"), ("c", "test")):
        made.add(case, split)
    return made
