"""Who may call a method of a gRPC server."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from .requirements import Level, Requirements, check_optional, check_requirements

_METHOD: Final = re.compile(r"/[A-Za-z_][\w.]*/[A-Za-z_]\w*", re.ASCII)


class Rule:
    """`PUBLIC` or a `Require`."""


@dataclass(frozen=True)
class Require(Rule):
    """A valid token is needed, with all of the roles, for the audience and, with `actors`, from a service of one of these
    names that acts for the subject.

    `min_acr` is the lowest level that the session of the user may have, and `max_auth_age` how many seconds ago the user may
    last have proved who they are. API keys, and tokens that do not say it, meet neither.

    With `optional` a call without a token is let in as well, without a caller; a token that is sent must be valid.
    """

    roles: Collection[str] = ()
    audience: str | None = None
    optional: bool = False
    actors: Collection[str] | None = None
    min_acr: Level | None = None
    max_auth_age: int | None = None

    def __post_init__(self) -> None:
        check_requirements(**self.requirements)
        if self.optional:
            check_optional(self.roles, self.actors, self.min_acr, self.max_auth_age)

    @property
    def requirements(self) -> Requirements:
        """As `Verifier.verify` takes them."""
        return {
            "roles": self.roles,
            "audience": self.audience,
            "actors": self.actors,
            "min_acr": self.min_acr,
            "max_auth_age": self.max_auth_age,
        }


class _Public(Rule):
    def __repr__(self) -> str:
        return "PUBLIC"


#: Anyone may call; a token is ignored.
PUBLIC: Final[Rule] = _Public()


class ServiceDescriptor(Protocol):
    """The part of a service descriptor of protobuf that names its methods."""

    @property
    def full_name(self) -> str: ...
    @property
    def methods(self) -> Iterable[_Named]: ...


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class Rules:
    """The rule of each method. Raises ValueError that lists every fault: a misspelt method would silently lose its rule."""

    def __init__(self, rules: Mapping[str, Rule], otherwise: Rule, services: Iterable[ServiceDescriptor] | None) -> None:
        faults = [
            f"'{name}' is not a full method name; write /package.Service/Method"
            for name in rules
            if _METHOD.fullmatch(name) is None
        ]
        if services is not None:
            served = {f"/{service.full_name}/{method.name}" for service in services for method in service.methods}
            faults += [f"no service has the method '{name}'" for name in rules if name not in served]
        for name, rule in {**rules, "otherwise": otherwise}.items():
            if rule is not PUBLIC and not isinstance(rule, Require):
                faults.append(f"the rule of {name} is neither PUBLIC nor a Require")
        if faults:
            raise ValueError(f"the access rules are invalid: {'; '.join(faults)}")
        self._rules = dict(rules)
        self._otherwise = otherwise

    def of(self, method: str) -> Require | None:
        """None for a public method."""
        rule = self._rules.get(method, self._otherwise)
        return rule if isinstance(rule, Require) else None
