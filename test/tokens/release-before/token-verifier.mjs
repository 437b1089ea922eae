/* global TextDecoder */
/**
 * The token verifier of the release before this one (0.1.0, commit 6f5e2e3: `src/tokens/token-verifier.ts` with what it
 * imports), as esbuild 0.28 bundles it (`--bundle --platform=node --format=esm --external:jose --target=es2022`). Verifiers
 * of that release run beside a service of this one during an upgrade.
 */
// src/domain/claims/claims.ts
function checkClaims(profile, claims, policy, keyId, nowSeconds) {
  for (const refusal2 of claimFaults(profile, claims, policy, nowSeconds))
    return { ok: false, refusal: refusal2 };
  return {
    ok: true,
    claims: Object.freeze(readClaims(profile, claims, policy, keyId)),
  };
}
function identifyClaims(profile, claims, policy, keyId) {
  for (const refusal2 of claimFaults(profile, claims, policy, 0)) {
    const isElsewhereGood =
      perhapsElsewhereGood.has(refusal2) || (profile === 'access' && refusal2 === invalid.iss);
    if (!isElsewhereGood) return { ok: false, refusal: refusal2 };
  }
  return {
    ok: true,
    claims: Object.freeze(readClaims(profile, claims, policy, keyId)),
  };
}
function* claimFaults(profile, claims, policy, nowSeconds) {
  if (profile === 'legacy') yield* legacyFaults(claims);
  else yield* standardFaults(profile, claims, policy);
  const { exp, nbf, iat } = claims;
  if (nbf !== void 0 && !isNumericDate(nbf)) yield invalid.nbf;
  if (isNumericDate(exp) && isOver(exp, policy.skewSeconds, nowSeconds)) yield expired;
  if (isNumericDate(nbf) && nbf > nowSeconds + policy.skewSeconds) yield notYetValid.nbf;
  if (isNumericDate(iat) && iat > nowSeconds + policy.skewSeconds) yield notYetValid.iat;
}
function audienceFault(claims, requiredAudience) {
  if (requiredAudience === void 0 || claims.audience.includes(requiredAudience)) return null;
  return invalid.requiredAudience;
}
function expiryFault(claims, skewSeconds, nowSeconds) {
  return isOver(claims.expiresAtSeconds, skewSeconds, nowSeconds) ? expired : null;
}
function* standardFaults(profile, claims, policy) {
  const { iss, sub, aud, exp, iat, jti, sid, client_id: clientId, roles } = claims;
  const mayLack = (value) => profile === 'shared-secret' && value === void 0;
  if (!isIdentifier(sub)) yield invalid.sub;
  if (!isNumericDate(exp)) yield invalid.exp;
  if (!isNumericDate(iat)) yield invalid.iat;
  if (!isIdentifier(jti) && !mayLack(jti)) yield invalid.jti;
  if (!isIdentifier(clientId) && !mayLack(clientId)) yield invalid.clientId;
  if (!isIdentifier(sid) && sid !== void 0) yield invalid.sid;
  if (!isIdentifierList(roles) && !mayLack(roles)) yield invalid.roles;
  if (iss !== policy.issuer) yield invalid.iss;
  const audience = typeof aud === 'string' ? [aud] : aud;
  if (!isIdentifierList(audience)) yield invalid.audType;
  else if (!policy.audiences.some((accepted) => audience.includes(accepted))) yield invalid.aud;
  if (
    profile === 'access' &&
    isNumericDate(exp) &&
    isNumericDate(iat) &&
    exp - iat > policy.maxLifetimeSeconds
  ) {
    yield invalid.lifetime;
  }
}
function* legacyFaults(claims) {
  const { user_id: userId, exp, iat, sub, iss, aud } = claims;
  if (sub !== void 0 || iss !== void 0 || aud !== void 0) yield invalid.notLegacy;
  if (!isWholeNumber(userId) && !isIdentifier(userId)) yield invalid.userId;
  if (!isNumericDate(exp)) yield invalid.exp;
  if (iat !== void 0 && !isNumericDate(iat)) yield invalid.iat;
}
function readClaims(profile, claims, policy, keyId) {
  const expiresAtSeconds = Math.floor(claims.exp);
  const issuedAtSeconds = claims.iat === void 0 ? null : Math.floor(claims.iat);
  const nobody = {
    sessionId: null,
    tokenId: null,
    clientId: null,
    issuer: null,
    audience: none,
    roles: none,
  };
  if (profile === 'legacy') {
    const subject = String(claims.user_id);
    return { ...nobody, subject, subjectType: 'user', issuedAtSeconds, expiresAtSeconds, keyId };
  }
  const { sub, aud, jti, sid, client_id: clientId, roles } = claims;
  return {
    subject: String(sub),
    // A token with sid is a user's. A program that shares the secret may sign neither sid nor client_id: a user's too.
    subjectType: sid === void 0 && clientId !== void 0 ? 'service' : 'user',
    sessionId: sid ?? null,
    tokenId: jti ?? null,
    clientId: clientId ?? null,
    issuer: policy.issuer,
    audience: Object.freeze(typeof aud === 'string' ? [aud] : [...(aud ?? [])]),
    roles: Object.freeze([...(roles ?? [])]),
    issuedAtSeconds,
    expiresAtSeconds,
    keyId,
  };
}
function isOver(exp, skewSeconds, nowSeconds) {
  return nowSeconds >= Math.floor(exp) + skewSeconds;
}
function isNumericDate(value) {
  return typeof value === 'number' && value > 0 && value < 2 ** 40;
}
function isIdentifier(value) {
  return (
    typeof value === 'string' && value.length >= 1 && value.length <= 256 && !/[\p{Cc}\p{Cs}]/u.test(value)
  );
}
function isIdentifierList(value) {
  return Array.isArray(value) && value.every(isIdentifier);
}
function isWholeNumber(value) {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}
var none = Object.freeze([]);
function claimsInvalid(detail) {
  return Object.freeze({ reason: 'TOKEN_CLAIMS_INVALID', detail });
}
var identifierRule = 'must be a string of 1 to 256 characters without control characters';
var dateRule = 'must be a number of seconds above 0 and below 2^40';
var invalid = {
  sub: claimsInvalid(`sub ${identifierRule}`),
  jti: claimsInvalid(`jti ${identifierRule}`),
  sid: claimsInvalid(`sid ${identifierRule}`),
  clientId: claimsInvalid(`client_id ${identifierRule}`),
  roles: claimsInvalid('roles must be a list of strings of 1 to 256 characters without control characters'),
  exp: claimsInvalid(`exp ${dateRule}`),
  iat: claimsInvalid(`iat ${dateRule}`),
  nbf: claimsInvalid(`nbf ${dateRule}`),
  iss: claimsInvalid('iss is not the issuer that is trusted here'),
  audType: claimsInvalid('aud must be a string or a list of strings'),
  aud: claimsInvalid('aud names no audience that is accepted here'),
  requiredAudience: claimsInvalid('aud does not name the audience that the caller requires'),
  lifetime: claimsInvalid('the time from iat to exp is longer than a token may live'),
  userId: claimsInvalid('user_id must be a whole number or a string of 1 to 256 characters'),
  notLegacy: claimsInvalid('a token of the earlier login names no sub, iss or aud'),
};
var expired = Object.freeze({
  reason: 'TOKEN_EXPIRED',
  detail: 'the time of the token is over',
});
var notYetValid = {
  nbf: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'nbf is in the future' }),
  iat: Object.freeze({ reason: 'TOKEN_NOT_YET_VALID', detail: 'iat is in the future' }),
};
var perhapsElsewhereGood = /* @__PURE__ */ new Set([
  expired,
  notYetValid.nbf,
  notYetValid.iat,
  invalid.aud,
  invalid.lifetime,
]);

