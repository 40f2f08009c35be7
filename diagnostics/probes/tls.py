"""The certificate that a server shows, and whether it holds."""

import hashlib
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress

from linewarden.diagnostics.probes.model import Findings, ProbeOrder, clean

_PORT = 5061


def probe_tls(order: ProbeOrder) -> Findings:
    """Report protocol, cipher, fingerprint and names of the certificate, and what the trust store says of it."""
    trusted = ssl.create_default_context()
    try:
        values = _shown(order, trusted)
    except ssl.SSLCertVerificationError as error:
        values = {"verified": "no", "verify_error": clean(error.verify_message)}
        with suppress(OSError):
            values = _shown(order, _untrusting()) | values
        return Findings(succeeded=False, values=values)
    except OSError as error:
        return Findings(succeeded=False, values={"error": type(error).__name__})
    return Findings(succeeded=True, values={"verified": "yes"} | values)


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
            return values | _described(secure.getpeercert() or {})


def _described(certificate: Mapping[str, object]) -> dict[str, str]:
    """What stands in a certificate that was verified; of others Python tells nothing."""
    values = {"not_before": certificate.get("notBefore"), "not_after": certificate.get("notAfter")}
    names = certificate.get("subjectAltName")
    if isinstance(names, tuple):
        values["names"] = ", ".join(str(value) for _kind, value in names)
    return {name: clean(str(value)) for name, value in values.items() if value}


def _untrusting() -> ssl.SSLContext:
    """For a look at a certificate that did not hold. Nothing is sent over that connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
