"""TLS between workers and server: whom the server shows itself as, and whom a client trusts.

Workers trust one certificate, exactly that of their server: it travels to them with the address.
So a certificate that nobody has signed is as good as any, and names in it don't matter to them.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from elephas_torch.errors import ServerError

#: How long a certificate that is made for a run is valid.
DAYS = 90
#: Bytes that a client encrypts and sends at once, and the most that it receives at once.
_ROOM = 131_072
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
#: OpenSSL's numbers of why a certificate isn't taken.
_NOT_YET, _EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 9, 10, 62, 64


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
        return _certificates(self.certificate)[0]


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
    certificate = _read("ssl_certfile", certfile)
    if not _PEM.search(certificate):
        raise ValueError(
            "`ssl_certfile` has no certificate in PEM (-----BEGIN CERTIFICATE-----). "
            f"Received: ssl_certfile={str(certfile)!r}"
        )
    key = certificate if keyfile is None else _read("ssl_keyfile", keyfile)
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
            f"`ssl_certfile` can't be used: {_why_not(error)}. "
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

    with _as_file(identity.certificate) as certificate, _as_file(identity.key) as key:
        try:
            # With no function here OpenSSL would ask for a password at the terminal.
            context.load_cert_chain(certificate, key, password)
        except (ssl.SSLError, ValueError) as error:
            raise _unfit(error, bool(asked), identity) from None
    return context


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
        if certificate is not None and not _certificates(certificate):
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
        """
        try:
            return self._secure(plain, host)
        except (OSError, ssl.CertificateError) as error:
            plain.close()
            raise ServerError(_failed(error, address, self.certificate is not None)) from error

    def _secure(self, plain: socket.socket, host: str) -> Secured:
        if self._context is None:
            self._context = self._made()
        secured = Secured(plain, self._context, host)
        if self.certificate is not None:
            shown = secured.tls.getpeercert(True)
            if shown != ssl.PEM_cert_to_DER_cert(_certificates(self.certificate)[0]):
                raise ssl.SSLCertVerificationError("another certificate")
        return secured

    def _made(self) -> ssl.SSLContext:
        if self.certificate is not None:
            return trusting(self.certificate)
        text = None if self.cafile is None else _read("ssl_cafile", self.cafile)
        context = ssl.create_default_context(cadata=text)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class Secured:
    """TLS over a socket, with a plain one's methods, as `connection.Connection` uses them.

    Not Python's SSL socket: that makes two or three system calls a record of 16 KB, and is woken up
    for each. Timeouts are the socket's own, of the kernel.

    Raises:
        OSError: the handshake failed; BlockingIOError: it took too long.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._plain, self._in, self._out = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._room = memoryview(bytearray(_ROOM))
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send()
                self._receive()
        self._send()

    def sendmsg(self, parts: Sequence[memoryview]) -> int:
        """Sends the first bytes of these parts; returns how many."""
        sent = 0
        for part in _up_to(parts, _ROOM):
            done = 0
            while done < len(part):
                done += self.tls.write(part[done:])
            sent += done
        self._send()
        return sent

    def recv_into(self, target: memoryview, nbytes: int = 0, flags: int = 0) -> int:
        """Receives what is there; returns how many bytes, 0 at the end."""
        have = 0
        while have < len(target):
            try:
                got = self.tls.read(len(target) - have, target[have:])
            except ssl.SSLWantReadError:
                self._send()
                if have:
                    break
                self._receive()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            if not got:
                break
            have += int(got)
        return have

    def close(self) -> None:
        """Closes the connection, without a farewell: every answer says how long it is."""
        self._plain.close()

    def _receive(self) -> None:
        got = self._plain.recv_into(self._room)
        if got:
            self._in.write(self._room[:got])
        else:
            self._in.write_eof()

    def _send(self) -> None:
        if self._out.pending:
            self._plain.sendall(self._out.read())


def _up_to(parts: Sequence[memoryview], size: int) -> Iterator[memoryview]:
    for part in parts:
        yield part[:size]
        size -= len(part)
        if size <= 0:
            return


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


def _certificates(text: str) -> list[str]:
    return [f"{one}\n" for one in _PEM.findall(text)]


def _read(name: str, path: Any) -> str:
    try:
        return Path(path).read_bytes().decode("latin-1")
    except OSError as error:
        raise type(error)(
            f"`{name}` can't be read: {error.strerror}. Received: {name}={str(path)!r}"
        ) from None


@contextlib.contextmanager
def _as_file(content: str) -> Iterator[str]:
    """A file for OpenSSL, which reads nothing else: in memory where the system has that, else in
    a folder of this user's alone, which is gone at once."""
    data = content.encode("latin-1")
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("elephas_torch", os.MFD_CLOEXEC), "wb", buffering=0) as file:
            file.write(data)
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pem"
        path.touch(0o600)
        path.write_bytes(data)
        yield str(path)


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


def _why_not(error: ssl.SSLError | ValueError) -> str:
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
        return f"No TLS with {address} {here}: {_why_not(error)}.{hint}"
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
