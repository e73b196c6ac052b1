"""Where the checkout under test lies, and which modules it has."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def modules() -> list[Path]:
    """Every module of the library and of the flows."""
    return sorted([*ROOT.glob("xmed/**/*.py"), *ROOT.glob("pipelines/**/*.py")])