// src/tokens/refusals.ts
function refusal(reason, detail) {
  return Object.freeze({ reason, detail });
}
var refusals = {
  tooLarge: refusal('TOKEN_TOO_LARGE', 'the token is longer than 8192 bytes'),
  notThreeSegments: refusal('TOKEN_MALFORMED', 'a token is three base64url segments joined by dots'),
  notCanonical: refusal('TOKEN_MALFORMED', 'a segment is not canonical base64url'),
  headerNotUtf8: refusal('TOKEN_MALFORMED', 'the header is not UTF-8'),
  headerNotJson: refusal('TOKEN_MALFORMED', 'the header is not one JSON object with distinct members'),
  headerMembers: refusal('TOKEN_MALFORMED', 'the header has a member other than alg, kid and typ'),
  headerTypes: refusal('TOKEN_MALFORMED', 'alg, kid and typ must be strings, and alg present'),
  kidMissing: refusal('TOKEN_MALFORMED', 'the header has no kid'),
  kidLength: refusal('TOKEN_MALFORMED', 'kid must have 1 to 128 characters'),
  claimsNotUtf8: refusal('TOKEN_MALFORMED', 'the claims are not UTF-8'),
  claimsNotJson: refusal('TOKEN_MALFORMED', 'the claims are not one JSON object with distinct members'),
  algNotAllowed: refusal('TOKEN_ALG_NOT_ALLOWED', 'alg is not an algorithm that is accepted here'),
  algOfOtherKey: refusal('TOKEN_ALG_NOT_ALLOWED', 'alg is not the algorithm of the key'),
  keyUnknown: refusal('TOKEN_KEY_UNKNOWN', 'no key with this kid is published'),
  kidWithSharedSecret: refusal('TOKEN_KEY_UNKNOWN', 'a token of the shared secret has no kid'),
  typeInvalid: refusal('TOKEN_TYPE_INVALID', 'typ is not the type of an access token'),
  signatureLength: refusal('TOKEN_SIGNATURE_INVALID', 'the signature has not the length of the algorithm'),
  signatureInvalid: refusal('TOKEN_SIGNATURE_INVALID', 'the signature does not match'),
  revoked: refusal('TOKEN_REVOKED', 'the token, its session or its key was revoked'),
};

