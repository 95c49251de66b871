"""Whom a server shows itself as: its certificate and key, given in files or made for a run."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from elephas_torch.parameter import pem
from elephas_torch.parameter.trust import trusting, why_not

#: How long a certificate that is made for a run is valid.
DAYS = 90


@dataclass(frozen=True)
class Identity:
    """What a server shows itself as.

    Attributes:
        certificate: PEM; the server's own first, then those of who has signed it.
        key: PEM.
        password: of the key, if it is encrypted.
    """

    certificate: str
    key: str = field(repr=False)
    password: str | None = field(repr=False, default=None)

    @property
    def own(self) -> str:
        """The server's certificate alone, as PEM: what workers trust."""
        return pem.certificates(self.certificate)[0]


@dataclass(frozen=True)
class Wanted:
    """What was asked for, in a server's arguments.

    Args:
        ssl: with a certificate made for the run, where no file is given.
        certfile: PEM, of the certificate, its signers' after it, and maybe the key.
        keyfile: PEM; None: the key is in `certfile`.
        password: of the key, if it is encrypted.

    Raises:
        TypeError: `ssl` is no bool, or a path is no path.
        ValueError: a key or a password without a certificate.
    """

    ssl: bool = False
    certfile: Any = None
    keyfile: Any = None
    password: str | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        if not isinstance(self.ssl, bool):
            raise TypeError(
                f"`ssl` must be True or False; files go into ssl_certfile and ssl_keyfile. "
                f"Received: ssl={self.ssl!r}"
            )
        for name in ("certfile", "keyfile"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str | os.PathLike):
                raise TypeError(f"`ssl_{name}` must be a path. Received: ssl_{name}={value!r}")
        if self.password is not None and not isinstance(self.password, str):
            raise TypeError("`ssl_keyfile_password` must be a string.")
        if self.certfile is None and (self.keyfile is not None or self.password is not None):
            raise ValueError(
                "`ssl_keyfile` and `ssl_keyfile_password` go with `ssl_certfile`, which is missing."
            )

    @property
    def any(self) -> bool:
        """Whether TLS was asked for at all."""
        return self.ssl or self.certfile is not None

    def check(self) -> None:
        """Raises what `identity` would, before a server is made."""
        if self.certfile is not None:
            given(self.certfile, self.keyfile, self.password)
        elif self.ssl:
            _cryptography()

    def identity(self, names: Sequence[str]) -> Identity | None:
        """Whom the server at these names and addresses shows itself as; None: no TLS.

        Raises: as `given` and `made`.
        """
        if self.certfile is not None:
            return given(self.certfile, self.keyfile, self.password)
        return made(names) if self.ssl else None


def given(certfile: Any, keyfile: Any = None, password: str | None = None) -> Identity:
    """Reads and tries a certificate and its key.

    Raises:
        OSError: a file isn't there, or can't be read.
        ValueError: one isn't what it should be, the key belongs to another certificate or needs a
            password, or the certificate is out of date.
    """
    certificate = pem.read("ssl_certfile", certfile)
    if not pem.certificates(certificate):
        raise ValueError(
            "`ssl_certfile` has no certificate in PEM (-----BEGIN CERTIFICATE-----). "
            f"Received: ssl_certfile={str(certfile)!r}"
        )
    key = certificate if keyfile is None else pem.read("ssl_keyfile", keyfile)
    if "PRIVATE KEY-----" not in key:
        where = "ssl_certfile" if keyfile is None else "ssl_keyfile"
        raise ValueError(
            f"`{where}` has no private key in PEM (-----BEGIN PRIVATE KEY-----). "
            f"Received: {where}={str(certfile if keyfile is None else keyfile)!r}"
        )
    found = Identity(certificate, key, password)
    try:
        _shake_hands(server_context(found), trusting(found.own))
    except ssl.SSLCertVerificationError as error:
        raise ValueError(
            f"`ssl_certfile` can't be used: {why_not(error)}. "
            f"Received: ssl_certfile={str(certfile)!r}"
        ) from None
    return found


def made(names: Sequence[str]) -> Identity:
    """Makes a key (EC P-256) and a certificate for it, which it signs by itself.

    Args:
        names: host names and addresses that the certificate is for.

    Raises:
        ImportError: the package cryptography isn't there.
    """
    _cryptography()
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "elephas_torch parameter server")])
    now = datetime.datetime.now(datetime.timezone.utc)
    known = x509.SubjectAlternativeName([_name(x509, one) for one in dict.fromkeys(names)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks of other machines may be behind.
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(known, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    signed = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Identity(signed.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


def server_context(identity: Identity) -> ssl.SSLContext:
    """Returns a server's side of TLS 1.2 or later.

    Raises:
        ValueError: key and certificate don't fit, or the key needs a (another) password.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    asked = []

    def password() -> str:
        asked.append(True)
        return identity.password or ""

    with pem.as_file(identity.certificate) as certificate, pem.as_file(identity.key) as key:
        try:
            # With no function here OpenSSL would ask for a password at the terminal.
            context.load_cert_chain(certificate, key, password)
        except (ssl.SSLError, ValueError) as error:
            raise _unfit(error, bool(asked), identity) from None
    return context


def _cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise ImportError(
            "ssl=True makes a certificate for the run, which needs the package cryptography: pip "
            "install 'elephas-torch[tls]'. Or give ssl_certfile and ssl_keyfile, which need "
            "nothing more."
        ) from None


def _name(x509: Any, text: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text.encode("idna").decode())


def _unfit(error: Exception, asked: bool, identity: Identity) -> ValueError:
    reason = str(getattr(error, "reason", None) or error)
    if asked and identity.password is None:
        return ValueError("`ssl_keyfile` is encrypted: give `ssl_keyfile_password`.")
    if asked:
        return ValueError("`ssl_keyfile_password` isn't the key's.")
    if "MISMATCH" in reason:
        return ValueError(
            "`ssl_keyfile` is the key of another certificate than the first one in `ssl_certfile`."
        )
    return ValueError(f"`ssl_certfile` or `ssl_keyfile` can't be used: {reason}.")


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """Lets the two sides meet, in memory; raises what workers would see."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(8):
        for side in list(sides):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                sides.remove(side)
