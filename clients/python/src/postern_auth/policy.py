"""Policy files: which callers may call which methods."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from time import monotonic
from typing import Any, Final

from .bounded_file import read_regular_file
from .claims import Caller, is_identifier, wrong_audience
from .refusal import Refused
from .requirements import LEVELS, MAX_AUTH_AGE, Level, require_actor, require_authentication, require_roles, strictest
from .rules import PUBLIC, Require, Rule

log = logging.getLogger("postern_auth")

_METHOD: Final = re.compile(r"/[A-Za-z_][\w.]*/[A-Za-z_]\w*", re.ASCII)
_MAX_BYTES: Final = 256 * 1024
_MAX_DEPTH: Final = 16
#: How often the file is looked at.
_INTERVAL_SECONDS: Final = 10.0


_NOTHING_MORE: Final = Require()


class InvalidPolicy(ValueError):
    """A policy file that is not used. `faults` lists what is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__(f"the policy file is invalid: {'; '.join(faults)}")
        self.faults = faults


@dataclass(frozen=True)
class _Rule:
    """None in place of it is public."""

    audience: str | None
    roles: tuple[str, ...]
    actors: tuple[str, ...]
    min_acr: Level | None
    max_auth_age: int | None


class Policy:
    """The rules of a file. A method that is not listed is refused unless the file says otherwise."""

    def __init__(self, document: object) -> None:
        """:param document: a mapping whose texts are `str`; everything that is no text is of another type"""
        reader = _Reader()
        members = reader.members("the file", document, ("version", "audience", "otherwise", "methods"))
        version = members.get("version")
        if isinstance(version, bool) or version != 1:
            reader.faults.append("the version is missing or unknown to this release; write version: 1")
        audience = reader.audience("the file", members, None)
        self._refuses_others = "otherwise" not in members
        self._otherwise = None if self._refuses_others else reader.rule("otherwise", members["otherwise"], audience)
        methods = reader.members("methods", members.get("methods"), None)
        reader.faults += [
            f"{name!r} is not a full method name; write /package.Service/Method"
            for name in methods
            if _METHOD.fullmatch(name) is None
        ]
        self._methods = {name: reader.rule(name, value, audience) for name, value in methods.items()}
        if reader.faults:
            raise InvalidPolicy(reader.faults)

    def needs_token(self, method: str) -> bool:
        """False for a public method. Raises `Refused` for a method that is not listed."""
        return self._rule(method) is not None

    def check(self, method: str, caller: Caller, code: Require = _NOTHING_MORE) -> None:
        """Raises `Refused` when the caller, whose token is valid, does not meet the rule of the method, or what the code of
        the program requires beyond its own audience."""
        rule = self._rule(method)
        if rule is None:
            return
        # Before the level: nobody is asked to step up for a token that is refused in any case.
        if rule.audience is not None and rule.audience not in caller.audience:
            raise wrong_audience()
        # Before the roles: one that needs a second factor comes with it.
        min_acr, max_auth_age = strictest((code.min_acr, code.max_auth_age), (rule.min_acr, rule.max_auth_age))
        require_authentication(caller, min_acr, max_auth_age)
        require_roles(caller, code.roles)
        if code.actors is not None:
            require_actor(caller, code.actors)
        for role in rule.roles:
            if role not in caller.roles:
                raise Refused("ROLE_MISSING", f"the subject lacks the role '{role}'")
        # Only the service that made this call counts (RFC 8693 section 4.1): those before it are history.
        actor = None if caller.actor is None else caller.actor.name
        if rule.actors and (actor is None or actor not in rule.actors):
            raise Refused("ACTOR_NOT_ALLOWED", "the token names no service that the policy lets act here")

    def _rule(self, method: str) -> _Rule | None:
        if method in self._methods:
            return self._methods[method]
        if self._refuses_others:
            raise Refused("METHOD_NOT_LISTED", "the policy of this service does not list the method")
        return self._otherwise