// src/tokens/compact-form.ts
var maxTokenBytes = 8192;
var sixBits = new Uint8Array(128).fill(255);
var alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (let value = 0; value < alphabet.length; value++) sixBits[alphabet.charCodeAt(value)] = value;
function splitCompactForm(token) {
  if (token.length > maxTokenBytes || Buffer.byteLength(token) > maxTokenBytes)
    return refuse(refusals.tooLarge);
  const firstDot = token.indexOf('.');
  const secondDot = token.indexOf('.', firstDot + 1);
  if (firstDot < 0 || secondDot < 0 || token.includes('.', secondDot + 1))
    return refuse(refusals.notThreeSegments);
  const header = token.slice(0, firstDot);
  const payload = token.slice(firstDot + 1, secondDot);
  const signature = token.slice(secondDot + 1);
  if (header === '' || payload === '' || signature === '') return refuse(refusals.notThreeSegments);
  if (!isCanonicalBase64url(header) || !isCanonicalBase64url(payload) || !isCanonicalBase64url(signature)) {
    return refuse(refusals.notCanonical);
  }
  return { ok: true, header, payload, signature };
}
function isCanonicalBase64url(text) {
  let last = 0;
  for (let at = 0; at < text.length; at++) {
    last = sixBits[text.charCodeAt(at)] ?? 255;
    if (last === 255) return false;
  }
  switch (text.length % 4) {
    case 0:
      return true;
    case 2:
      return (last & 15) === 0;
    case 3:
      return (last & 3) === 0;
    default:
      return false;
  }
}
function refuse(refusal2) {
  return { ok: false, refusal: refusal2 };
}

