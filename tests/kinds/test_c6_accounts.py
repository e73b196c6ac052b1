"""C6: an account of MLflow's server that has no permission writes nothing, and nobody writes outside the server's proxy."""

import re
import uuid
from urllib.parse import urlparse

import pytest
import requests

from support.server_stack import password, place, standing
from xmed.server.stack.paths import StackPlace, mlflow_url

__all__ = ["place", "standing"]
pytestmark = pytest.mark.services
NOBODY = ("nobody", "a-long-password-of-nobody")
SOMEBODY = ("somebody", "a-long-password-of-somebody")
API, AJAX = "/api/2.0/mlflow", "/ajax-api/2.0/mlflow"
GRANT = "/api/3.0/mlflow/users/permissions/grant"
WRITES = [
    ("POST", f"{API}/experiments/create", {"name": "theirs"}),
    ("POST", f"{AJAX}/experiments/create", {"name": "theirs, too"}),
    ("POST", f"{API}/experiments/create", {"name": "elsewhere", "artifact_location": "file:///tmp/xmed-c6"}),
    ("POST", f"{API}/experiments/create", {"name": "elsewhere2", "artifactLocation": "file:///tmp/xmed-c6"}),
    ("POST", f"{API}/registered-models/create", {"name": "theirs"}),
    ("POST", f"{AJAX}/registered-models/create", {"name": "theirs-ajax"}),
    (
        "POST",
        f"{API}/registered-models/create",
        {"name": "a-prompt", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]},
    ),
    ("POST", f"{API}/model-versions/create", {"name": "theirs", "source": "file:///etc"}),
    ("POST", f"{API}/runs/create", {"experiment_id": "0"}),
    ("POST", f"{API}/logged-models", {"experiment_id": "0", "name": "m"}),
    ("POST", f"{API}/experiments/set-experiment-tag", {"experiment_id": "0", "key": "a", "value": "b"}),
    ("POST", f"{API}/webhooks", {"name": "hook", "url": "https://example.org/hook", "events": []}),
    ("POST", f"{API}/users/create", {"username": "third", "password": "a-long-password-of-third"}),
    ("PATCH", f"{API}/users/update-admin", {"username": "nobody", "is_admin": True}),
    ("PATCH", f"{API}/users/update-password", {"username": "xmed", "password": "a-long-password-of-theirs"}),
    ("DELETE", f"{API}/users/delete", {"username": "xmed"}),
    (
        "POST",
        GRANT,
        {"username": "nobody", "resource_type": "experiment", "resource_id": "0", "permission": "MANAGE"},
    ),
    (
        "POST",
        "/api/3.0/mlflow/gateway/secrets/create",
        {"secret_name": "s", "secret_value": {"api_key": "x"}, "provider": "openai"},
    ),
    (
        "POST",
        "/ajax-api/3.0/mlflow/gateway/secrets/create",
        {"secret_name": "s2", "secret_value": {"api_key": "x"}, "provider": "openai"},
    ),
    (
        "POST",
        "/api/3.0/mlflow/gateway/model-definitions/create",
        {"name": "d", "provider": "openai", "model_name": "m"},
    ),
    ("POST", "/api/3.0/mlflow/gateway/endpoints/create", {"name": "e"}),
    ("POST", "/api/3.0/mlflow/datasets/create", {"name": "d", "experiment_ids": []}),
    ("POST", "/api/3.0/mlflow/datasets/create", {"name": "d", "experiment_ids": ["0"]}),
    ("POST", "/api/3.0/mlflow/traces", {"trace": {"trace_info": {"trace_id": "t"}}}),
    ("POST", "/v1/traces", {}),
    ("POST", "/ajax-api/3.0/jobs/", {"job_name": "x", "params": {}}),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x/y", {}),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/y", {}),
    ("POST", "/api/2.0/mlflow-artifacts/mpu/create/0/x", {"path": "y", "num_parts": 1}),
    ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/0/x/y", {}),
]