class _Reader:
    def __init__(self) -> None:
        self.faults: list[str] = []

    def members(self, place: str, value: object, known: tuple[str, ...] | None) -> Mapping[str, object]:
        if not isinstance(value, dict):
            self.faults.append(f"{place} is missing, or no mapping")
            return {}
        if known is not None:
            self.faults += [
                f"{place} has an unknown member {name!r}; the members are {', '.join(known)}"
                for name in value
                if name not in known
            ]
        return value

    def rule(self, place: str, value: object, audience: str | None) -> _Rule | None:
        if value == "public":
            return None
        if not isinstance(value, dict):
            self.faults.append(f"{place} is neither public nor a mapping; write {{}} to require a valid token")
            return None
        members = self.members(place, value, ("roles", "actors", "audience", "min_acr", "max_auth_age"))
        roles, actors = (self.names(place, members, name) for name in ("roles", "actors"))
        level, age = self.level(place, members), self.max_auth_age(place, members)
        return _Rule(self.audience(place, members, audience), roles, actors, level, age)

    def audience(self, place: str, members: Mapping[str, object], fallback: str | None) -> str | None:
        value = members.get("audience", fallback)
        if "audience" not in members or (isinstance(value, str) and is_identifier(value)):
            return value if isinstance(value, str) else None
        self.faults.append(f"{place} has an audience that is not a name of 1 to 256 characters")
        return None

    def names(self, place: str, members: Mapping[str, object], member: str) -> tuple[str, ...]:
        if member not in members:
            return ()
        value = members[member]
        if isinstance(value, list) and value and all(map(is_identifier, value)):
            return tuple(value)
        self.faults.append(f"{place} has {member} that are not a list of names of 1 to 256 characters")
        return ()

    def level(self, place: str, members: Mapping[str, object]) -> Level | None:
        value = members.get("min_acr")
        known = next((level for level in LEVELS if level == value), None)
        if "min_acr" in members and known is None:
            self.faults.append(f"{place} has a min_acr that is none of {', '.join(LEVELS)}")
        return known

    def max_auth_age(self, place: str, members: Mapping[str, object]) -> int | None:
        if "max_auth_age" not in members:
            return None
        value = members["max_auth_age"]
        # 300.0 and 3e2 are whole numbers of JSON, too. A boolean is an int.
        if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= MAX_AUTH_AGE and value % 1 == 0:
            return int(value)
        self.faults.append(
            f"{place} has a max_auth_age that is not a number of seconds; "
            f"write a whole number, 1 to {MAX_AUTH_AGE}, without quotes"
        )
        return None