// src/tokens/strict-json.ts
var maxDepth = 16;
var numberForm = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
var escapes = /* @__PURE__ */ new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '	'],
]);
var notStrict = /* @__PURE__ */ Symbol('not strict JSON');
function parseStrictJson(text) {
  const scanner = new Scanner(text);
  try {
    return scanner.wholeObject();
  } catch (error) {
    if (error === notStrict) return null;
    throw error;
  }
}
var Scanner = class {
  #text;
  #at = 0;
  constructor(text) {
    this.#text = text;
  }
  wholeObject() {
    this.#skipSpace();
    const value = this.#object(1);
    this.#skipSpace();
    return this.#at === this.#text.length ? value : fail();
  }
  #value(depth) {
    const first = this.#text[this.#at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return this.#string();
    if (first === 't') return this.#word('true', true);
    if (first === 'f') return this.#word('false', false);
    if (first === 'n') return this.#word('null', null);
    return this.#number();
  }
  #object(depth) {
    this.#take('{');
    if (depth > maxDepth) fail();
    const members = /* @__PURE__ */ Object.create(null);
    this.#skipSpace();
    if (this.#takeIf('}')) return members;
    do {
      this.#skipSpace();
      const name = this.#string();
      if (name in members) fail();
      this.#skipSpace();
      this.#take(':');
      this.#skipSpace();
      members[name] = this.#value(depth + 1);
      this.#skipSpace();
    } while (this.#takeIf(','));
    this.#take('}');
    return members;
  }
  #array(depth) {
    this.#take('[');
    if (depth > maxDepth) fail();
    const items = [];
    this.#skipSpace();
    if (this.#takeIf(']')) return items;
    do {
      this.#skipSpace();
      items.push(this.#value(depth + 1));
      this.#skipSpace();
    } while (this.#takeIf(','));
    this.#take(']');
    return items;
  }
  #string() {
    this.#take('"');
    let plainFrom = this.#at;
    let read = '';
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (!(code >= 32)) fail();
      if (code === 34) break;
      if (code === 92) {
        read += this.#text.slice(plainFrom, this.#at) + this.#escape();
        plainFrom = this.#at;
      } else {
        this.#at++;
      }
    }
    read += this.#text.slice(plainFrom, this.#at);
    this.#at++;
    return read;
  }
  #escape() {
    const letter = this.#text[this.#at + 1] ?? fail();
    if (letter !== 'u') {
      this.#at += 2;
      return escapes.get(letter) ?? fail();
    }
    const hex = this.#text.slice(this.#at + 2, this.#at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) fail();
    this.#at += 6;
    return String.fromCharCode(parseInt(hex, 16));
  }
  #number() {
    numberForm.lastIndex = this.#at;
    const digits = numberForm.exec(this.#text)?.[0] ?? fail();
    this.#at += digits.length;
    return Number(digits);
  }
  #word(word, value) {
    if (!this.#text.startsWith(word, this.#at)) fail();
    this.#at += word.length;
    return value;
  }
  #skipSpace() {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      this.#at++;
    }
  }
  #take(character) {
    if (!this.#takeIf(character)) fail();
  }
  #takeIf(character) {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }
};
function fail() {
  throw notStrict;
}

// src/tokens/format-guard.ts
var utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
function guardFormat(token) {
  const form = splitCompactForm(token);
  if (!form.ok) return form;
  const header = readHeaderOnce(form.header);
  if (!header.ok) return header;
  const claims = readClaimsSegment(form.payload);
  if (!claims.ok) return claims;
  const signatureBytes = Math.floor((form.signature.length * 3) / 4);
  return { ok: true, header: header.header, claims: claims.claims, signatureBytes };
}
var lastRead = null;
function readHeaderOnce(segment) {
  if (lastRead?.segment === segment) return lastRead.result;
  const result = readHeader(segment);
  if (result.ok) lastRead = { segment, result };
  return result;
}
function readHeader(segment) {
  const members = readObject(segment);
  if (members === void 0) return refuse2(refusals.headerNotUtf8);
  if (members === null) return refuse2(refusals.headerNotJson);
  const { alg, kid, typ, ...others } = members;
  if (Object.keys(others).length > 0) return refuse2(refusals.headerMembers);
  if (typeof alg !== 'string' || !isStringOrAbsent(kid) || !isStringOrAbsent(typ)) {
    return refuse2(refusals.headerTypes);
  }
  if (kid !== void 0 && (kid.length < 1 || kid.length > 128)) return refuse2(refusals.kidLength);
  return { ok: true, header: { alg, kid, typ } };
}
function readClaimsSegment(segment) {
  const claims = readObject(segment);
  if (claims === void 0) return refuse2(refusals.claimsNotUtf8);
  if (claims === null) return refuse2(refusals.claimsNotJson);
  return { ok: true, claims };
}
function readObject(segment) {
  let text;
  try {
    text = utf8.decode(Buffer.from(segment, 'base64url'));
  } catch {
    return void 0;
  }
  return parseStrictJson(text);
}
function isStringOrAbsent(value) {
  return value === void 0 || typeof value === 'string';
}
function refuse2(refusal2) {
  return { ok: false, refusal: refusal2 };
}