@pytest.fixture(scope="module")
def server(standing):
    """URL and administrator of MLflow, with two accounts: one without any permission, one with one on an experiment."""
    url, admin = mlflow_url(StackPlace(standing).ports()), password(standing, "mlflow")
    for name, secret in (NOBODY, SOMEBODY):
        made = requests.post(
            f"{url}{API}/users/create", json={"username": name, "password": secret}, auth=admin, timeout=60
        )
        assert made.ok, made.text
    made = requests.post(
        f"{url}{API}/experiments/create", json={"name": f"shared-{uuid.uuid4()}"}, auth=admin, timeout=60
    )
    assert made.ok, made.text
    experiment = made.json()["experiment_id"]
    grant = {"username": SOMEBODY[0], "resource_type": "experiment", "resource_id": experiment, "permission": "EDIT"}
    made = requests.post(f"{url}{GRANT}", json=grant, auth=admin, timeout=60)
    assert made.ok, made.text
    return url, admin, experiment


def status(server, method, route, body, who):
    return requests.request(
        method, f"{server[0]}{route}", json=body, auth=who, timeout=60, allow_redirects=False
    ).status_code


@pytest.mark.parametrize(("method", "route", "body"), WRITES)
def test_without_a_permission_nothing_is_written(server, method, route, body):
    assert status(server, method, route, body, NOBODY) in (401, 403)


def routes():
    """Every route of the server that may write, its parameters filled."""
    from mlflow.server import app
    from mlflow.server.fastapi_app import create_fastapi_app

    found = {(m, re.sub(r"<[^>]*>", "x", rule.rule)) for rule in app.url_map.iter_rules() for m in rule.methods or ()}
    for route in create_fastapi_app(app).routes:
        found |= {(m, re.sub(r"{[^}]*}", "x", route.path)) for m in getattr(route, "methods", None) or ()}
    return sorted(pair for pair in found if pair[0] in ("POST", "PUT", "PATCH", "DELETE"))


def test_no_route_at_all_lets_an_account_without_a_permission_write(server):
    with requests.Session() as session:
        session.auth = NOBODY
        answers = {
            (m, r): session.request(m, f"{server[0]}{r}", json={}, timeout=60, allow_redirects=False).status_code
            for m, r in routes()
        }
    assert len(answers) > 100
    assert {pair: code for pair, code in answers.items() if code not in (401, 403, 404, 405)} == {}


@pytest.mark.parametrize("route", [f"{API}/experiments/create", f"{API}/registered-models/create",
                                   "/api/3.0/mlflow/gateway/secrets/create", f"{API}/webhooks"])  # fmt: skip
def test_a_permission_on_one_experiment_creates_nothing_else(server, route):
    body = {"name": f"n-{uuid.uuid4()}", "secret_name": "s", "secret_value": {"api_key": "x"}, "provider": "openai"}
    assert status(server, "POST", route, body, SOMEBODY) in (401, 403)


@pytest.mark.parametrize("key", ["artifact_location", "artifactLocation"])
@pytest.mark.parametrize(
    "where", ["file:///tmp/xmed-c6", "/tmp/xmed-c6", "s3://bucket/x", "sqlite:///x", "FILE:///tmp/xmed-c6"]
)
def test_nobody_at_all_makes_an_experiment_outside_the_proxy(server, where, key):
    body = {"name": f"n-{uuid.uuid4()}", key: where}
    assert status(server, "POST", f"{API}/experiments/create", body, server[1]) in (400, 401, 403)


def test_with_a_permission_one_works_where_one_has_it(server):
    made = requests.post(f"{server[0]}{API}/runs/create", json={"experiment_id": server[2]}, auth=SOMEBODY, timeout=60)
    assert made.ok, made.text
    location = urlparse(made.json()["run"]["info"]["artifact_uri"])
    assert location.scheme == "mlflow-artifacts"
    put = requests.put(
        f"{server[0]}/api/2.0/mlflow-artifacts/artifacts{location.path}/a.txt", data=b"a", auth=SOMEBODY, timeout=60
    )
    assert put.ok, put.text


def test_the_administrator_creates_as_before(server):
    for route in ("experiments", "registered-models"):
        assert status(server, "POST", f"{API}/{route}/create", {"name": f"n-{uuid.uuid4()}"}, server[1]) == 200


def test_ones_own_password_is_ones_own(server):
    fresh = (NOBODY[0], "another-long-password-of-nobody")
    body = {"username": NOBODY[0], "password": fresh[1], "current_password": NOBODY[1]}
    assert status(server, "PATCH", f"{API}/users/update-password", body, NOBODY) == 200
    back = {"username": NOBODY[0], "password": NOBODY[1], "current_password": fresh[1]}
    assert status(server, "PATCH", f"{API}/users/update-password", back, fresh) == 200
