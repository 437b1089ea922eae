"""How a verifier reaches the service: TLS, client certificates, unix sockets, several addresses, and no proxy."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from ipaddress import ip_address

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from conftest import Until
from corpus import answer
from postern_auth import Caller, NotReady, ServiceCredential, Verifier
from service import Center, Instance
from test_service import verifier_of

LISTED, UNLISTED = "spiffe://example.org/orders", "spiffe://example.org/other"


class Authority:
    """A certificate authority, which signs certificates for a server on this machine and for clients."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self._certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def issue(self, *names: x509.GeneralName) -> tuple[bytes, bytes]:
        """The private key and the certificate, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "end entity")])
        certificate = self._sign(subject, key, x509.SubjectAlternativeName(names))
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private, certificate.public_bytes(Encoding.PEM)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
        now = datetime.now(timezone.utc)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        return builder.add_extension(extension, critical=False).sign(self._key, SHA256())


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def mutual_tls(center: Center, authority: Authority) -> Iterator[Instance]:
    """An instance to which every client must present a certificate."""
    key, certificate = authority.issue(x509.IPAddress(ip_address("127.0.0.1")))
    files = {name: center.folder / name for name in ("tls.key", "tls.crt", "ca.crt")}
    for name, content in zip(files, (key, certificate, authority.pem), strict=True):
        files[name].touch(0o600)
        files[name].write_bytes(content)
    instance = center.instance(
        POSTERN_TLS_KEY=str(files["tls.key"]),
        POSTERN_TLS_CERT=str(files["tls.crt"]),
        POSTERN_TLS_CLIENT_CA=str(files["ca.crt"]),
        POSTERN_TLS_SERVICE_IDENTITIES=LISTED,
    )
    yield instance
    instance.stop()


def channel_credentials(authority: Authority, identity: str, trusted: Authority | None = None) -> grpc.ChannelCredentials:
    key, certificate = authority.issue(x509.UniformResourceIdentifier(identity))
    return grpc.ssl_channel_credentials((trusted or authority).pem, key, certificate)


def test_a_listed_client_certificate_needs_no_account(
    center: Center, mutual_tls: Instance, authority: Authority, until: Until
) -> None:
    with Verifier(mutual_tls.grpc, credentials=channel_credentials(authority, LISTED)) as verifier:
        verifier.ready(10)
        token = center.first.login().access_token
        assert isinstance(answer(verifier, token), Caller)
        center.first.revoke(token)
        until(partial(is_revoked, verifier, token), "the revocation arrives over TLS")


def test_an_account_with_a_certificate_that_is_not_listed(center: Center, mutual_tls: Instance, authority: Authority) -> None:
    credentials = channel_credentials(authority, UNLISTED)
    refusal = pytest.raises(NotReady, match=f"PERMISSION_DENIED SERVICE_REQUIRED: .*{UNLISTED}")
    with Verifier(mutual_tls.grpc, credentials=credentials) as verifier, refusal:
        verifier.ready(1)
    with verifier_of(center, mutual_tls.grpc, credentials=credentials) as verifier:
        verifier.ready(10)
    credential = ServiceCredential(mutual_tls.grpc, *center.account, credentials=credentials)
    assert credential.access_token().count(".") == 2
    credential.close()


def test_a_connection_that_either_side_refuses_names_the_cause(mutual_tls: Instance, authority: Authority) -> None:
    other = Authority()
    for credentials, cause in (
        (channel_credentials(authority, LISTED, trusted=other), "handshake failed"),
        (channel_credentials(other, LISTED, trusted=authority), "UNAVAILABLE"),
        (grpc.ssl_channel_credentials(authority.pem), "UNAVAILABLE"),
        (None, "UNAVAILABLE"),
    ):
        with Verifier(mutual_tls.grpc, credentials=credentials) as verifier, pytest.raises(NotReady, match=cause):
            verifier.ready(1)


def test_a_unix_socket_needs_no_account(center: Center, until: Until) -> None:
    instance = center.instance(f"unix:{center.folder}/grpc.sock")
    with Verifier(f"unix:{center.folder}/grpc.sock") as verifier:
        verifier.ready(10)
        token = center.first.login().access_token
        assert isinstance(answer(verifier, token), Caller)
        center.first.revoke(token)
        until(partial(is_revoked, verifier, token), "the revocation arrives over the socket")
    instance.stop()


def test_of_several_addresses_another_is_used_when_one_goes_away(center: Center, until: Until) -> None:
    first, second = center.instance(), center.instance()
    with verifier_of(center, f"ipv4:{first.grpc},{second.grpc}") as verifier:
        verifier.ready(10)
        # Whichever of the two it watches, one of the kills ends that stream.
        for gone in (first, second):
            gone.kill()
            if gone is second:
                first = center.instance(first.grpc)
            token = center.first.login().access_token
            assert isinstance(answer(verifier, token), Caller)
            center.first.revoke(token)
            until(partial(is_revoked, verifier, token), "the other instance streams")
    first.stop()


def is_revoked(verifier: Verifier, token: str) -> bool:
    return answer(verifier, token) == "TOKEN_REVOKED"


class SlowProxy(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Passes the first bytes of each connection on after a while, in both directions."""

    daemon_threads = True
    DELAY = 0.8

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.upstream = (host, int(port))
        super().__init__(("127.0.0.1", 0), SlowConnection)
        self.address = "{}:{}".format(*self.socket.getsockname())
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class SlowConnection(socketserver.BaseRequestHandler):
    server: SlowProxy

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream) as upstream:
            back = threading.Thread(target=self.forward, args=(upstream, self.request), daemon=True)
            back.start()
            self.forward(self.request, upstream)
            back.join()

    def forward(self, source: socket.socket, target: socket.socket) -> None:
        time.sleep(self.server.DELAY)
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def test_a_connection_over_a_slow_link_gets_through(center: Center) -> None:
    with SlowProxy(center.first.grpc) as proxy:
        with verifier_of(center, proxy.address) as verifier:
            # A connection for the account, and one for the stream.
            verifier.ready(8 * proxy.DELAY)
        proxy.shutdown()


def test_plaintext_does_not_go_through_the_proxy_of_the_environment(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """N10"""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("grpc_proxy", "https_proxy", "no_proxy", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", "http://{}:{}".format(*proxy.getsockname()))
        with verifier_of(center, center.first.grpc) as verifier:
            verifier.ready(10)
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
