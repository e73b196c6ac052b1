"""Set up TLS for DIMSE (PS3.15 B.12). Both sides show a certificate.

The environment variable XMED_PACS_CA names a PEM file of certificates to trust instead of those of the system.
XMED_PACS_CERT names a PEM file with our own certificate and key, for connections to the archive and from it (C-MOVE).
"""

from __future__ import annotations

import os
import ssl

from xmed.errors import XmedError

CA_VARIABLE, CERTIFICATE_VARIABLE = "XMED_PACS_CA", "XMED_PACS_CERT"


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