// src/tokens/signing-algorithm.ts
var rsaModulusBits = 3072;
var algorithmTable = {
  ES256: {
    kty: 'EC',
    crv: 'P-256',
    members: ['x', 'y'],
    signatureBytes: 64,
    subtle: { name: 'ECDSA', namedCurve: 'P-256' },
  },
  RS256: {
    kty: 'RSA',
    members: ['n', 'e'],
    signatureBytes: null,
    subtle: {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength: rsaModulusBits,
      publicExponent: Uint8Array.of(1, 0, 1),
    },
  },
  EdDSA: { kty: 'OKP', crv: 'Ed25519', members: ['x'], signatureBytes: 64, subtle: { name: 'Ed25519' } },
};
function isSigningAlgorithm(name) {
  return typeof name === 'string' && Object.hasOwn(algorithmTable, name);
}

// src/tokens/select-key.ts
var hmacSha256Bytes = 32;
var accessTokenType = /^(?:application\/)?at\+jwt$/i;
var sharedSecretType = /^(?:application\/)?(?:at\+)?jwt$/i;
function selectKey(token, choices, nowMs) {
  const { alg, kid, typ } = token.header;
  const { ring, sharedSecret, legacyDoor } = choices;
  if (legacyDoor !== null && nowMs < legacyDoor.untilMs && isOfTheTutorial(token.header, token.claims)) {
    return hmacKey(legacyDoor.key, 'legacy', legacyDoor.untilMs);
  }
  if (sharedSecret !== null) {
    if (alg !== 'HS256') return refuse3(refusals.algNotAllowed);
    if (kid !== void 0) return refuse3(refusals.kidWithSharedSecret);
    if (typ === void 0 || !sharedSecretType.test(typ)) return refuse3(refusals.typeInvalid);
    return hmacKey(sharedSecret, 'shared-secret', Infinity);
  }
  if (!isSigningAlgorithm(alg)) return refuse3(refusals.algNotAllowed);
  if (kid === void 0) return refuse3(refusals.kidMissing);
  const key = ring.find(kid);
  if (key === void 0) return refuse3(refusals.keyUnknown);
  if (key.algorithm !== alg) return refuse3(refusals.algOfOtherKey);
  if (typ === void 0 || !accessTokenType.test(typ)) return refuse3(refusals.typeInvalid);
  const { kid: keyId, signatureBytes } = key;
  return { ok: true, key, keyId, signatureBytes, profile: 'access', refusedFromMs: Infinity };
}
function isOfTheTutorial({ alg, kid, typ }, claims) {
  return alg === 'HS256' && kid === void 0 && (typ === void 0 || typ === 'JWT') && claims.sub === void 0;
}
function hmacKey(key, profile, refusedFromMs) {
  return { ok: true, key, keyId: null, signatureBytes: hmacSha256Bytes, profile, refusedFromMs };
}
function refuse3(refusal2) {
  return { ok: false, refusal: refusal2 };
}

// src/tokens/verify-signature.ts
import { createHmac, timingSafeEqual, verify } from 'node:crypto';
async function signatureMatches(token, { algorithm, key }) {
  const lastDot = token.lastIndexOf('.');
  const signed = Buffer.from(token.slice(0, lastDot), 'latin1');
  const signature = Buffer.from(token.slice(lastDot + 1), 'base64url');
  if (algorithm === 'HS256') {
    const own = createHmac('sha256', key).update(signed).digest();
    return own.length === signature.length && timingSafeEqual(own, signature);
  }
  const input = { key, dsaEncoding: 'ieee-p1363' };
  const digest = algorithm === 'EdDSA' ? null : 'sha256';
  return new Promise((resolve, reject) => {
    verify(digest, signed, input, signature, (error, matches) => {
      if (error) reject(error);
      else resolve(matches);
    });
  });
}

