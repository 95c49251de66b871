"""Whom a client takes for its server.

Workers trust one certificate, exactly that of their server: it travels to them with the address.
So a certificate that nobody has signed is as good as any, and names in it don't matter to them.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from elephas_torch.errors import ServerError, Unreachable
from elephas_torch.parameter import pem
from elephas_torch.parameter.secured import Secured

#: OpenSSL's numbers of why a certificate isn't taken.
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


def trusting(certificate: str) -> ssl.SSLContext:
    """Returns a client's side that takes this certificate (PEM), and no other in the world."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False  # which names are in it doesn't matter: it is that one
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=certificate)
    return context


class Trust:
    """Whom a client takes for its server. Reads no file, and makes nothing, before its first use.

    Args:
        certificate: PEM: exactly this one, whatever names it is for. None: one for the server's
            name, which someone in `cafile` has signed.
        cafile: PEM; None: those whom this system trusts.

    Raises:
        ValueError: both were given, or `certificate` isn't one.
    """

    def __init__(self, certificate: str | None, cafile: Any = None) -> None:
        if certificate is not None and cafile is not None:
            raise ValueError("Give `ssl_certificate` (exactly that one) or `ssl_cafile`, not both.")
        if certificate is not None and not pem.certificates(certificate):
            raise ValueError(
                "`ssl_certificate` must be a certificate in PEM, such as "
                "`ServerProcess.certificate`; the name of a file goes into `ssl_cafile`."
            )
        self.certificate, self.cafile = certificate, cafile
        self._context: ssl.SSLContext | None = None

    def secure(self, plain: socket.socket, host: str, address: str) -> Secured:
        """Shakes hands over a connection, which is closed where that fails.

        Raises:
            ServerError: it isn't the server, or doesn't speak TLS.
            Unreachable: the connection was cut.
        """
        try:
            return self._secure(plain, host)
        except (OSError, ssl.CertificateError) as error:
            plain.close()
            # A connection that was cut may come back, a wrong certificate doesn't get better.
            cut = isinstance(error, ConnectionError | ssl.SSLEOFError)
            said = _failed(error, address, self.certificate is not None)
            raise (Unreachable(said, reached=True) if cut else ServerError(said)) from error

    def _secure(self, plain: socket.socket, host: str) -> Secured:
        if self._context is None:
            self._context = self._made()
        secured = Secured(plain, self._context, host)
        if self.certificate is not None:
            shown = secured.tls.getpeercert(True)
            if shown != ssl.PEM_cert_to_DER_cert(pem.certificates(self.certificate)[0]):
                raise ssl.SSLCertVerificationError("another certificate")
        return secured

    def _made(self) -> ssl.SSLContext:
        if self.certificate is not None:
            return trusting(self.certificate)
        text = None if self.cafile is None else pem.read("ssl_cafile", self.cafile)
        context = ssl.create_default_context(cadata=text)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def why_not(error: ssl.SSLError | ValueError) -> str:
    """Says why a certificate isn't taken, and what to do."""
    code = getattr(error, "verify_code", 0)
    if code == _EXPIRED:
        return "the certificate has expired; make a new one, or set this machine's clock right"
    if code == _NOT_YET:
        return "the certificate isn't valid yet; set this machine's clock right, or wait"
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return f"the certificate is for other names: {getattr(error, 'verify_message', error)}"
    return f"{getattr(error, 'verify_message', None) or error}"


def _failed(error: Exception, address: str, pinned: bool) -> str:
    """What a failed handshake means."""
    here = f"from host {socket.gethostname()}"
    if isinstance(error, ssl.CertificateError):
        code = getattr(error, "verify_code", 0)
        if pinned and code not in (_EXPIRED, _NOT_YET):
            return (
                f"What answers at {address} {here} isn't this run's server: it shows another "
                "certificate. Another server has its port now, or somebody is in between. Nothing "
                "was sent to it."
            )
        hint = "" if pinned else " Give the file with its signer's certificate as ssl_cafile."
        return f"No TLS with {address} {here}: {why_not(error)}.{hint}"
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return str(error)
    if isinstance(error, TimeoutError | BlockingIOError):
        return f"{address} didn't answer to the start of TLS, {here}. Is it busy, or stopped?"
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return (
            f"No TLS with {address} {here}: {error.reason or error}. If the server was started "
            "without ssl, its address begins with http://."
        )
    return (
        f"{address} cut the connection at the start of TLS, {here} ({error}). It was stopped, or "
        "has all the connections that it takes."
    )
