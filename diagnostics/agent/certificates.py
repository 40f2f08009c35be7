"""The certificate of a capture worker: a URI in it, `urn:linewarden:worker:NAME`, names the worker."""

import re

from cryptography import x509

#: Begins the URI that names a worker.
URI_PREFIX = "urn:linewarden:worker:"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def check_name(name: str) -> None:
    """Check the name of a worker.

    Raises:
        ValueError: the name is invalid.
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a worker's name is 1 to 63 lower-case letters, digits and hyphens, no hyphen at an end")


def worker_in(certificate: bytes) -> str | None:
    """The worker that a certificate names, PEM; None if it names none. TLS has checked the certificate before."""
    try:
        names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (ValueError, x509.ExtensionNotFound):
        return None
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    found = [uri.removeprefix(URI_PREFIX) for uri in uris if uri.startswith(URI_PREFIX)]
    return found[0] if len(found) == 1 and _NAME.fullmatch(found[0]) else None
