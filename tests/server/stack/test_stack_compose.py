"""The servers in containers are those of `xmed up`: the same settings, pinned, on loopback, their secrets in files."""

import configparser
import re

import pytest
from ruamel.yaml import YAML

from support.checkout import ROOT
from xmed.server.stack import passwords
from xmed.server.stack.paths import Ports, StackPlace
from xmed.server.stack.service import mlflow_service

COMPOSE = YAML(typ="safe").load((ROOT / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
STRICT = ("BASIC_AUTH_FAIL_CLOSED", "ENABLE_JOB_EXECUTION", "PICKLE", "TELEMETRY")


def test_the_four_services_start_in_order_and_say_when_they_are_well():
    assert set(SERVICES) == {"postgres", "mlflow", "prefect", "worker"}
    for name, service in SERVICES.items():
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL"), name
        for other in service.get("depends_on", {}).values():
            assert other == {"condition": "service_healthy"}
    assert set(SERVICES["worker"]["depends_on"]) == {"mlflow", "prefect"}


def test_every_port_is_on_loopback_and_the_database_has_none():
    ports = {name: service.get("ports", []) for name, service in SERVICES.items()}
    assert {name for name, found in ports.items() if found} == {"mlflow", "prefect"}
    assert all(port.startswith("127.0.0.1:") for found in ports.values() for port in found)


def test_images_are_pinned_and_prefect_is_the_one_that_xmed_is_tested_with():
    base = re.search(r"^FROM (\S+)", SERVICES["worker"]["build"]["dockerfile_inline"])[1]
    for image in (base, SERVICES["postgres"]["image"], SERVICES["prefect"]["image"]):
        assert re.search(r":\d+\.\d+", image), image
    tested = re.search(r"^prefect==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]
    assert SERVICES["prefect"]["image"] == f"prefecthq/prefect:{tested}-python3.11"
    assert SERVICES["mlflow"]["image"] == SERVICES["worker"]["image"]


def test_secrets_are_files_and_stand_nowhere_else():
    files = {name: found["file"] for name, found in COMPOSE["secrets"].items()}
    assert all(path == f"${{XMED_SECRETS:-./secrets}}/{name}" for name, path in files.items())
    for service in SERVICES.values():
        assert set(service["secrets"]) <= set(files)
        for key, value in service["environment"].items():
            stated = re.search("PASSWORD|AUTH_STRING|SECRET|KEY", key)
            assert not stated or value.startswith("/run/secrets/"), f"{key}: {value}"
            assert not re.search(r"://[^/@]+:[^/@]+@", value), f"{key}: {value}"
        used = re.findall(r"/run/secrets/([\w-]+)", str(service))
        assert set(used) == set(service["secrets"])
    assert "secrets/" in (ROOT / ".gitignore").read_text().split()


@pytest.fixture
def ours(tmp_path):
    """MLflow's server as `xmed up` starts it."""
    place = StackPlace(tmp_path / "home")
    passwords.make_passwords(place.home)
    return mlflow_service(place, Ports(4200, 5000, 5432)), (place.folder / "mlflow.ini").read_text()


def test_mlflow_is_as_strict_as_in_the_other_stack(ours):
    service, written = ours
    theirs = SERVICES["mlflow"]["environment"]
    strict = {key: value for key, value in service.environment.items() if key.endswith(STRICT) or "PICKLE" in key}
    assert len(strict) >= 3
    assert {key: theirs.get(key) for key in strict} == strict
    words = SERVICES["mlflow"]["command"].split()
    for word in ("--app-name", "basic-auth", "--serve-artifacts", "--x-frame-options", "DENY"):
        assert word in words
        assert word in service.command
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" not in theirs
    mine, other = configparser.ConfigParser(), configparser.ConfigParser()
    mine.read_string(written)
    other.read_string(COMPOSE["configs"]["mlflow"]["content"])
    databases = {mine["mlflow"].pop("database_uri"), other["mlflow"].pop("database_uri")}
    assert all(uri.endswith("/mlflow_auth") and "@" in uri for uri in databases)
    assert dict(mine["mlflow"]) == dict(other["mlflow"])
    assert mine["mlflow"]["default_permission"] == "NO_PERMISSIONS"
