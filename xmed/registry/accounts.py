"""What an account of MLflow's server may do without a permission: nothing, and it may create nothing.

MLflow's own rules (3.12 to 3.17) know permissions on existing things, and none to create: any account may make
experiments (in any folder that the server can write to), registered models and secrets. MLflow calls `authorize` in the
server's process (`authorization_function`) before it applies its own rules; what is refused here stays refused.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import JsonValue

READS = ("GET", "HEAD", "OPTIONS")
OWN_PASSWORD = re.compile(r"/(ajax-)?api/\d+\.\d+/mlflow/users/update-password")
"""MLflow itself sees to it that the password is one's own."""
CREATES = re.compile(
    r".*/mlflow/(experiments/create|registered-models/create|webhooks|workspaces|users/create|roles|"
    r"gateway|mcp-servers)\b.*|.*/(mcp-servers|gateway|jobs|signup)\b.*"
)
"""Requests that create something outside of what an account can have a permission for: administrators only."""
SAYS_WHERE = re.compile(r".*/(experiments|model-versions)/create|.*/mlflow/workspaces(/.*)?")
"""Requests whose body is read here; other bodies may be files of any size."""
PLACES = {"artifact_location", "artifactLocation", "default_artifact_root", "defaultArtifactRoot"}
"""Keys of a request that say where files go, in both spellings that protocol buffers read."""
PROXY = ("mlflow-artifacts:",)
WITHIN = (*PROXY, "models:/", "runs:/")
"""Places that the server's own proxy serves, or that MLflow has already."""


def authorize() -> Any:
    """Tell MLflow who sends the current request, or refuse it.

    Returns:
        flask's Authorization, or the Response that refuses the request (401, 403).
    """
    from flask import Response, make_response, request

    auth = sys.modules["mlflow.server.auth"]  # which calls this
    who = auth.authenticate_request_basic_auth()
    if isinstance(who, Response):
        return who
    user = auth.store.get_user(who.username)
    granted = bool(user.is_admin) or any(_grants(auth.store.list_user_roles(user.id)))
    body = request.get_json(force=True, silent=True) if SAYS_WHERE.fullmatch(request.path) else None
    why = refusal(request.method, request.path, {**request.args, **(body if isinstance(body, dict) else {})},
                  admin=bool(user.is_admin), granted=granted)  # fmt: skip
    return make_response(why, 403) if why else who


def refusal(method: str, path: str, arguments: Mapping[str, JsonValue], *, admin: bool, granted: bool) -> str | None:
    """Say why a request is refused before MLflow's own rules apply; None where it is not.

    Args:
        method: The HTTP method.
        path: The request's path.
        arguments: The request's keys and values, of query and body.
        admin: Whether the account is an administrator.
        granted: Whether the account has any permission at all.
    """
    if method in READS:
        return None
    outside = [key for key in PLACES & arguments.keys() if arguments[key] and not str(arguments[key]).startswith(PROXY)]
    if outside:
        return f"{outside[0]}: artifacts go through this server (mlflow-artifacts:), nowhere else"
    if admin or OWN_PASSWORD.fullmatch(path):
        return None
    if not granted:
        return "this account has no permission"
    if CREATES.fullmatch(path):
        return "only an administrator creates this"
    if path.endswith("/model-versions/create") and not str(arguments.get("source", "")).startswith(WITHIN):
        return "source: a model that this server keeps (models:/, runs:/, mlflow-artifacts:)"
    return None


def _grants(roles: list[Any]) -> Iterator[bool]:
    """Of each grant of some roles, whether it allows anything."""
    for role in roles:
        for grant in role.permissions or ():
            yield str(grant.permission) != "NO_PERMISSIONS"