// src/tokens/token-verifier.ts
var maxUnderWay = 4096;
var TokenVerifier = class {
  #trust;
  #policy;
  #sharedSecret;
  #legacyDoor;
  #cache;
  #nowMs;
  #underWay = /* @__PURE__ */ new Map();
  constructor(options) {
    this.#trust = options.trust;
    this.#policy = options.policy;
    this.#sharedSecret = options.sharedSecret ?? null;
    this.#legacyDoor = options.legacyDoor ?? null;
    this.#cache = options.cache ?? null;
    this.#nowMs = options.nowMs;
  }
  /**
   * The verdict on a token, at once when it is remembered or refused for its form or its header. Never throws for a bad
   * token. A token that many callers bring at the same time is verified once.
   *
   * @param requiredAudience one that the token must name, beside being for an accepted one
   */
  verify(token, requiredAudience) {
    if (token.length > maxTokenBytes) return refuse4(refusals.tooLarge);
    const policy = this.#policy();
    const remembered = this.#cache?.get(token);
    if (remembered?.policy === policy) return this.#judge(remembered, requiredAudience);
    const underWay = this.#underWay.get(token);
    if (underWay !== void 0) return this.#conclude(underWay, requiredAudience);
    const read = this.#read(token);
    if (!read.ok) return read;
    return this.#conclude(
      this.#share(token, this.#verifyFresh(token, read.unverified, read.selected, policy)),
      requiredAudience,
    );
  }
  /**
   * Whose token this is, for those who end it: one that was really signed, whether or not it is accepted here, by this
   * clock, yet or still, or has been revoked.
   */
  async identify(token) {
    if (token.length > maxTokenBytes) return refuse4(refusals.tooLarge);
    const read = this.#read(token);
    if (!read.ok) return read;
    const { key, profile, keyId } = read.selected;
    if (!(await signatureMatches(token, key))) return refuse4(refusals.signatureInvalid);
    return identifyClaims(profile, read.unverified.claims, this.#policy(), keyId);
  }
  /** Everything before the signature. */
  #read(token) {
    const unverified = guardFormat(token);
    if (!unverified.ok) return unverified;
    const selected = selectKey(
      unverified,
      { ring: this.#trust.keys(), sharedSecret: this.#sharedSecret, legacyDoor: this.#legacyDoor },
      this.#nowMs(),
    );
    if (!selected.ok) return selected;
    if (unverified.signatureBytes !== selected.signatureBytes) return refuse4(refusals.signatureLength);
    return { ok: true, unverified, selected };
  }
  async #verifyFresh(token, unverified, selected, policy) {
    if (!(await signatureMatches(token, selected.key))) return refusals.signatureInvalid;
    const { profile, keyId, refusedFromMs } = selected;
    const verdict = checkClaims(profile, unverified.claims, policy, keyId, this.#nowMs() / 1e3);
    if (!verdict.ok) return verdict.refusal;
    const remembered = { verdict: Object.freeze(verdict), policy, refusedFromMs, trustedAt: void 0 };
    this.#cache?.set(token, remembered);
    return remembered;
  }
  #share(token, fresh) {
    if (this.#underWay.size >= maxUnderWay) return fresh;
    const shared = fresh.finally(() => this.#underWay.delete(token));
    this.#underWay.set(token, shared);
    return shared;
  }
  async #conclude(fresh, requiredAudience) {
    const result = await fresh;
    return 'reason' in result ? refuse4(result) : this.#judge(result, requiredAudience);
  }
  /** What can change after the first sight of a token: its key, the legacy door, the time, a revocation (T23, T24, K09). */
  #judge(remembered, requiredAudience) {
    const { verdict, policy, refusedFromMs } = remembered;
    const { claims } = verdict;
    const nowMs = this.#nowMs();
    const { revision } = this.#trust;
    const isTrusted = revision !== void 0 && remembered.trustedAt === revision;
    const { keyId } = claims;
    const lost =
      (!isTrusted && keyId !== null && this.#trust.keys().find(keyId) === void 0 && refusals.keyUnknown) ||
      (nowMs >= refusedFromMs && refusals.algNotAllowed) ||
      expiryFault(claims, policy.skewSeconds, nowMs / 1e3) ||
      (!isTrusted && this.#trust.isRevoked(claims) && refusals.revoked);
    if (lost) return refuse4(lost);
    remembered.trustedAt = revision;
    const elsewhere = audienceFault(claims, requiredAudience);
    return elsewhere === null ? verdict : refuse4(elsewhere);
  }
};
function refuse4(refusal2) {
  return { ok: false, refusal: refusal2 };
}

// src/tokens/key-ring.ts
import { createHash } from 'node:crypto';
function createKeyRing(keys, signer = null) {
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  if (byKid.size !== keys.length) throw new Error('two keys have the same kid');
  if (signer?.kid != null && !byKid.has(signer.kid))
    throw new Error('the signing key is not among the published keys');
  const kids = Object.freeze([...byKid.keys()].sort());
  const json = JSON.stringify({ keys: kids.map((kid) => byKid.get(kid)?.jwk) });
  const etag = `"${createHash('sha256').update(json).digest('base64url')}"`;
  return Object.freeze({
    find: (kid) => byKid.get(kid),
    kids,
    signer,
    jwks: Object.freeze({ json, etag }),
  });
}

// src/tokens/verification-key.ts
import { KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import { importJWK } from 'jose/key/import';

// src/tokens/roca-modulus.ts
var primes = [
  3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
  109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
function isRocaModulus(modulus) {
  const number = BigInt(`0x${Buffer.from(modulus).toString('hex')}`);
  return primes.every((prime) => powersOf65537(prime).has(Number(number % BigInt(prime))));
}
function powersOf65537(prime) {
  const powers = /* @__PURE__ */ new Set();
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power);
  return powers;
}

// src/tokens/verification-key.ts
var KeyRefused = class extends Error {
  constructor(rule, options) {
    super(`the key is refused: ${rule}`, options);
    this.name = 'KeyRefused';
  }
};
var rsaBits = { least: 2048, most: 4096 };
async function importVerificationKey(jwk) {
  const publicJwk = readPublicJwk(jwk);
  if ((await thumbprintOf(publicJwk)) !== publicJwk.kid)
    throw new KeyRefused('kid is not its RFC 7638 thumbprint');
  const { kid, alg } = publicJwk;
  let key;
  try {
    key = KeyObject.from(await importJWK({ ...publicJwk }, alg));
  } catch (cause) {
    throw new KeyRefused('its numbers are not a public key of the algorithm', { cause });
  }
  const signatureBytes = algorithmTable[alg].signatureBytes ?? byteLength(publicJwk.n);
  return { kid, algorithm: alg, jwk: publicJwk, signatureBytes, key };
}
function thumbprintOf(jwk) {
  return calculateJwkThumbprint({ ...jwk }, 'sha256');
}
function readPublicJwk(jwk) {
  if (typeof jwk !== 'object' || jwk === null || Array.isArray(jwk))
    throw new KeyRefused('it is not a JSON object');
  const given = jwk;
  const { alg, kid } = given;
  if (!isSigningAlgorithm(alg)) throw new KeyRefused('alg must be ES256, RS256 or EdDSA');
  const row = algorithmTable[alg];
  if (given.kty !== row.kty || given.crv !== row.crv)
    throw new KeyRefused('kty or crv is not the one of its alg');
  if (given.use !== 'sig') throw new KeyRefused('use must be sig');
  if (typeof kid !== 'string') throw new KeyRefused('kid must be a string');
  const known = ['kty', 'crv', 'kid', 'alg', 'use', ...row.members];
  if (Object.keys(given).some((member) => !known.includes(member))) {
    throw new KeyRefused(`it may have no members but ${known.join(', ')}`);
  }
  const numbers = Object.fromEntries(
    row.members.map((member) => [member, readNumber(given[member], member, row)]),
  );
  return Object.freeze({ kty: row.kty, ...(row.crv && { crv: row.crv }), ...numbers, kid, alg, use: 'sig' });
}
function readNumber(value, member, row) {
  if (typeof value !== 'string' || value === '' || !isCanonicalBase64url(value)) {
    throw new KeyRefused(`${member} must be base64url`);
  }
  if (row.kty !== 'RSA') {
    if (byteLength(value) !== 32) throw new KeyRefused(`${member} must be 32 bytes`);
  } else if (member === 'e') {
    if (value !== 'AQAB') throw new KeyRefused('e must be 65537');
  } else {
    const modulus = Buffer.from(value, 'base64url');
    const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
    const isOdd = ((modulus.at(-1) ?? 0) & 1) === 1;
    if (modulus[0] === 0 || !isOdd || bits < rsaBits.least || bits > rsaBits.most) {
      throw new KeyRefused(`n must have ${rsaBits.least} to ${rsaBits.most} bits and be odd`);
    }
    if (isRocaModulus(modulus))
      throw new KeyRefused('n is of a generator whose keys can be factored (CVE-2017-15361)');
  }
  return value;
}
function byteLength(base64url) {
  return Buffer.byteLength(base64url ?? '', 'base64url');
}
export { TokenVerifier, createKeyRing, importVerificationKey };
