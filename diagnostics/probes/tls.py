"""TLS probe: the certificate of a server, and whether it is valid."""

import hashlib
import socket
import ssl
from contextlib import suppress

from cryptography import x509

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult, clean

_PORT = 5061


def probe_tls(order: ProbeOrder) -> ProbeResult:
    """Report protocol, cipher, fingerprint and names of the certificate, and the result of its verification."""
    trusted = ssl.create_default_context()
    try:
        values = _shown(order, trusted)
    except ssl.SSLCertVerificationError as error:
        values = {"verified": "no", "verify_error": clean(error.verify_message)}
        with suppress(OSError):
            values = _shown(order, _untrusting()) | values
        return ProbeResult(succeeded=False, values=values)
    except OSError as error:
        return ProbeResult(succeeded=False, values={"error": type(error).__name__})
    return ProbeResult(succeeded=True, values={"verified": "yes"} | values)


def _shown(order: ProbeOrder, context: ssl.SSLContext) -> dict[str, str]:
    address = (order.target, order.port or _PORT)
    with socket.create_connection(address, order.timeout_s) as plain:
        plain.settimeout(order.timeout_s)
        with context.wrap_socket(plain, server_hostname=order.target) as secure:
            raw = secure.getpeercert(binary_form=True) or b""
            values = {
                "protocol": secure.version() or "",
                "cipher": (secure.cipher() or ("",))[0],
                "sha256": hashlib.sha256(raw).hexdigest(),
            }
            return values | _described(raw)


def _described(raw: bytes) -> dict[str, str]:
    """Return the fields of a certificate, valid or not, because most faults are expired certificates."""
    try:
        certificate = x509.load_der_x509_certificate(raw)
        names = _names(certificate)
    except ValueError:
        return {"certificate": "unreadable"}
    values = {
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "issuer": certificate.issuer.rfc4514_string(),
        "names": ", ".join(names),
    }
    return {name: clean(value) for name, value in values.items() if value}


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in found]


def _untrusting() -> ssl.SSLContext:
    """Return a context that reads an invalid certificate. No data is sent over that connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
