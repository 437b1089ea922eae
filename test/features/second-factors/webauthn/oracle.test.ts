import { beforeAll, describe, expect, it } from '@jest/globals';
import type {
  AuthenticationResponseJSON,
  RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import fc from 'fast-check';

import { decodeCbor } from '../../../../src/features/second-factors/webauthn/cbor.ts';
import {
  type AlgorithmName,
  type CredentialJson,
  type Deviation,
  encodeCbor,
  SoftwareAuthenticator,
} from '../../../support/software-authenticator.ts';
import {
  assertion,
  creationOptions,
  expectation,
  judgeAssertion,
  judgeRegistration,
  ORIGIN,
  requestOptions,
  RP_ID,
  USER_HANDLE,
} from './answers.ts';

/** Registrations and logins each. */
const RUNS = 5_500;

let oracle: {
  verifyRegistrationResponse: typeof verifyRegistrationResponse;
  verifyAuthenticationResponse: typeof verifyAuthenticationResponse;
};
beforeAll(async () => {
  oracle = await import('@simplewebauthn/server');
});

const expected = {
  expectedChallenge: Buffer.from(expectation.challenge).toString('base64url'),
  expectedOrigin: [...expectation.origins],
  expectedRPID: RP_ID,
  requireUserVerification: true,
};

async function oracleAcceptsRegistration(response: unknown): Promise<boolean> {
  const supportedAlgorithmIDs = [-7, -8, -257];
  try {
    const { verified } = await oracle.verifyRegistrationResponse({
      ...expected,
      response: response as RegistrationResponseJSON,
      supportedAlgorithmIDs,
    });
    return verified;
  } catch {
    return false;
  }
}

async function oracleAcceptsAssertion(
  made: SoftwareAuthenticator,
  response: unknown,
  counter: number,
): Promise<boolean> {
  try {
    const { verified } = await oracle.verifyAuthenticationResponse({
      ...expected,
      response: response as AuthenticationResponseJSON,
      credential: {
        id: made.credentialId.toString('base64url'),
        publicKey: new Uint8Array(made.coseKey),
        counter,
      },
    });
    return verified;
  } catch {
    return false;
  }
}

const algorithms: readonly AlgorithmName[] = ['ES256', 'EdDSA', 'RS256'];
const authenticators = algorithms.flatMap((algorithm) =>
  [false, true].map(
    (isSynced) =>
      new SoftwareAuthenticator({ origin: ORIGIN, algorithm, isSynced, signCount: isSynced ? 0 : 5 }),
  ),
);
const anyAuthenticator = fc.constantFrom(...authenticators);

/** A change of bytes: one of a bit, a byte, a cut, an insertion, or bytes repeated. */
const byteChange = fc.tuple(fc.constantFrom('flip', 'set', 'cut', 'insert', 'repeat'), fc.nat(), fc.nat(255));

function changeBytes(bytes: Buffer, [kind, position, value]: readonly [string, number, number]): Buffer {
  const at = position % (bytes.length + 1);
  const changed = Buffer.from(bytes);
  switch (kind) {
    case 'flip':
      changed[at % bytes.length] = (bytes[at % bytes.length] ?? 0) ^ (1 << (value % 8));
      return changed;
    case 'set':
      changed[at % bytes.length] = value;
      return changed;
    case 'cut':
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + (value % 40) + 1)]);
    case 'insert':
      return Buffer.concat([bytes.subarray(0, at), Buffer.of(value), bytes.subarray(at)]);
    default:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.max(0, at - (value % 8) - 1))]);
  }
}

const extensions = fc.constantFrom(
  Buffer.alloc(0),
  Buffer.of(0),
  encodeCbor(new Map()),
  encodeCbor(new Map<unknown, unknown>([['credProtect', 2]])),
  encodeCbor(
    new Map<unknown, unknown>([
      ['hmac-secret', true],
      ['x', [null, Buffer.alloc(3)]],
    ]),
  ),
  encodeCbor(['credProtect']),
  Buffer.from('bf6161f5ff', 'hex'),
  Buffer.from('a16161f93c00', 'hex'),
  Buffer.from('a26161016161', 'hex'),
);

