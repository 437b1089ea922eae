"""The corpus: the folder $CONFORMANCE, or the committed sample of `clients/conformance`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from postern_auth import Caller, Refused, Verifier

_FOLDER = Path(os.environ.get("CONFORMANCE") or Path(__file__).resolve().parents[2] / "conformance/sample")


def corpus(name: str) -> Any:
    return json.loads((_FOLDER / name).read_text())


def answer(verifier: Verifier, token: str, **requirements: Any) -> Caller | str:
    """The caller, or the reason of the refusal."""
    try:
        return verifier.verify(token, **requirements)
    except Refused as refused:
        return refused.reason


def claims_of(caller: Caller) -> dict[str, Any]:
    claims = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(caller).items()}
    # That of every token.
    assert claims.pop("credential_kind") == "access_token"
    return claims


def text_of(token: str | dict[str, Any]) -> str:
    """A token, or a recipe: `head`, then `fill` until the text has `length` UTF-16 units."""
    if isinstance(token, str):
        return token
    units = (len(token["fill"].encode("utf-16-le")) // 2) or 1
    missing = token["length"] - len(token["head"].encode("utf-16-le")) // 2
    text: str = token["head"] + token["fill"] * (missing // units)
    return text
