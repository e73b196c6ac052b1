"""PostgreSQL for one home: its programs, its data directory, its roles and databases."""

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
from xmed.files.atomic import write_atomically
from xmed.processes.child import child_environment
from xmed.server.prefect_server import LOOPBACK, free_port, start_process, stop_process
from xmed.server.stack.passwords import stack_password
from xmed.server.stack.paths import StackPlace

ACCOUNT = "postgres"
SUPERUSER = "xmed"
ROLES = {"mlflow": ("mlflow", "mlflow_auth"), "prefect": ("prefect",)}
"""Role → the databases that it owns."""
CONNECTIONS = 200  # MLflow may hold 15 for each of its stores in each worker
START_SECONDS = 60.0
FAST_SHUTDOWN = 2  # SIGINT: ends sessions and writes everything down; SIGTERM would wait for every client to leave


@cache
def programs(data: Path) -> Path:
    """Find the folder of PostgreSQL's programs, in the version of a data directory that is there already.

    Raises:
        XmedError: SERVER_FAILED, where PostgreSQL is not installed, or in another version only.
    """
    needed = (data / "PG_VERSION").read_text(encoding="ascii").strip() if (data / "PG_VERSION").is_file() else None
    on_path = [Path(program).resolve().parent for program in [shutil.which("initdb")] if program]
    debian, redhat = Path("/usr/lib/postgresql").glob("*/bin"), Path("/usr").glob("pgsql-*/bin")
    folders = [folder for folder in [*debian, *redhat, *on_path] if (folder / "initdb").is_file()]
    by_version = {int(_version(folder)): folder for folder in folders}
    if needed and int(needed) in by_version:
        return by_version[int(needed)]
    if needed or not by_version:
        what = f"no PostgreSQL {needed or ''}".rstrip() + (f", only {sorted(by_version)}" if by_version else "")
        package = f"postgresql-{needed}" if needed else "postgresql"
        raise XmedError("SERVER_FAILED", what, "its server", f"apt-get install {package}")
    return by_version[max(by_version)]