def read_policy(text: str, *, is_json: bool) -> Policy:
    """Raises `InvalidPolicy`, and ImportError for YAML without `pip install postern-auth[policy]`."""
    if len(text.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
        raise InvalidPolicy(["the file is larger than 256 KiB"])
    return Policy(_from_json(text) if is_json else _from_yaml(text))


def _from_json(text: str) -> object:
    try:
        document = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidPolicy(["the file is not one JSON object with distinct members"]) from None
    return document


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(name)


#: Characters with another meaning in YAML 1.1 than in 1.2, or that hide text: after a U+2028 in a comment a parser of YAML
#: 1.1 goes on reading rules.
_UNUSABLE: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
#: Unquoted words that parsers of YAML 1.1 or 1.2 take for null, a boolean, a number, a time or a merge key.
_AMBIGUOUS: Final = re.compile(
    r"|~|null|true|false|yes|no|on|off|y|n|=|<<|[-+]?\.?[0-9].*|[-+]?\.(?:inf|nan)", re.IGNORECASE | re.ASCII
)

#: What every parser takes for the same number. A zero ahead would make it octal for some.
_WHOLE_NUMBER: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


def _from_yaml(source: str) -> object:
    """The part of YAML that every parser reads alike: mappings, lists and text, without anchors, tags and directives.

    What is not text everywhere becomes None, which the policy refuses, but for whole numbers in their plain form.
    """
    try:
        import yaml
    except ImportError as error:
        raise ImportError("a policy file in YAML needs: pip install 'postern-auth[policy]'") from error
    text = source.replace("\r\n", "\n")
    unusable = _UNUSABLE.search(text)
    if unusable is not None:
        line = 1 + text.count("\n", 0, unusable.start())
        raise InvalidPolicy([f"line {line}: the file has a tab or another control character"])
    if re.search(r"^%", text, re.MULTILINE):
        raise InvalidPolicy(["the file has a YAML directive; remove the line with %"])
    try:
        return _YamlReader(yaml, yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.YAMLError as error:
        raise InvalidPolicy([" ".join(str(error).split())]) from None


class _YamlReader:
    """Builds the document from events, in which anchors, tags and repeated members are still seen."""

    def __init__(self, yaml: Any, events: Any) -> None:
        self._yaml = yaml
        self._events = events

    def document(self) -> object:
        yaml = self._yaml
        next(self._events)  # StreamStartEvent
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise InvalidPolicy(["the file is empty"])
        document = self._node(next(self._events), 0)
        next(self._events)  # DocumentEndEvent
        if not isinstance(next(self._events), yaml.StreamEndEvent):
            raise InvalidPolicy(["the file has more than one document"])
        return document

    def _node(self, event: Any, depth: int) -> object:
        yaml = self._yaml
        line = event.start_mark.line + 1
        if depth > _MAX_DEPTH:
            raise InvalidPolicy([f"line {line}: the file is nested too deeply"])
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise InvalidPolicy([f"line {line}: the file has an anchor or an alias; write the value out"])
        if event.tag is not None:
            raise InvalidPolicy([f"line {line}: the file has a tag; remove it"])
        if isinstance(event, yaml.ScalarEvent):
            if event.style is not None or _AMBIGUOUS.fullmatch(event.value) is None:
                return event.value
            return int(event.value) if _WHOLE_NUMBER.fullmatch(event.value) else None
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(item, depth + 1))
            return items
        members: dict[str, object] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            name = self._node(key, depth + 1)
            if not isinstance(name, str):
                raise InvalidPolicy([f"line {line}: the file has a member whose name is not text"])
            if name in members:
                raise InvalidPolicy([f"line {line}: the file has the member {name!r} twice; remove one"])
            members[name] = self._node(next(self._events), depth + 1)
        return members


class PolicyFile:
    """A policy file, in YAML, or in JSON when its name ends in `.json`.

    It is looked at again when it is used, at most every ten seconds, so it works in every process of a program that forks.
    A file with a fault never replaces a good one: it is logged once.

    Raises `InvalidPolicy`, or OSError when the file cannot be read.
    """

    def __init__(self, path: str | PathLike[str], *, clock: Callable[[], float] = monotonic) -> None:
        self._path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._reported = ""
        self._text, self._policy = self._read(None)
        self._looked_at = clock()

    @property
    def policy(self) -> Policy:
        """That of the last file without a fault."""
        if self._clock() - self._looked_at >= _INTERVAL_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._looked_at = self._clock()
                self.reload()
                self._reported = ""
            except Exception as error:
                if str(error) != self._reported:
                    log.warning("%s is not used: %s", self._path, error)
                self._reported = str(error)
            finally:
                self._lock.release()
        return self._policy

    def reload(self) -> None:
        """Reads the file now. Raises as the constructor does, and keeps the policy then."""
        self._text, self._policy = self._read(self._text)

    def _read(self, known: bytes | None) -> tuple[bytes, Policy]:
        content = read_regular_file(self._path, _MAX_BYTES)
        if len(content) > _MAX_BYTES:
            raise InvalidPolicy(["the file is larger than 256 KiB"])
        if content == known:
            return content, self._policy
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidPolicy(["the file is not UTF-8 text"]) from None
        return content, read_policy(text, is_json=self._path.suffix.lower() == ".json")


def combined(policy: PolicyFile, rules: Mapping[str, Rule], method: str) -> tuple[Require | None, Policy | None]:
    """The requirements of the code for a call, and the policy when it requires something as well. Raises `Refused`."""
    current = policy.policy
    rule = rules.get(method, PUBLIC)
    code = rule if isinstance(rule, Require) else None
    if not current.needs_token(method):
        return code, None
    return replace(code or _NOTHING_MORE, optional=False), current
