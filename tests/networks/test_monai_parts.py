"""MONAI is imported whole for a program that uses xmed, and without trackers and plots in xmed's own processes."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
{before}
from xmed.networks import build_network
from xmed.networks.monai_parts import OPTIONAL_PACKAGES
from xmed.spec import NetworkSpec
print(*(name for name in OPTIONAL_PACKAGES if name in sys.modules))
import {package}
build_network(NetworkSpec(channels=[4, 4, 4]), 2, 1, 2)
"""


def loaded(before="", package="matplotlib"):
    environment = {name: value for name, value in os.environ.items() if name != "XMED_OWN_PROCESS"}
    script = SCRIPT.format(before=before, package=package)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


OWN = "from xmed.processes.child import mark_own_process; mark_own_process()"


@pytest.mark.parametrize("package", ["mlflow", "matplotlib"])
def test_a_process_of_xmed_does_without_them_and_can_import_them_later(package):
    assert loaded(OWN, package) == set()


def test_what_was_imported_before_stays():
    assert loaded(f"{OWN}; import matplotlib") == {"matplotlib"}


def test_a_program_that_imports_xmed_has_monai_as_it_is():
    assert "matplotlib" in loaded()
