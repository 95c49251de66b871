"""TLS: the same results, to the right server alone, and errors that say what to do."""

import datetime
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from elephas_torch.errors import Refused, ServerError, WaitTimeout
from elephas_torch.flat import Vectors
from elephas_torch.parameter import Client, Push, ServerProcess, tls
from elephas_torch.parameter.process import listen
from elephas_torch.parameter.shards import ShardedServer, connect
from elephas_torch.parameter.state import State

DAY = datetime.timedelta(days=1)


def pem(key, password=None):
    hidden = serialization.NoEncryption()
    if password:
        hidden = serialization.BestAvailableEncryption(password.encode())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, hidden
    ).decode()


class Signed:
    """A certificate of somebody's own, signed by itself or by another."""

    def __init__(self, name, signer=None, since=-DAY, until=DAY, authority=False):
        self.key = ec.generate_private_key(ec.SECP256R1())
        by = signer or self
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder(by.name, self.name, self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
            .add_extension(x509.BasicConstraints(authority, None), True)
        )
        if authority:
            usage = dict.fromkeys(
                ["digital_signature", "content_commitment", "key_encipherment", "key_agreement",
                 "data_encipherment", "crl_sign", "encipher_only", "decipher_only"], False
            )  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, **usage), True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(by.key.public_key())
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False
        ).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
        )
        self.certificate = builder.sign(by.key, hashes.SHA256())

    @property
    def text(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def files(self, folder, key=None, password=None, chain=""):
        (folder / "certificate.pem").write_text(self.text + chain)
        (folder / "key.pem").write_text(pem((key or self).key, password))
        return {"ssl_certfile": folder / "certificate.pem", "ssl_keyfile": folder / "key.pem"}


def trained(client, size, vectors=lambda n: torch.linspace(-1, 1, n)):
    """Three updates of one worker; its last weights."""
    none = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    update, into = Vectors(vectors(size), *none), Vectors(torch.zeros(size), *none)
    client.join(0, 0, samples=1)
    version = client.pull(into)
    for seq in range(3):
        version = client.exchange(Push(0, 0, seq, version, 1, 0, False), update, into).version
        update.parameters.mul_(into.parameters)
    return into.parameters


@pytest.mark.parametrize("size", [3, 5_000, 1_000_000])
def test_the_same_bits_with_and_without(local_server, settings, vectors, size):
    initial, found = vectors(torch.full((size,), 0.5).tolist()), []
    for identity in (None, tls.made(["127.0.0.1"])):
        state = State(settings("asynchronous", initial), initial)
        with local_server(state, None, identity).client() as client:
            found.append(trained(client, size))
    assert torch.equal(*found)


def test_pieces_have_a_certificate_each(settings, vectors):
    initial = vectors([0.0] * 10)
    server = ShardedServer(settings("asynchronous", initial), initial, 2, ssl=True)
    try:
        server.start()
        assert len({address.certificate for address in server.addresses}) == 2
        with connect(server.addresses, 30) as client:
            assert client.health()["state"] == "ready"
            with client.twin() as twin:
                assert twin.status()["shards"] == 2
        assert all("PRIVATE" not in repr(one) + str(vars(one).keys()) for one in server.servers)
    finally:
        server.stop()


def test_the_certificate_of_a_run_is_for_its_address_and_for_some_time():
    made = tls.made(["127.0.0.1", "driver.example", "::1", "127.0.0.1"])
    found = x509.load_pem_x509_certificate(made.certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["driver.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.timezone.utc)
    assert 89 <= left.days <= 90
    assert isinstance(found.public_key().curve, ec.SECP256R1)
    assert "PRIVATE" not in repr(made) and made.own == made.certificate


def test_a_certificate_of_one_s_own(settings, vectors, tmp_path):
    authority = Signed("authority", authority=True)
    own = Signed("localhost", authority)
    files = own.files(tmp_path, password="opens it", chain=authority.text)
    (tmp_path / "authority.pem").write_text(authority.text)
    initial = vectors([0.0])
    given = settings("asynchronous", initial)
    with ServerProcess(given, initial, ssl_keyfile_password="opens it", **files) as server:
        assert server.certificate == own.text
        port = server.address[1]
        # Workers trust exactly that certificate, whatever their server's address is.
        with Client(server.url, server.token, ssl_certificate=server.certificate) as client:
            client.status()
        cafile = tmp_path / "authority.pem"
        with Client(f"https://localhost:{port}", server.token, ssl_cafile=cafile) as client:
            client.status()
            with client.twin() as twin:
                twin.status()
        with (
            Client(server.url, server.token, ssl_cafile=cafile) as client,
            pytest.raises(ServerError, match=r"for other names.*127\.0\.0\.1"),
        ):
            client.status()


@pytest.fixture
def secured(local_server, settings, vectors):
    """A server with TLS in this process."""
    initial = vectors([0.0])
    state = State(settings("asynchronous", initial), initial)
    return local_server(state, None, tls.made(["127.0.0.1"]))


def test_another_certificate_than_the_run_s_is_not_taken(secured, local_server):
    for theirs in (Signed("elephas_torch parameter server"), Signed("127.0.0.1")):
        with (
            Client(secured.url, "secret", ssl_certificate=theirs.text) as client,
            pytest.raises(ServerError, match=r"isn't this run's server.*Nothing was sent"),
        ):
            client.health()
    with Client(secured.url, "x") as client, pytest.raises(ServerError, match="ssl_cafile"):
        client.health()  # nobody whom this system trusts has signed it


def test_one_that_the_right_one_has_signed_is_not_taken(local_server, settings, vectors):
    right = Signed("right", authority=True)
    theirs = Signed("127.0.0.1", right)
    initial = vectors([0.0])
    state = State(settings("asynchronous", initial), initial)
    server = local_server(state, None, tls.Identity(theirs.text, pem(theirs.key)))
    with (
        Client(server.url, "x", ssl_certificate=right.text) as client,
        pytest.raises(ServerError, match="isn't this run's server"),
    ):
        client.health()


def test_who_speaks_plainly_to_a_server_with_tls_is_told(secured):
    with (
        Client(secured.url.replace("https", "http"), "x") as client,
        pytest.raises(Refused, match="speaks TLS: its address begins with https"),
    ):
        client.health()
    with secured.client() as client:
        assert client.health()["state"] == "ready"


def test_who_speaks_tls_to_a_plain_server_is_told(local_server, settings, vectors):
    initial = vectors([0.0])
    server = local_server(State(settings("asynchronous", initial), initial))
    url = server.url.replace("http", "https")
    certificate = tls.made(["127.0.0.1"]).own
    with (
        Client(url, "x", ssl_certificate=certificate) as client,
        pytest.raises(ServerError, match=r"No TLS with https.*begins with http://"),
    ):
        client.health()


@pytest.mark.parametrize(
    ("says", "error"), [(b"", "cut the connection at the start"), (None, "didn't answer")]
)
def test_who_answers_nothing_is_named(says, error):
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        held = []
        thread = threading.Thread(target=lambda: held.append(listener.accept()[0]))
        thread.start()
        certificate = tls.made(["127.0.0.1"]).own
        url = f"https://127.0.0.1:{port}"
        client = Client(url, "x", timeout=1.0, ssl_certificate=certificate)
        if says is not None:
            threading.Timer(0.2, lambda: held[0].close()).start()
        with client, pytest.raises(ServerError, match=error):
            client.health()
        thread.join()


def test_an_old_protocol_is_not_spoken(secured):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", secured.port)) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)


def test_a_wait_in_vain_is_one_with_tls_too(local_server, settings, vectors):
    initial = vectors([0.0])
    state = State(settings("synchronous", initial, workers=2), initial)
    server = local_server(state, None, tls.made(["127.0.0.1"]))
    with server.client(timeout=0.3) as client:
        client.join(0, 0, samples=1)
        with pytest.raises(WaitTimeout, match=r"Waited 0\.3 s for the answer"):
            client.exchange(Push(0, 0, 0, 0, 1, 0, False), initial, vectors([0.0]))


def bad(change):
    """What is wrong with files -> the arguments."""

    def made(folder):
        return change(folder, Signed("driver").files(folder))

    return made


def without_key(folder, files):
    return {"ssl_certfile": files["ssl_certfile"]}


def not_pem(name):
    def change(folder, files):
        files[name].write_bytes(b"\x30\x82\xff")
        return files

    return change


def cut(name):
    def change(folder, files):
        text = files[name].read_text()
        files[name].write_text(text[:100] + "\n" + text.splitlines()[-1])
        return files

    return change


WRONG = {
    "no file": (lambda f: {"ssl_certfile": f / "none.pem"}, OSError, "can't be read: No such file"),
    "a folder": (lambda f: {"ssl_certfile": f}, OSError, "can't be read: Is a directory"),
    "no key file": (
        bad(lambda f, files: {**files, "ssl_keyfile": f / "none.pem"}), OSError, "`ssl_keyfile`",
    ),
    "no key": (bad(without_key), ValueError, "has no private key in PEM"),
    "no certificate": (bad(not_pem("ssl_certfile")), ValueError, "has no certificate in PEM"),
    "no PEM key": (bad(not_pem("ssl_keyfile")), ValueError, "has no private key in PEM"),
    "a cut certificate": (bad(cut("ssl_certfile")), ValueError, "can't be used"),
    "a cut key": (bad(cut("ssl_keyfile")), ValueError, "can't be used"),
    "another key": (
        lambda f: Signed("driver").files(f, Signed("x")), ValueError, "key of another certificate",
    ),
    "expired": (
        lambda f: Signed("driver", since=-2 * DAY, until=-DAY).files(f),
        ValueError, "has expired; make a new one",
    ),
    "not yet": (
        lambda f: Signed("driver", since=DAY, until=2 * DAY).files(f), ValueError, "valid yet",
    ),
    "a password": (
        lambda f: Signed("driver").files(f, password="x"), ValueError, "give `ssl_keyfile_password",
    ),
    "another password": (
        lambda f: {**Signed("driver").files(f, password="x"), "ssl_keyfile_password": "y"},
        ValueError, "isn't the key's",
    ),
    "a key alone": (lambda f: {"ssl_keyfile": f / "key.pem"}, ValueError, "which is missing"),
    "a path for ssl": (lambda f: {"ssl": "c.pem"}, TypeError, "files go into ssl_certfile"),
    "no path": (lambda f: {"ssl_certfile": 3}, TypeError, "must be a path"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_before_anything_starts(what, settings, vectors, tmp_path):
    make, error, message = WRONG[what]
    initial = vectors([0.0])
    with pytest.raises(error, match=message) as caught:
        ServerProcess(settings("asynchronous", initial), initial, **make(tmp_path))
    assert "PRIVATE" not in str(caught.value).replace("BEGIN PRIVATE KEY", "")


def test_clients_trust_in_one_way():
    own = tls.made(["x"]).own
    with pytest.raises(ValueError, match="not both"):
        Client("https://x:1", "t", ssl_certificate=own, ssl_cafile="x.pem")
    with pytest.raises(ValueError, match=r"goes with 'https://…'"):
        Client("http://x:1", "t", ssl_certificate=own)
    with listen("127.0.0.1", 0) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        client = Client(url, "t", ssl_cafile="none.pem")
        with client, pytest.raises(ServerError, match=r"ssl_cafile.*can't be read"):
            client.health()


def test_neither_key_nor_token_is_anywhere_to_be_seen(settings, vectors):
    initial = vectors([0.0])
    with ServerProcess(settings("asynchronous", initial), initial, ssl=True) as server:
        secrets = [server.token, *pem_lines(server.identity.key)]
        pid = server.pid
        seen = subprocess.run(["ps", "-ef", "ww"], capture_output=True, text=True).stdout
        for name in ("cmdline", "environ"):
            seen += Path(f"/proc/{pid}/{name}").read_text(errors="replace")
        assert "elephas_torch.parameter" in seen
        files = [os.readlink(f"/proc/{pid}/fd/{one}") for one in os.listdir(f"/proc/{pid}/fd")]
        assert not any(file.startswith(("/tmp", "/dev/shm")) for file in files)
        with server.client() as client:
            client.join(0, 0, samples=1)
            seen += repr([server, client, client._connection, client._trust, server.identity])
            assert client.url.startswith("https://")
            assert client.share(0, 0, initial.sizes).name == "memory"  # vectors needn't travel
            seen += str(client.status()) + str(client.events())
            for line in ("GET /metrics", "GET /docs", "GET /openapi.json", "GET /nothing"):
                seen += client._connection.read(client._connection.request(line).length).decode()
        client = Client(server.url, server.token + "x", ssl_certificate=server.certificate)
        with client, pytest.raises(Refused) as refused:
            client.status()
        server._child.process.kill()
        with pytest.raises(ServerError) as ended:
            server.check(5)
        seen += str(refused.value) + str(ended.value)
    assert not [one for one in secrets if one in seen]


def pem_lines(text):
    return [line for line in text.splitlines() if "-----" not in line]


def test_a_certificate_of_the_run_needs_a_package(monkeypatch, tmp_path):
    files = Signed("driver").files(tmp_path)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ImportError, match=r"pip install 'elephas-torch\[tls\]'"):
        tls.Wanted(True).check()
    assert tls.Wanted(False, *files.values()).identity([]).certificate
