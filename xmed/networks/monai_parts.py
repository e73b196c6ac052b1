"""The parts of MONAI that xmed uses, and the one place where MONAI is imported for them.

`import monai` also imports every package that MONAI can work with, where it is installed: trackers, plots, ignite. That
is half of its time. A process of xmed's own (a command, a scheduled flow, a training worker) uses MONAI for these parts
only, and does without those packages. A program that imports xmed as a library gets MONAI as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from xmed.processes.child import is_own_process

OPTIONAL_PACKAGES = ("ignite", "mlflow", "matplotlib", "sklearn")
"""What MONAI imports by `optional_import`, takes long, and is no part of what stands below.

Processor seconds of `import monai` on one core: 10.2; without mlflow 8.4, without ignite 6.8, without matplotlib 5.9,
without sklearn 5.7. torch alone takes 2.4 of them.
"""


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Make the import of packages fail within the block, unless they were imported before."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: "import" raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _hidden(OPTIONAL_PACKAGES if is_own_process() else ()):
    from monai.data.utils import compute_importance_map
    from monai.inferers.utils import sliding_window_inference
    from monai.networks.nets.dynunet import DynUNet
    from monai.networks.nets.patchgan_discriminator import PatchDiscriminator
    from monai.networks.nets.segresnet import SegResNet

__all__ = ["DynUNet", "PatchDiscriminator", "SegResNet", "compute_importance_map", "sliding_window_inference"]