def server_account(data: Path) -> dict[str, Any]:
    """Find the account that PostgreSQL runs as. It refuses to run as root: then it is the account `postgres`.

    Returns:
        Arguments for subprocess.Popen; empty for the account of this process.

    Raises:
        XmedError: PATH_UNSAFE, where that account may not enter the home; SERVER_FAILED, where there is none.
    """
    if os.geteuid() != 0:
        return {}
    try:
        account = pwd.getpwnam(ACCOUNT)
    except KeyError as problem:
        raise XmedError("SERVER_FAILED", f"no account {ACCOUNT}", "one to lend PostgreSQL, or not root") from problem
    for folder in (data.parent, data.parent.parent):  # stack, and the home, which are closed to everybody else
        if folder.is_dir():
            folder.chmod(folder.stat().st_mode & 0o7777 | 0o001)
    for parent in data.absolute().parents:
        if parent.exists() and not parent.stat().st_mode & 0o001:
            do = "be somebody else than root, set XMED_HOME elsewhere, or chmod o+x"
            raise XmedError("PATH_UNSAFE", f"{ACCOUNT} may not enter {parent}", "a home that it can reach", do)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def make_cluster(place: StackPlace) -> Path:
    """Make the data directory, completely or not at all, with SCRAM passwords for everybody and checksums.

    Returns:
        The data directory; one that is there already stays as it is.
    """
    data, part = place.data, place.data.with_name("postgres.part")
    folder, account = programs(data), server_account(data)
    if data.is_dir():
        return data
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    password_file = place.folder / "postgres.password"  # for initdb, which may run under another account
    try:
        with open(os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(stack_password(place.home, "postgres"))
        if account:
            os.chown(part, account["user"], account["group"])
            os.chown(password_file, account["user"], account["group"])
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"]
        initdb = [str(folder / "initdb"), "-D", str(part), "-U", SUPERUSER, *options, f"--pwfile={password_file}"]
        result = subprocess.run(initdb, capture_output=True, text=True, env=_own_environment(), cwd="/", **account)
        if result.returncode:
            last = (result.stderr.strip().splitlines() or ["nothing"])[-1]
            raise XmedError("SERVER_FAILED", f"initdb said: {last}", f"a database cluster in {data}")
        part.rename(data)
    finally:
        password_file.unlink(missing_ok=True)
        shutil.rmtree(part, ignore_errors=True)
    return data


def server_command(place: StackPlace, port: int) -> list[str]:
    """The command that runs the server: on loopback only, without a socket in the file system."""
    settings = {"listen_addresses": LOOPBACK, "port": port, "unix_socket_directories": ""}
    settings |= {"max_connections": CONNECTIONS, "password_encryption": "scram-sha-256"}
    options = [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]
    return [str(programs(place.data) / "postgres"), "-D", str(place.data), *options]


def make_databases(place: StackPlace, port: int) -> None:
    """Make every role with its password and its databases, where they are missing, and the clients' password file.

    Passwords leave this process as SCRAM verifiers only: PostgreSQL logs statements that fail.
    """
    import psycopg2
    from psycopg2 import sql
    from psycopg2.extensions import encrypt_password

    _write_passfile(place)
    with closing(psycopg2.connect(**_connection_settings(place, port, SUPERUSER, "postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for role, databases in ROLES.items():
                name = sql.Identifier(role)
                password = stack_password(place.home, f"{role}-database")
                verifier = encrypt_password(password, role, connection, "scram-sha-256")
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                verb = "ALTER" if cursor.fetchone() else "CREATE"
                cursor.execute(sql.SQL(verb + " ROLE {} LOGIN PASSWORD %s").format(name), [verifier])
                for database in databases:
                    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
                    if not cursor.fetchone():
                        statement = sql.SQL("CREATE DATABASE {} OWNER {}")
                        cursor.execute(statement.format(sql.Identifier(database), name))


def accepts_connections(place: StackPlace, port: int) -> bool:
    """Whether the server accepts connections."""
    command = [str(programs(place.data) / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(port)]
    return subprocess.run(command, env=_own_environment()).returncode == 0


def current_migration(place: StackPlace, port: int, database: str) -> str:
    """Read the migration (alembic) that a database is at.

    Raises:
        XmedError: SERVER_FAILED.
    """
    import psycopg2

    try:
        settings = _connection_settings(place, port, database, database)
        with closing(psycopg2.connect(**settings)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT version_num FROM alembic_version")
            (migration,) = cursor.fetchone() or ("none",)
            return str(migration)
    except psycopg2.Error as problem:
        message = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise XmedError("SERVER_FAILED", message, "a database that answers") from problem


def database_url(role: str, database: str, port: int, driver: str = "postgresql") -> str:
    """The URL of a database for SQLAlchemy; the password is in the file that PGPASSFILE names, never here."""
    return f"{driver}://{role}@{LOOPBACK}:{port}/{database}"


def run_client(place: StackPlace, port: int, program: str, *options: str) -> None:
    """Run one of PostgreSQL's own programs as the role that owns MLflow's databases.

    Raises:
        XmedError: SERVER_FAILED, with the last line that the program printed.
    """
    login = ["-h", LOOPBACK, "-p", str(port), "-U", "mlflow"]
    environment = _own_environment() | {"PGPASSFILE": str(place.passfile)}
    command = [str(programs(place.data) / program), *login, *options]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["nothing"])[-1]
        raise XmedError("SERVER_FAILED", f"{program} said: {last}", "a database that answers")


@contextmanager
def standalone_server(place: StackPlace) -> Iterator[int]:
    """Run PostgreSQL alone for the time of the block, where the stack is down; yields its port."""
    data, port, log = make_cluster(place), free_port(0), place.log("postgres")
    environment = _own_environment() | child_environment()
    process = start_process(server_command(place, port), environment, log, **server_account(data))
    try:
        until = time.monotonic() + START_SECONDS
        while not accepts_connections(place, port):
            if process.poll() is not None or time.monotonic() > until:
                raise XmedError("SERVER_FAILED", "PostgreSQL did not start", "a server", f"see {log}")
            time.sleep(0.1)
        make_databases(place, port)
        yield port
    finally:
        stop_process(process, FAST_SHUTDOWN)


def _connection_settings(place: StackPlace, port: int, user: str, database: str) -> dict[str, Any]:
    return {"host": LOOPBACK, "port": port, "user": user, "dbname": database, "passfile": str(place.passfile)}


def _write_passfile(place: StackPlace) -> None:
    """Write the password file of PostgreSQL's clients (libpq, asyncpg): host, port, database, user, password."""
    users = {SUPERUSER: "postgres", **{role: f"{role}-database" for role in ROLES}}
    lines = [
        f"{LOOPBACK}:*:*:{user}:{_escape_passfile(stack_password(place.home, name))}\n" for user, name in users.items()
    ]
    write_atomically(place.passfile, "".join(lines), private=True)


def _escape_passfile(text: str) -> str:
    return re.sub(r"([\\:])", r"\\\1", text)


def _own_environment() -> dict[str, str]:
    """The environment without variables that name another PostgreSQL."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}


def _version(folder: Path) -> str:
    output = subprocess.run([folder / "initdb", "--version"], capture_output=True, text=True).stdout
    return str(re.findall(r"(\d+)", output)[0])
