"""Use an archive over DICOMweb (PS3.18): QIDO-RS to search, WADO-RS to fetch, STOW-RS to store."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom
import requests
from dicomweb_client import DICOMwebClient
from pydicom import Dataset
from requests.auth import AuthBase, HTTPBasicAuth

from xmed.errors import XmedError
from xmed.io.file_kinds import MAX_BYTES
from xmed.io.pacs.archive import (
    TIMEOUT_SECONDS,
    ArchiveSeries,
    MatchAttributes,
    QueryLevel,
    SaveObject,
    match_attributes,
)

BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP status codes after which the same request may succeed later (RFC 9110; 429: RFC 6585)."""
logging.getLogger("dicomweb_client").setLevel(logging.ERROR)  # it logs warnings of servers
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CHUNK = 1 << 16
MAX_ANSWER, MAX_RECORDS = 64 << 20, 500_000
"""Largest response in bytes that is not an object, and largest number of matches (that of files of a dataset)."""
SLOWEST = 1024
"""Bytes per second that a response must reach after TIMEOUT_SECONDS; a slower one is given up."""
UNSAFE = re.compile(r"[^A-Za-z0-9._*?-]")


class DicomWebArchive:
    """A DICOMweb service.

    Credentials come from XMED_PACS_TOKEN, from XMED_PACS_USER and XMED_PACS_PASSWORD, or from ~/.netrc.

    Args:
        url: Address of the service.

    Raises:
        XmedError: PACS_REFUSED for a password over http:// to another machine.
    """

    def __init__(self, url: str) -> None:
        session = _Session()
        session.auth = _credentials()
        if session.auth and urlsplit(url).scheme == "http" and urlsplit(url).hostname not in LOOPBACK:
            raise XmedError("PACS_REFUSED", "a password over http:// to another machine", "https://", "ask for TLS")
        session.hooks["response"].append(_read_limited)
        self.host = urlsplit(url).hostname
        self.client = DICOMwebClient(url.rstrip("/"), session=session, timeout=TIMEOUT_SECONDS)
        self.client.set_http_retry_params(retry=False)  # only `with_retries` repeats requests

    def find(self, level: QueryLevel, keys: Mapping[str, str], keywords: Sequence[str]) -> list[MatchAttributes]:
        """Search by QIDO-RS; see `Archive.find`."""
        above = ("StudyInstanceUID", "SeriesInstanceUID")[: ("STUDY", "SERIES", "IMAGE").index(level)]
        place = [keys[key] for key in above]
        # Characters that an address would have to escape become wildcards, and matches are filtered later: the Orthanc
        # of Debian 12 does not decode %20 and %5E.
        rest = {key: UNSAFE.sub("?", value) for key, value in keys.items() if key not in above}
        searches: dict[QueryLevel, Callable[..., Any]] = {
            "STUDY": self.client.search_for_studies,
            "SERIES": self.client.search_for_series,
            "IMAGE": self.client.search_for_instances,
        }
        matches: dict[str, Any] = {}
        with self._asking("search"):
            # Page by page, until no new match arrives, because some servers ignore `offset`.
            while page := searches[level](*place, fields=list(keywords), search_filters=rest, offset=len(matches)):
                fresh = {json.dumps(match, sort_keys=True): match for match in page}
                if fresh.keys() <= matches.keys():
                    break
                matches |= fresh
                if len(matches) > MAX_RECORDS:
                    raise XmedError(
                        "PACS_ANSWER",
                        f"{self.host} returned more than {MAX_RECORDS} matches",
                        "fewer matches",
                        "narrow the query",
                    )
            return [match_attributes(Dataset.from_json(match), keywords) for match in matches.values()]

    def fetch(self, series: ArchiveSeries, objects: Sequence[str], keep: SaveObject) -> None:
        # In the stored transfer syntax, so that the archive does not recompress.
        """Fetch by WADO-RS; see `Archive.fetch`."""
        media = (("application/dicom", "*"),)
        for uid in objects:
            try:
                with self._asking("retrieve"):
                    dataset = self.client.retrieve_instance(series.study, series.uid, uid, media_types=media)
                    file = BytesIO()
                    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
            except XmedError as problem:
                if problem.code == "PACS_UNREACHABLE" or "401" in problem.what:
                    raise
                continue  # this object is refused or damaged; continue with the others
            keep(uid, file.getvalue())

    def store(self, path: Path) -> str:
        """Store by STOW-RS; see `Archive.store`."""
        dataset = pydicom.dcmread(path)
        with self._asking("store"):
            answer = self.client.store_instances([dataset])
            failed = answer.get("FailedSOPSequence")
            reason = _hex_status(failed[0].get("FailureReason")) if failed else ""
            warned = (answer.get("ReferencedSOPSequence") or [Dataset()])[0].get("WarningReason")
            outcome = f"stored with warning {_hex_status(warned)}" if warned else "stored"
        if reason:
            raise XmedError("PACS_REFUSED", f"{self.host} did not store {path.name}: reason {reason}", "PS3.18 I.2")
        return outcome

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn errors of a request into XmedError.

        The original error is not chained, because its text contains the address and perhaps a name.
        """
        where = f"{self.host}: {what}"
        try:
            yield
        except XmedError:
            raise
        except requests.HTTPError as problem:
            status = 0 if problem.response is None else problem.response.status_code
            if status in BUSY:
                raise XmedError("PACS_UNREACHABLE", f"{where} answered {status}", "200", "try again later") from None
            do = "set XMED_PACS_USER and XMED_PACS_PASSWORD, or ~/.netrc" if status in (401, 403) else ""
            raise XmedError("PACS_REFUSED", f"{where} answered {status}", "200", do) from None
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as problem:
            kind = type(problem).__name__
            raise XmedError("PACS_UNREACHABLE", f"{where}: {kind}", "an answer", "is it running?") from None
        except Exception as problem:
            raise XmedError("PACS_ANSWER", f"{where}: {type(problem).__name__} in the answer", "DICOMweb") from None


class _Session(requests.Session):
    """A session that leaves wildcards unescaped, which is the same address by RFC 3986."""

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:
        request.url = (request.url or "").replace("%2A", "*").replace("%3F", "?")  # the same address by RFC 3986
        return super().send(request, **settings)


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


def _credentials() -> AuthBase | None:
    """Return the credentials; None leaves it to requests, which reads ~/.netrc or the file that NETRC names."""
    token, user = os.environ.get("XMED_PACS_TOKEN"), os.environ.get("XMED_PACS_USER")
    if token:
        return _Bearer(token)
    return HTTPBasicAuth(user, os.environ.get("XMED_PACS_PASSWORD", "")) if user else None


def _read_limited(response: requests.Response, **_: object) -> None:
    """Read a response in chunks, and stop if it is too large or too slow."""
    kind = response.headers.get("Content-Type", "").lower()
    most = MAX_BYTES if kind.startswith(("multipart/", "application/dicom")) and "json" not in kind else MAX_ANSWER
    body, began = bytearray(), time.monotonic()
    for chunk in response.iter_content(CHUNK):
        body += chunk
        seconds = time.monotonic() - began
        if len(body) > most:
            response.close()
            raise XmedError("SIZE_CLAIM", f"an answer of more than {most} bytes", "one object, or a list of matches")
        if seconds > TIMEOUT_SECONDS and len(body) < SLOWEST * seconds:
            response.close()
            raise requests.Timeout(f"{len(body)} bytes in {seconds:.0f} s")
    response._content = bytes(body)  # the attribute that requests itself uses


def _hex_status(status: int | None) -> str:
    return "unknown" if status is None else f"0x{status:04X}"
