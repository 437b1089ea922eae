"""Connections to Postern."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import grpc

from . import wire
from .refusal import UpstreamError

#: Keepalive detects dead connections within seconds, reconnecting has a short backoff, and the addresses are used in turn,
#: so that a retry goes to another instance. Service configuration from DNS TXT records is disabled.
CHANNEL_OPTIONS: Final = (
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # What grpc calls so is how long one attempt may take. With less, TLS over a slow link would never get through.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.service_config_disable_resolution", 1),
    # Each verifier has a connection of its own: a shared one would still be that of the parent process after a fork.
    ("grpc.use_local_subchannel_pool", 1),
)


@dataclass(frozen=True)
class Upstream:
    """Where Postern is.

    `address` is `HOST:PORT`, `dns:///NAME:PORT`, `ipv4:192.0.2.1:50051,192.0.2.2:50051` or `unix:PATH`. Without
    `credentials` the connection is plaintext, which is refused beyond this machine unless `insecure` is set.
    """

    address: str
    credentials: grpc.ChannelCredentials | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        if not _is_target(self.address):
            raise ValueError(f"{self.address!r} is not an address; write HOST:PORT, dns:///NAME:PORT or unix:PATH")
        if self.credentials is None and not self.insecure and not is_local_target(self.address):
            raise ValueError(
                f"the connection to {self.address} would leave this machine in plaintext; set credentials, such as "
                "grpc.ssl_channel_credentials(), or insecure=True if a proxy in between encrypts it"
            )

    def connect(self) -> grpc.Channel:
        options = list(CHANNEL_OPTIONS)
        if self.credentials is None or is_local_target(self.address):
            # grpc would go through the proxy that `http_proxy` or `https_proxy` names, even to 127.0.0.1: the secret of the
            # account would leave this machine in plaintext, and the proxy would choose the keys that are trusted.
            options.append(("grpc.enable_http_proxy", 0))
        if self.credentials is None:
            return grpc.insecure_channel(self.address, options)
        return grpc.secure_channel(self.address, self.credentials, options)


def _hosts(target: str) -> list[str | None]:
    """The host of each address of a target; None for one without a port, for which gRPC would silently take 443."""
    rest = re.sub(r"\A(dns:(//[^/]*/)?|ipv[46]:)", "", target)
    matches = [re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]\s/]+)):([1-9][0-9]{0,4})", part) for part in rest.split(",")]
    return [None if match is None or int(match[3]) > 65_535 else match[1] or match[2] for match in matches]


def _is_target(target: object) -> bool:
    if not isinstance(target, str):
        return False
    if target.startswith("unix:"):
        return target.removeprefix("unix:") not in ("", "//") and "\0" not in target
    return None not in _hosts(target)


def is_local_target(target: str) -> bool:
    """Whether every address of the target is on this machine."""
    return target.startswith("unix:") or all(host is not None and is_local_host(host) for host in _hosts(target))


def is_local_host(host: str) -> bool:
    """Of names only `localhost` counts, whatever others resolve to: the result must not depend on the resolver."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def upstream_error(error: grpc.RpcError) -> UpstreamError:
    """Reads the status and Postern's reason from an error of grpc."""
    code = error.code() or grpc.StatusCode.UNKNOWN
    reason = None
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                reason = wire.decode_error_reason(value)
            except wire.WireError:
                # A proxy may have set something else; the status is valid all the same.
                reason = None
    return UpstreamError(code, reason, error.details() or "no details")
