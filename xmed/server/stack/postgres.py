"""Postgres: PostgreSQL for one home: its programs, its data directory, its roles and databases."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from xmed.errors import XmedError
from xmed.processes.child import child_environment
from xmed.server.prefect_server import LOOPBACK, begin, end, free
from xmed.server.stack.passwords import secret
from xmed.server.stack.paths import Place

ACCOUNT = "postgres"
SUPERUSER = "xmed"
ROLES = {"mlflow": ("mlflow", "mlflow_auth"), "prefect": ("prefect",)}
"""Each role, and the databases that it owns."""
CONNECTIONS = 200  # MLflow may hold 15 for each of its stores in each worker
START_SECONDS = 60.0
INTERRUPT = 2  # SIGINT: ends sessions and writes everything down; SIGTERM would wait for every client to leave


@cache
def programs(data: Path) -> Path:
    """The folder of PostgreSQL's programs, of the version that a data directory is of. Raises XmedError.

    SERVER_FAILED where PostgreSQL is not installed, or in another version only.
    """
    asked = (data / "PG_VERSION").read_text(encoding="ascii").strip() if (data / "PG_VERSION").is_file() else None
    named = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    debian, redhat = Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr").glob("pgsql-*/bin")
    known = {int(_version(place)): place for place in [*debian, *redhat, *named] if (place / "initdb").is_file()}
    if asked and int(asked) in known:
        return known[int(asked)]
    if asked or not known:
        what = f"no PostgreSQL {asked or ''}".rstrip() + (f", only {sorted(known)}" if known else "")
        raise XmedError(
            "SERVER_FAILED", what, "its server", f"apt-get install postgresql{f'-{asked}' if asked else ''}"
        )
    return known[max(known)]


def whose(data: Path) -> dict[str, Any]:
    """As whom PostgreSQL runs, for subprocess.Popen. It refuses to be root, who lends it the account `postgres`.

    Raises XmedError PATH_UNSAFE where that account may not enter the home.
    """
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError as problem:
        raise XmedError("SERVER_FAILED", f"no account {ACCOUNT}", "one to lend PostgreSQL, or not root") from problem
    for own in (data.parent, data.parent.parent):  # stack, and the home, which are closed to everybody else
        if own.is_dir():
            own.chmod(own.stat().st_mode & 0o7777 | 0o001)
    for parent in data.absolute().parents:
        if parent.exists() and not parent.stat().st_mode & 0o001:
            do = "be somebody else than root, set XMED_HOME elsewhere, or chmod o+x"
            raise XmedError("PATH_UNSAFE", f"{ACCOUNT} may not enter {parent}", "a home that it can reach", do)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def make(place: Place) -> Path:
    """The data directory, made whole or not at all: passwords by SCRAM for everybody, checksums. Returns it."""
    data, part = place.data, place.data.with_name("postgres.part")
    programs_, account = programs(data), whose(data)
    if data.is_dir():
        return data
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    given = place.folder / "postgres.password"  # on its way to initdb, which may run as somebody else
    try:
        with open(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(secret(place.home, "postgres"))
        if account:
            os.chown(part, account["user"], account["group"])
            os.chown(given, account["user"], account["group"])
        words = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums", f"--pwfile={given}"]
        command = [str(programs_ / "initdb"), "-D", str(part), "-U", SUPERUSER, *words]
        done = subprocess.run(command, capture_output=True, text=True, env=_plain(), cwd="/", **account)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
            raise XmedError("SERVER_FAILED", f"initdb said: {last}", f"a database cluster in {data}")
        part.rename(data)
    finally:
        given.unlink(missing_ok=True)
        shutil.rmtree(part, ignore_errors=True)
    return data


def command(place: Place, port: int) -> list[str]:
    """What runs the server: on loopback alone, without a socket in the file system."""
    settings = {"listen_addresses": LOOPBACK, "port": port, "unix_socket_directories": ""}
    settings |= {"max_connections": CONNECTIONS, "password_encryption": "scram-sha-256"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return [str(programs(place.data) / "postgres"), "-D", str(place.data), *options]


def furnish(place: Place, port: int) -> None:
    """Every role with its password and its databases, where they are not there yet; the clients' password file.

    Passwords leave this process as SCRAM verifiers only: PostgreSQL logs statements that fail.
    """
    import psycopg2
    from psycopg2 import sql
    from psycopg2.extensions import encrypt_password

    _passfile(place)
    with closing(psycopg2.connect(**_dsn(place, port, SUPERUSER, "postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for role, databases in ROLES.items():
                name = sql.Identifier(role)
                verifier = encrypt_password(secret(place.home, f"{role}-database"), role, connection, "scram-sha-256")
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(sql.SQL(verb + " ROLE {} LOGIN PASSWORD %s").format(name), [verifier])
                for database in databases:
                    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
                    if not cursor.fetchone():
                        made = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), name)
                        cursor.execute(made)


def answers(place: Place, port: int) -> bool:
    """Whether the server takes connections."""
    asked = [str(programs(place.data) / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    return subprocess.run(asked, env=_plain()).returncode == 0


def migration(place: Place, port: int, database: str) -> str:
    """The migration (alembic) that a database is at. Raises XmedError SERVER_FAILED."""
    import psycopg2

    try:
        with closing(psycopg2.connect(**_dsn(place, port, database, database))) as made, made.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            (found,) = cursor.fetchone() or ("none",)
            return str(found)
    except psycopg2.Error as problem:
        said = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise XmedError("SERVER_FAILED", said, "a database that answers") from problem


def url(role: str, database: str, port: int, driver: str = "postgresql") -> str:
    """A database for SQLAlchemy; the password is in the file that PGPASSFILE names, never here."""
    return f"{driver}://{role}@{LOOPBACK}:{port}/{database}"


def client(place: Place, port: int, program: str, *words: str) -> None:
    """One of PostgreSQL's own programs, as the role that owns MLflow's databases. Raises XmedError SERVER_FAILED."""
    who = ["-h", LOOPBACK, "-p", str(port), "-U", "mlflow"]
    environment = _plain() | {"PGPASSFILE": str(place.passfile)}
    done = subprocess.run(
        [str(programs(place.data) / program), *who, *words], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise XmedError("SERVER_FAILED", f"{program} said: {last}", "a database that answers")


@contextmanager
def alone(place: Place) -> Iterator[int]:
    """PostgreSQL without the others, for the time of the block, where the stack is down; yields its port."""
    data, port, log = make(place), free(0), place.log("postgres")
    process = begin(command(place, port), _plain() | child_environment(), log, **whose(data))
    try:
        until = time.monotonic() + START_SECONDS
        while not answers(place, port):
            if process.poll() is not None or time.monotonic() > until:
                raise XmedError("SERVER_FAILED", "PostgreSQL did not start", "a server", f"see {log}")
            time.sleep(0.1)
        furnish(place, port)
        yield port
    finally:
        end(process, INTERRUPT)


def _dsn(place: Place, port: int, user: str, database: str) -> dict[str, Any]:
    return {"host": LOOPBACK, "port": port, "user": user, "dbname": database, "passfile": str(place.passfile)}


def _passfile(place: Place) -> None:
    """What PostgreSQL's clients read passwords from (libpq, asyncpg): host, port, database, user, password."""
    from xmed.files.atomic import write_atomically

    users = {SUPERUSER: "postgres", **{role: f"{role}-database" for role in ROLES}}
    lines = [f"{LOOPBACK}:*:*:{user}:{_escaped(secret(place.home, name))}\n" for user, name in users.items()]
    write_atomically(place.passfile, "".join(lines), private=True)


def _escaped(text: str) -> str:
    return re.sub(r"([\\:])", r"\\\1", text)


def _plain() -> dict[str, str]:
    """The environment without whatever would speak to another PostgreSQL."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _version(place: Path) -> str:
    said = subprocess.run([place / "initdb", "--version"], capture_output=True, text=True).stdout
    return re.findall(r"(\d+)", said)[0]
