"""Use an archive over DIMSE (PS3.7): C-FIND, C-GET or C-MOVE, and C-STORE.

The environment variable XMED_PACS_CA names a PEM file of certificates to trust instead of those of the system.
XMED_PACS_CERT names a PEM file with our own certificate and key, for connections to the archive and from it (C-MOVE).
"""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pydicom
from pydicom import Dataset, uid
from pydicom.uid import UID, AllTransferSyntaxes
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.transport import ThreadedAssociationServer

from xmed.errors import XmedError
from xmed.io.pacs.archive import (
    TIMEOUT_SECONDS,
    ArchiveSeries,
    MatchAttributes,
    QueryLevel,
    SaveObject,
    match_attributes,
)
from xmed.io.pacs.receiving import MAX_PDU, limit_connection, receive_object

CA_VARIABLE, CERTIFICATE_VARIABLE = "XMED_PACS_CA", "XMED_PACS_CERT"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))
"""UIDs of the Study Root Query/Retrieve Information Model (PS3.4 C.6.2.3)."""
IMAGES: tuple[str, ...] = (
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.EnhancedMRImageStorage,
    uid.EnhancedPETImageStorage,
    uid.EnhancedUSVolumeStorage,
    uid.MRImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.RTStructureSetStorage,
    uid.SegmentationStorage,
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
)
"""SOP classes to request if an archive does not state those of its objects."""
SYNTAXES: list[str | UID] = list(AllTransferSyntaxes)
MAX_CONTEXTS = 127
"""Presentation contexts have odd numbers of one byte (PS3.8 7.1.1.13): 128, one of them for the query itself."""
MAX_RECORDS = 500_000
"""Largest number of matches of a query, the same as the largest number of files of a dataset."""
SUCCESS, PENDING, WARNINGS = 0x0000, (0xFF00, 0xFF01), range(0xB000, 0xC000)


def client_tls_context() -> ssl.SSLContext:
    """Return the TLS context for connections to the archive, whose certificate must match its host name.

    Raises:
        XmedError: PACS_REFUSED if a certificate cannot be read.
    """
    return _tls_context(ssl.PROTOCOL_TLS_CLIENT)


