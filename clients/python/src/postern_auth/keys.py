"""The keys that tokens are verified with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from .refusal import Refused
from .token_format import Header, decode_base64url


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that verifies with one algorithm; the header of a token does not choose it."""

    kid: str
    algorithm: str
    signature_bytes: int
    #: Raises `InvalidSignature`. Takes the signature, then what was signed.
    check: Callable[[bytes, bytes], None]


class UnusableKeys(Exception):
    """A key set that this verifier cannot use. The text says what to do."""


class _KeyRefused(Exception):
    """A key that breaks a rule. The text names the rule and never contains the key."""


class _Algorithm:
    __slots__ = ("crv", "kty", "members")

    def __init__(self, kty: str, crv: str | None, members: tuple[str, ...]) -> None:
        self.kty = kty
        self.crv = crv
        self.members = members


_ALGORITHMS: Final[Mapping[str, _Algorithm]] = {
    "ES256": _Algorithm("EC", "P-256", ("x", "y")),
    "RS256": _Algorithm("RSA", None, ("n", "e")),
    "EdDSA": _Algorithm("OKP", "Ed25519", ("x",)),
}
#: The maximum bounds the time of a verification.
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 4096
_ACCESS_TOKEN_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_ECDSA: Final = ECDSA(SHA256())
_SHA256: Final = SHA256()
_PKCS1: Final = PKCS1v15()


def select_key(header: Header, keys: Mapping[str, VerificationKey]) -> VerificationKey:
    """The only key that the signature is checked with. Raises `Refused`. A token of another kind costs no signature check."""
    if header.alg not in _ALGORITHMS:
        raise Refused("TOKEN_ALG_NOT_ALLOWED", "alg is not an accepted algorithm")
    if header.kid is None:
        raise Refused("TOKEN_MALFORMED", "the header has no kid")
    key = keys.get(header.kid)
    if key is None:
        raise unknown_key()
    if key.algorithm != header.alg:
        raise Refused("TOKEN_ALG_NOT_ALLOWED", "alg is not the algorithm of the key")
    if header.typ is None or header.typ.lower() not in _ACCESS_TOKEN_TYPES:
        raise Refused("TOKEN_TYPE_INVALID", "typ is not that of an access token")
    return key


def unknown_key() -> Refused:
    return Refused("TOKEN_KEY_UNKNOWN", "no key with this kid is published")


def check_signature(key: VerificationKey, signature: bytes, signed: bytes) -> None:
    """Raises `Refused` with TOKEN_SIGNATURE_INVALID."""
    if len(signature) != key.signature_bytes:
        detail = "the signature does not have the length that the algorithm requires"
        raise Refused("TOKEN_SIGNATURE_INVALID", detail)
    try:
        key.check(signature, signed)
    except InvalidSignature:
        raise Refused("TOKEN_SIGNATURE_INVALID", "the signature does not match") from None


def read_key_set(text: str) -> dict[str, VerificationKey]:
    """The usable keys of a JWKS document, by kid. Keys that are not understood are ignored (RFC 7517 section 5).

    Raises `UnusableKeys` when the text is not a key set, or no key of it can be used.
    """
    try:
        document: object = json.loads(text, parse_constant=_not_json, parse_int=float)
    except (ValueError, RecursionError):
        raise UnusableKeys("the key set is not JSON") from None
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise UnusableKeys("the key set has no array 'keys'")
    if not members:
        raise UnusableKeys(
            "the service publishes no keys: it has none yet, or signs with a shared secret (POSTERN_ALGORITHM=HS256). "
            "Only the service itself can verify HS256 tokens: call its VerifyToken, or set POSTERN_ALGORITHM=ES256"
        )
    keys: dict[str, VerificationKey] = {}
    refused = "the key set has no usable key"
    for member in members:
        try:
            key = import_key(member)
        except _KeyRefused as error:
            refused = f"the key is refused: {error}"
            continue
        if key.kid in keys:
            raise UnusableKeys("two keys have the same kid")
        keys[key.kid] = key
    if not keys:
        raise UnusableKeys(refused)
    return keys