/** The answers of authenticators and browsers that do something else than they should, rightly signed. */
const deviations: { readonly [Member in keyof Deviation]: fc.Arbitrary<Deviation[Member]> } = {
  origin: fc.constantFrom(
    ORIGIN,
    'https://www.example.com',
    `${ORIGIN}/`,
    `${ORIGIN}:443`,
    'https://LOGIN.example.com',
    'null',
    '',
  ),
  type: fc.constantFrom('webauthn.create', 'webauthn.get', 'payment.get'),
  challenge: fc.constantFrom(expected.expectedChallenge, `${expected.expectedChallenge}=`, '', 'AAAA'),
  clientData: fc.oneof(
    fc.record(
      {
        crossOrigin: fc.constantFrom(true, false, null, 'false'),
        topOrigin: fc.constantFrom(ORIGIN, 'https://example.org'),
        extra: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
    fc.record({ origin: fc.jsonValue() }),
    fc.record({ tokenBinding: fc.constantFrom({ status: 'supported' }, { status: 'x' }, 'present') }),
  ),
  rpId: fc.constantFrom(RP_ID, 'login.example.com', 'example.org', ''),
  flags: fc.nat(255),
  signCount: fc.oneof(fc.constantFrom(0, 4, 5, 6), fc.nat(0xffff_ffff)),
  userHandle: fc.constantFrom(USER_HANDLE.toString('base64url'), null, 'AAAA'),
  changeAuthData: fc.oneof(
    byteChange.map((change) => (bytes: Buffer) => changeBytes(bytes, change)),
    // After everything else, with and without the flag for extensions.
    fc.tuple(fc.boolean(), extensions).map(([isFlagged, more]) => (bytes: Buffer) => {
      const flagged = Buffer.from(bytes);
      if (isFlagged) flagged.writeUInt8(bytes.readUInt8(32) | 0x80, 32);
      return Buffer.concat([flagged, more]);
    }),
  ),
  changeClientData: byteChange.map((change) => (bytes: Buffer) => changeBytes(bytes, change)),
  aaguid: fc.constantFrom(Buffer.alloc(16), Buffer.alloc(16, 3)),
};
/** One or two of them: with more, hardly any answer would get as far as the last checks. */
const anyDeviation: fc.Arbitrary<Deviation> = fc
  .array(
    fc.oneof(
      ...Object.entries(deviations).map(([member, value]) => value.map((chosen) => ({ [member]: chosen }))),
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((chosen) => Object.assign({}, ...chosen) as Deviation);
const sometimes = <T>(arbitrary: fc.Arbitrary<T>, fallback: T) =>
  fc.oneof({ weight: 2, arbitrary: fc.constant(fallback) }, { weight: 3, arbitrary });

/** A change of the JSON itself. */
const jsonChange = fc.record({
  member: fc.constantFrom(
    'id',
    'rawId',
    'type',
    'response',
    'clientExtensionResults',
    'authenticatorAttachment',
  ),
  value: fc.oneof(fc.constant(undefined), fc.jsonValue(), fc.constantFrom('AA', 'public-key')),
});

function withMember(
  credential: CredentialJson,
  { member, value }: { member: string; value: unknown },
): CredentialJson {
  return { ...credential, [member]: value };
}

function withBytes(
  credential: CredentialJson,
  member: string,
  change: readonly [string, number, number],
): CredentialJson {
  const bytes = Buffer.from(String(credential.response[member]), 'base64url');
  const response = { ...credential.response, [member]: changeBytes(bytes, change).toString('base64url') };
  return { ...credential, response };
}

/** Changes members of the attestation object, such as its format, its statement and what stands beside them. */
function withAttestation(credential: CredentialJson, change: readonly [string, unknown]): CredentialJson {
  const object = Buffer.from(String(credential.response['attestationObject']), 'base64url');
  const members = new Map(decodeCbor(object)?.value as Map<string, unknown>);
  const [member, value] = change;
  if (value === undefined) members.delete(member);
  else members.set(member, value);
  const attestationObject = encodeCbor(members).toString('base64url');
  return { ...credential, response: { ...credential.response, attestationObject } };
}

const attestationChange = fc.oneof(
  fc.tuple(
    fc.constant('fmt'),
    fc.constantFrom<unknown>('none', 'packed', 'tpm', 'apple', 'fido-u2f', 'android-key', 'x', 1, undefined),
  ),
  fc.tuple(
    fc.constant('attStmt'),
    fc.constantFrom<unknown>(
      undefined,
      null,
      new Map(),
      new Map<unknown, unknown>([['alg', -7]]),
      new Map<unknown, unknown>([
        ['alg', -7],
        ['sig', Buffer.alloc(64, 1)],
      ]),
      new Map<unknown, unknown>([
        ['alg', -7],
        ['sig', Buffer.alloc(64, 1)],
        ['x5c', [Buffer.alloc(9)]],
      ]),
    ),
  ),
  fc.tuple(fc.constant('extra'), fc.constantFrom<unknown>(1, new Map(), 'none')),
);

describe('own verification beside @simplewebauthn/server', () => {
  it.each(authenticators.map((made) => [made.algorithm, made.isSynced, made] as const))(
    'agrees about unchanged answers of %s (synced: %s)',
    async (_name, _isSynced, made) => {
      const registered = made.register(creationOptions);
      expect(typeof judgeRegistration(JSON.stringify(registered))).toBe('object');
      expect(await oracleAcceptsRegistration(registered)).toBe(true);
      const answered = assertion(made);
      expect(judgeAssertion(made, answered)).toBe('accepted');
      expect(await oracleAcceptsAssertion(made, JSON.parse(answered), 0)).toBe(true);
    },
  );

  it(`M21 accepts no registration that the library refuses, in ${RUNS} mutations`, async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        anyAuthenticator,
        sometimes(anyDeviation, {}),
        fc.boolean(),
        sometimes<readonly [string, unknown] | null>(attestationChange, null),
        sometimes<readonly [string, readonly [string, number, number]] | null>(
          fc.tuple(fc.constantFrom('attestationObject', 'clientDataJSON'), byteChange),
          null,
        ),
        fc.option(jsonChange, { freq: 6 }),
        async (made, deviation, isPacked, attested, changedBytes, changedJson) => {
          const attestation = isPacked ? { attestation: { fmt: 'packed' } } : {};
          let credential = made.register(creationOptions, { ...deviation, ...attestation });
          if (attested) credential = withAttestation(credential, attested);
          if (changedBytes) credential = withBytes(credential, ...changedBytes);
          if (changedJson) credential = withMember(credential, changedJson);
          if (typeof judgeRegistration(JSON.stringify(credential)) === 'string') return;
          accepted += 1;
          expect(await oracleAcceptsRegistration(JSON.parse(JSON.stringify(credential)))).toBe(true);
        },
      ),
      { numRuns: RUNS },
    );
    // Otherwise the mutations would show nothing.
    expect(accepted).toBeGreaterThan(RUNS / 50);
  });

  it(`M21 accepts no login that the library refuses, in ${RUNS} mutations`, async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        anyAuthenticator,
        sometimes(anyDeviation, {}),
        fc.constantFrom(0, 5, 6),
        sometimes<readonly [string, readonly [string, number, number]] | null>(
          fc.tuple(
            fc.constantFrom('authenticatorData', 'clientDataJSON', 'signature', 'userHandle'),
            byteChange,
          ),
          null,
        ),
        fc.option(jsonChange, { freq: 6 }),
        async (made, deviation, counter, changedBytes, changedJson) => {
          made.userHandle = USER_HANDLE.toString('base64url');
          let credential = made.assert(requestOptions, deviation);
          if (changedBytes) credential = withBytes(credential, ...changedBytes);
          if (changedJson) credential = withMember(credential, changedJson);
          const verdict = judgeAssertion(made, JSON.stringify(credential), { signCount: counter });
          if (verdict !== 'accepted') return;
          accepted += 1;
          expect(await oracleAcceptsAssertion(made, JSON.parse(JSON.stringify(credential)), counter)).toBe(
            true,
          );
        },
      ),
      { numRuns: RUNS },
    );
    expect(accepted).toBeGreaterThan(RUNS / 50);
  });
});