def server_tls_context() -> ssl.SSLContext:
    """Return the TLS context for incoming connections, which must show a trusted certificate.

    Raises:
        XmedError: PACS_REFUSED if XMED_PACS_CERT is not set, or a certificate cannot be read.
    """
    if not os.environ.get(CERTIFICATE_VARIABLE):
        raise XmedError(
            "PACS_REFUSED", f"{CERTIFICATE_VARIABLE} is not set", "a certificate for C-MOVE connections of the archive"
        )
    context = _tls_context(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _tls_context(side: ssl._SSLMethod) -> ssl.SSLContext:
    context, named = ssl.SSLContext(side), CA_VARIABLE
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 9325 (BCP 195), which PS3.15 follows
    try:
        if trusted := os.environ.get(CA_VARIABLE):
            context.load_verify_locations(trusted)
        else:
            context.load_default_certs()
        named = CERTIFICATE_VARIABLE
        if certificate := os.environ.get(CERTIFICATE_VARIABLE):
            context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as problem:
        raise XmedError("PACS_REFUSED", f"{named} names no readable certificate", "a file in PEM") from problem
    return context


# pynetdicom logs patient identifiers, and each error in addition to raising it.
_config.LOG_HANDLER_LEVEL = "none"
_config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


class DimseArchive:
    """The archive at dimse://OUR_AE@host:port/THEIR_AE, or over TLS at dimses:// (see `xmed.io.pacs.dimse`).

    Args:
        url: The address.
        listen: Port on which objects arrive by C-MOVE; without it C-GET is used.
    """

    def __init__(self, url: str, listen: int | None = None) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.peer = parts.hostname or "", parts.port or 104, parts.path.strip("/")
        self.listen, self.tls = listen, parts.scheme == "dimses"
        self.ae = AE(ae_title=parts.username or "XMED")
        self.ae.maximum_pdu_size = MAX_PDU
        self.ae.connection_timeout = self.ae.acse_timeout = self.ae.dimse_timeout = TIMEOUT_SECONDS
        self.ae.network_timeout = TIMEOUT_SECONDS

    def find(self, level: QueryLevel, keys: Mapping[str, str], keywords: Sequence[str]) -> list[MatchAttributes]:
        """Search by C-FIND; see `Archive.find`."""
        identifier = Dataset()
        identifier.SpecificCharacterSet = "ISO_IR 192"
        identifier.QueryRetrieveLevel = level
        for keyword in (*keywords, *keys):
            setattr(identifier, keyword, keys.get(keyword, ""))
        matches = []
        with self._associated([build_context(FIND)]) as association:
            for status, match in association.send_c_find(identifier, FIND):
                code = self._code(status, "C-FIND")
                if code in PENDING and match is not None:
                    matches.append(match_attributes(match, keywords))
                    if len(matches) > MAX_RECORDS:
                        what = f"{self.peer} returned more than {MAX_RECORDS} matches"
                        raise XmedError("PACS_ANSWER", what, "fewer matches", "narrow the query")
                elif code != SUCCESS:
                    raise self._refused("C-FIND", status)
        return matches

    def fetch(self, series: ArchiveSeries, objects: Sequence[str], keep: SaveObject) -> None:
        """Fetch by C-GET or C-MOVE; see `Archive.fetch`."""
        identifier = Dataset()
        identifier.QueryRetrieveLevel = "IMAGE"
        identifier.StudyInstanceUID, identifier.SeriesInstanceUID = series.study, series.uid
        identifier.SOPInstanceUID = list(objects)
        receiving = [(evt.EVT_C_STORE, receive_object, [keep, frozenset(objects)])]
        classes = {series.objects[uid] for uid in objects}
        class_uids: list[str] = sorted(classes) if all(classes) else list(IMAGES)
        if self.listen is None:
            self._get(identifier, class_uids, receiving)
        else:
            self._move(identifier, class_uids, receiving, self.listen)

    def store(self, path: Path) -> str:
        """Store by C-STORE; see `Archive.store`."""
        dataset = pydicom.dcmread(path)
        context = build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        with self._associated([context]) as association:
            status = association.send_c_store(dataset)
            code = self._code(status, "C-STORE")
            if code != SUCCESS and code not in WARNINGS:
                raise self._refused(f"C-STORE of {path.name}", status)
        return "stored" if code == SUCCESS else f"stored with warning 0x{code:04X}"

    def _get(self, identifier: Dataset, classes: list[str], receiving: list[Any]) -> None:
        roles = [build_role(uid, scp_role=True) for uid in classes]
        with self._associated([build_context(GET), *_storage(classes)], receiving, roles) as association:
            self._finish(association.send_c_get(identifier, GET), "C-GET")

    def _move(self, identifier: Dataset, classes: list[str], receiving: list[Any], port: int) -> None:
        storage = [build_context(uid, SYNTAXES) for uid in classes]
        receiving = [*receiving, (evt.EVT_CONN_OPEN, limit_connection)]
        self.ae.require_called_aet = True
        tls = server_tls_context() if self.tls else None
        server = cast(
            ThreadedAssociationServer,
            self.ae.start_server(("", port), block=False, contexts=storage, evt_handlers=receiving, ssl_context=tls),
        )
        try:
            with self._associated([build_context(MOVE)]) as association:
                self._finish(association.send_c_move(identifier, self.ae.ae_title, MOVE), "C-MOVE")
        finally:
            server.shutdown()

    def _finish(self, answers: Iterator[tuple[Dataset, Dataset | None]], what: str) -> None:
        """Wait for the last response. A warning means that objects are missing; the caller sees which."""
        for status, _ in answers:
            code = self._code(status, what)
            if code not in (*PENDING, SUCCESS) and code not in WARNINGS:
                raise self._refused(what, status)

    @contextmanager
    def _associated(
        self, contexts: list[PresentationContext], handlers: Sequence[Any] = (), roles: Sequence[Any] = ()
    ) -> Iterator[Association]:
        """Open an association for the block, and turn its errors into XmedError."""
        where = f"{self.peer} at {self.host}:{self.port}"
        association = self.ae.associate(
            self.host,
            self.port,
            contexts=contexts,
            ae_title=self.peer,
            ext_neg=list(roles),
            evt_handlers=[*handlers, (evt.EVT_CONN_OPEN, limit_connection)],
            tls_args=(client_tls_context(), self.host) if self.tls else None,
        )
        if association.is_rejected:
            do = f"let the archive know {self.ae.ae_title}, its address and port"
            raise XmedError("PACS_REFUSED", f"{where} rejects {self.ae.ae_title}", "an association", do)
        if not association.is_established:
            if association.acceptor.primitive is not None:  # it answered, but accepted no presentation context
                raise XmedError("PACS_REFUSED", f"{where} accepts no requested service", "a service it offers")
            do = "is it running, and does each side trust the other's certificate?" if self.tls else "is it running?"
            raise XmedError("PACS_UNREACHABLE", f"{where} does not answer", "an association", do)
        try:
            yield association
        except XmedError:
            raise
        except OSError as problem:
            if problem.errno is not None:  # an error of the local disk
                raise
            raise XmedError(
                "PACS_UNREACHABLE", f"{where} closed the connection", "an answer", "try again later"
            ) from None
        except Exception as problem:  # undecodable answer; its text may contain a name
            raise XmedError("PACS_ANSWER", f"{where}: {type(problem).__name__} in the answer", "PS3.7") from None
        finally:
            if association.is_established:
                association.release()

    def _code(self, status: Dataset, what: str) -> int:
        """Return the status code of a response."""
        if "Status" not in status:  # pynetdicom: connection lost, or timeout
            raise XmedError(
                "PACS_UNREACHABLE", f"{self.peer} closed the connection during {what}", "an answer", "try again later"
            )
        return int(status.Status)

    def _refused(self, what: str, status: Dataset) -> XmedError:
        # Error Comment is left out, because archives write patient names into it.
        return XmedError("PACS_REFUSED", f"{self.peer}: {what} ended with 0x{status.Status:04X}", "0x0000 (PS3.7 C)")


def _storage(classes: list[str]) -> list[PresentationContext]:
    """Return the presentation contexts for storage.

    If possible, each transfer syntax gets its own context, so that the archive need not recompress.
    """
    if len(classes) * len(SYNTAXES) > MAX_CONTEXTS:
        return [build_context(uid, SYNTAXES) for uid in classes[:MAX_CONTEXTS]]
    return [build_context(uid, syntax) for uid in classes for syntax in SYNTAXES]
