"""Lists every package that a model was made with and is run with, as a CycloneDX document (ECMA-424).

IEC 62304 §8.1.2 requires it as the list of SOUP. The packages are what xmed requires here, directly or not, as they are
installed; C libraries that a wheel contains (its NAME.libs folder) stand below it. Statically linked libraries, such as
GDCM in SimpleITK, leave no trace in a wheel and are not listed.
"""

from __future__ import annotations

import base64
import csv
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = "xmed"
LIBRARY = re.compile(r"(?P<name>lib[^-/]+?|[^-/]+?)(?:-[0-9a-f]{8})?\.so(?:\.(?P<version>[\d.]+))?")
"""libopenjp2-56811f71.so.2.5.3: what auditwheel makes of a library's file name."""


@dataclass(frozen=True)
class Package:
    """An installed package: what it requires, what it says about its licence, and the libraries it contains."""

    name: str
    version: str
    requires: tuple[str, ...]
    licence: str | None
    bundled: tuple[tuple[str, str], ...]

    @property
    def url(self) -> PackageURL:
        return PackageURL(type="pypi", name=self.name, version=self.version)

    @classmethod
    def installed(cls, name: str) -> Package | None:
        """Describe an installed package; None for a package that is not installed, such as one of an unused extra."""
        try:
            package = distribution(name)
        except PackageNotFoundError:
            return None
        metadata = package.metadata  # parsed anew at every access
        requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist") or ()]
        needed = {
            canonicalize_name(requirement.name)
            for requirement in requirements
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        }
        stated = [*(metadata.get_all("License-Expression") or ()), *(metadata.get_all("License") or ()), ""]
        licence = stated[0].strip().partition("\n")[0]
        lines = [line for line in (package.read_text("RECORD") or "").splitlines() if ".libs/" in line]
        bundled = tuple((path.rpartition("/")[2], digest) for path, digest, _ in csv.reader(lines))
        is_usable = licence and licence != "UNKNOWN" and len(licence) < 100
        return cls(
            canonicalize_name(metadata["Name"]),
            metadata["Version"],
            tuple(sorted(needed)),
            licence if is_usable else None,
            bundled,
        )


def sbom(name: str, weights_sha256: str) -> str:
    """Make the list of packages (CycloneDX 1.6) of a model; the same model and environment give the same document.

    Args:
        name: The registered model.
        weights_sha256: sha256 (hex) of its weights.

    Returns:
        The document as JSON text.
    """
    model = Component(
        name=name,
        version=weights_sha256[:12],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{name}@{weights_sha256[:12]}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights_sha256)],
        description="weights.safetensors",
    )
    packages = _closure(ROOT)
    parts = {key: _component(package) for key, package in packages.items()}
    versions = [(package.name, package.version) for package in packages.values()]
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{weights_sha256} {versions}"), components=parts.values())
    bom.metadata.component = model
    bom.register_dependency(model, [parts[ROOT]] if ROOT in parts else [])
    for key, package in packages.items():
        bom.register_dependency(parts[key], [parts[other] for other in package.requires if other in parts])
    return _undated(JsonV1Dot6(bom).output_as_string()) + "\n"


@cache
def _closure(root: str) -> dict[str, Package]:
    """A package and all that it requires, directly or not, as far as installed; sorted by name."""
    packages: dict[str, Package] = {}
    waiting, visited = [root], set[str]()
    while waiting:
        name = waiting.pop()
        if name in visited:
            continue
        visited.add(name)
        if (package := Package.installed(name)) is not None:
            packages[package.name] = package
            waiting += package.requires
    return dict(sorted(packages.items()))


def _component(package: Package) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(package.url),
        purl=package.url,
        licenses=[LicenseFactory().make_from_string(package.licence)] if package.licence else [],
        components=[_library(file, digest, package.url) for file, digest in package.bundled],
    )


def _library(file: str, digest: str, of: PackageURL) -> Component:
    """A C library in a wheel; `digest` as RECORD has it: sha256= and URL-safe base 64 without padding."""
    match, (mode, _, value) = LIBRARY.match(file), digest.partition("=")
    sha256 = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex() if mode == "sha256" else None
    return Component(
        name=match["name"] if match else file,
        version=match["version"] if match else None,
        type=ComponentType.LIBRARY,
        bom_ref=f"{of}#{file}",
        description=file,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
    )


def _undated(text: str) -> str:
    """Without the moment of writing: the registry knows it, and equal documents have equal hashes."""
    document = json.loads(text)
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=1)
