// The messages of WatchTrust that the scripts consist of.
import { bytesOfUuid } from '../../src/domain/uuid.ts';
import type { PublicJwk } from '../../src/tokens/verify/verification-key.ts';
import { type Revocation, TrustUpdate } from '../../src/generated/postern/v1/trust.ts';
import type { StreamStep } from './vectors.ts';

/** The time at which a script begins. */
export const NOW = 1_800_000_000;
export const ISSUER = 'https://auth.example';
const POLICY = { issuer: ISSUER, audiences: ['postern'], maxLifetime: 600, clockSkew: 5 };

/** What happens in a step. */
export type Event = Omit<StreamStep, 'name' | 'then'>;

export function receive(update: TrustUpdate['update'], cursor = ''): Event {
  return { receive: Buffer.from(TrustUpdate.encode({ cursor, update }).finish()).toString('base64') };
}

export const keys = (
  jwks: readonly PublicJwk[],
  changes: Partial<typeof POLICY> = {},
): TrustUpdate['update'] => keysText(JSON.stringify({ keys: jwks }), changes);
export const keysText = (jwks: string, changes: Partial<typeof POLICY> = {}): TrustUpdate['update'] => ({
  $case: 'keys',
  value: { jwks, ...POLICY, ...changes },
});
export const heartbeat = (newsAgeMs: number): TrustUpdate['update'] => ({
  $case: 'heartbeat',
  value: { newsAgeMs, relayPath: [] },
});
export const revocations = (
  list: readonly Revocation[],
  { snapshot = false, complete = false } = {},
): TrustUpdate['update'] => ({
  $case: 'revocations',
  value: { revocations: [...list], snapshot, complete },
});

const until = NOW + 86_400 - 1;
export const session = (id: string, expiresAt = until): Revocation => ({
  revoked: { $case: 'sessionId', value: bytesOfUuid(id) },
  expiresAt,
});
export const sessionName = (value: string): Revocation => ({
  revoked: { $case: 'sessionName', value },
  expiresAt: until,
});
export const tokenId = (value: string): Revocation => ({
  revoked: { $case: 'tokenId', value },
  expiresAt: until,
});
export const keyId = (value: string): Revocation => ({
  revoked: { $case: 'keyId', value },
  expiresAt: until,
});

/** A length-delimited field that no version of a message has. */
const unknownField = (number: number, value: Uint8Array = Buffer.from('new')) =>
  Buffer.from([(number << 3) | 2, value.length, ...value]);

/** Revocations with one entry of an unknown kind. */
export function unknownRevocation(cursor: string): string {
  const list = unknownField(1, unknownField(9));
  const update = Buffer.from(TrustUpdate.encode({ cursor, update: undefined }).finish());
  return Buffer.concat([update, unknownField(3, list)]).toString('base64');
}

/** An update of an unknown kind. */
export function unknownUpdate(cursor: string): string {
  const known = Buffer.from(TrustUpdate.encode({ cursor, update: undefined }).finish());
  return Buffer.concat([known, unknownField(9)]).toString('base64');
}