def _not_json(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def import_key(jwk: object) -> VerificationKey:
    """Imports a public key as untrusted input. Raises `_KeyRefused`, naming the first rule that is broken."""
    if not isinstance(jwk, dict):
        raise _KeyRefused("it is not a JSON object")
    alg, kid = jwk.get("alg"), jwk.get("kid")
    row = _ALGORITHMS.get(alg) if isinstance(alg, str) else None
    if row is None:
        raise _KeyRefused("alg must be ES256, RS256 or EdDSA")
    if jwk.get("kty") != row.kty or jwk.get("crv") != row.crv or ("crv" in jwk and row.crv is None):
        raise _KeyRefused("kty or crv does not match alg")
    if jwk.get("use") != "sig":
        raise _KeyRefused("use must be sig")
    if not isinstance(kid, str):
        raise _KeyRefused("kid must be a string")
    known = ["kty", "crv", "kid", "alg", "use", *row.members]
    # This also refuses d, p, q and k: whoever published a private key by mistake should not be trusted with it.
    if not jwk.keys() <= set(known):
        raise _KeyRefused(f"it has members other than {', '.join(known)}")
    values = {name: _read_member(jwk.get(name), name, row) for name in row.members}
    covered = {"kty": row.kty, **({"crv": row.crv} if row.crv else {}), **{name: jwk[name] for name in row.members}}
    thumbprint = sha256(json.dumps(covered, sort_keys=True, separators=(",", ":")).encode()).digest()
    if decode_base64url(kid.encode("utf-8", "surrogatepass")) != thumbprint:
        raise _KeyRefused("kid is not its RFC 7638 thumbprint")
    signature_bytes = len(values["n"]) if row.kty == "RSA" else 64
    return VerificationKey(kid, str(alg), signature_bytes, _check_of(row, values))


def _read_member(value: object, name: str, row: _Algorithm) -> bytes:
    decoded = decode_base64url(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) and value else None
    if decoded is None:
        raise _KeyRefused(f"{name} must be base64url")
    if row.kty != "RSA":
        if len(decoded) != 32:
            raise _KeyRefused(f"{name} must be 32 bytes")
    elif name == "e":
        if value != "AQAB":
            raise _KeyRefused("e must be 65537")
    else:
        _require_sound_modulus(decoded)
    return decoded


def _check_of(row: _Algorithm, values: Mapping[str, bytes]) -> Callable[[bytes, bytes], None]:
    try:
        if row.kty == "EC":
            return _ecdsa_check(values)
        if row.kty == "RSA":
            return _rsa_check(values)
        return Ed25519PublicKey.from_public_bytes(values["x"]).verify
    except ValueError:
        raise _KeyRefused("its values are not a public key of the algorithm") from None


def _ecdsa_check(values: Mapping[str, bytes]) -> Callable[[bytes, bytes], None]:
    x, y = (int.from_bytes(values[name], "big") for name in ("x", "y"))
    # Refuses a point that is not on the curve.
    verify = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key().verify

    def check(signature: bytes, signed: bytes) -> None:
        # RFC 7518 section 3.4: r and s concatenated. OpenSSL refuses zero and values beyond the order of the group.
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        verify(encode_dss_signature(r, s), signed, _ECDSA)

    return check


def _rsa_check(values: Mapping[str, bytes]) -> Callable[[bytes, bytes], None]:
    verify = RSAPublicNumbers(65537, int.from_bytes(values["n"], "big")).public_key().verify

    def check(signature: bytes, signed: bytes) -> None:
        verify(signature, signed, _PKCS1, _SHA256)

    return check


def _require_sound_modulus(modulus: bytes) -> None:
    number = int.from_bytes(modulus, "big")
    if modulus[0] == 0 or number % 2 == 0 or not _MIN_RSA_BITS <= number.bit_length() <= _MAX_RSA_BITS:
        raise _KeyRefused(f"n must have {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits and be odd")
    if _is_roca_modulus(number):
        raise _KeyRefused("n was made by a key generator whose keys can be factored (CVE-2017-15361)")


#: The small primes that the faulty generator uses at every key size, without 2.
_ROCA_PRIMES: Final = tuple(p for p in range(3, 168) if all(p % q for q in range(2, p)))


def _is_roca_modulus(modulus: int) -> bool:
    """Whether the faulty generator of some smart cards made it: its primes, and so the modulus, are powers of 65537 modulo
    many small primes. Source: Nemec et al., "The Return of Coppersmith's Attack", CCS 2017, section 2.3.
    """
    return all(modulus % prime in _powers_of_65537(prime) for prime in _ROCA_PRIMES)


def _powers_of_65537(prime: int) -> set[int]:
    powers: set[int] = set()
    power = 1
    while power not in powers:
        powers.add(power)
        power = power * 65537 % prime
    return powers
