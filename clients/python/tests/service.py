"""The real service, built by `npm run build`: instances that share one database, each a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from postern_auth import wire

ROOT = Path(__file__).resolve().parents[3]
POSTERN = ("node", str(ROOT / "dist/command/postern.js"))
EMAIL, PASSWORD = "ann@example.com", "correct horse battery"
AUDIENCES = "postern,orders"


class Tokens(NamedTuple):
    access_token: str
    refresh_token: str


class Instance:
    """One process of `postern serve`, or of another command."""

    def __init__(self, environment: dict[str, str], log: Path, command: tuple[str, ...] = ("serve",)) -> None:
        self.environment = environment
        with log.open("ab") as file:
            self._process = subprocess.Popen((*POSTERN, *command), env=environment, stdout=subprocess.PIPE, stderr=file)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the service did not start: {log.read_text()}")
        listening: dict[str, Any] = json.loads(line)
        self.grpc: str = listening["grpc"]
        self.http: str = f"http://{listening['http']}"
        self.channel = grpc.insecure_channel(self.grpc, (("grpc.use_local_subchannel_pool", 1),))

    def call(self, method: str, *fields: tuple[int, int | str | bytes], token: str | None = None) -> bytes:
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        call = self.channel.unary_unary(f"/postern.v1.AuthService/{method}")
        answer = call(wire.encode_message(*fields), timeout=20, metadata=metadata, wait_for_ready=True)
        assert isinstance(answer, bytes)
        return answer

    def login(self, audience: str = "") -> Tokens:
        found = dict(wire.fields(self.call("Login", (1, EMAIL), (2, PASSWORD), (3, audience))))
        access, refresh = found[1], found[4]
        assert isinstance(access, bytes)
        assert isinstance(refresh, bytes)
        return Tokens(access.decode(), refresh.decode())

    def service_token(self, account: Account) -> str:
        request = (1, account.client_id), (2, account.client_secret)
        return wire.decode_token_set(self.call("IssueServiceToken", *request)).access_token

    def revoke(self, token: str) -> None:
        self.call("RevokeToken", (1, token))

    def command(self, *arguments: str, stdin: str = "") -> str:
        done = subprocess.run((*POSTERN, *arguments), env=self.environment, input=stdin, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kill(self) -> None:
        """As a crash does it."""
        self.channel.close()
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        self.channel.close()
        self._process.terminate()
        self._process.communicate(timeout=20)


class Account(NamedTuple):
    client_id: str
    client_secret: str


class Center:
    """A database, an instance that runs it, and further instances on the same database."""

    def __init__(self) -> None:
        # Short: the path of a socket is limited to 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="postern-py-"))
        self._data = self.folder / "data"
        self._log = self.folder / "service.log"
        self._instances: list[Instance] = []
        common = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("POSTERN_", "DATABASE_"))},
            "POSTERN_GRPC_LISTEN": "127.0.0.1:0",
            "POSTERN_HTTP_LISTEN": "127.0.0.1:0",
            "POSTERN_ISSUER": "https://auth.example",
            "POSTERN_AUDIENCE": AUDIENCES,
            "POSTERN_JWKS_MAX_AGE": "1s",
        }
        self._embedded = {**common, "POSTERN_DATA_DIR": str(self._data)}
        self._shared = {
            **common,
            "DATABASE_URL": f"postgres://postern@localhost/postern?host={self._data}/run",
            "POSTERN_MASTER_KEY_FILE": str(self._data / "master.key"),
        }
        self.first = self._start(self._embedded)
        self.first.command("user", "create", "--email", EMAIL, "--password-stdin", "--role", "editor", stdin=PASSWORD)
        created = json.loads(self.first.command("service", "create", "orders", "--json"))
        self.account = Account(created["client_id"], created["client_secret"])

    def instance(self, listen: str = "127.0.0.1:0", **settings: str) -> Instance:
        return self._start({**self._shared, "POSTERN_GRPC_LISTEN": listen, **settings})

    def relay(self) -> Instance:
        """A relay of the first instance."""
        account = {"POSTERN_CLIENT_ID": self.account.client_id, "POSTERN_CLIENT_SECRET": self.account.client_secret}
        environment = {name: value for name, value in self._shared.items() if not name.startswith(("POSTERN_", "DATABASE_"))}
        listen = {"POSTERN_GRPC_LISTEN": "127.0.0.1:0", "POSTERN_HTTP_LISTEN": "127.0.0.1:0", "POSTERN_RELAY": "on"}
        return self._start({**environment, **listen, **account}, ("sidecar", "--upstream", self.first.grpc))

    def signal_database(self, number: signal.Signals) -> None:
        """To all processes of PostgreSQL: the first, and those that it has started."""
        first = (self._data / "pgdata/postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for process in (first, *children):
            os.kill(int(process), number)

    def close(self) -> None:
        for instance in reversed(self._instances):
            instance.stop()
        shutil.rmtree(self.folder)

    def _start(self, environment: dict[str, str], command: tuple[str, ...] = ("serve",)) -> Instance:
        instance = Instance(environment, self._log, command)
        self._instances.append(instance)
        return instance
