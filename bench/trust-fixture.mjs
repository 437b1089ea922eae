// The fixture of the verifier benchmarks: this process serves WatchTrust from a trust bundle with its own signing key, without
// a database.
import { randomBytes, randomUUID } from 'node:crypto';
import { importJWK } from 'jose';
import { TrustServiceService } from '../dist/generated/postern/v1/trust.js';
import { GrpcServer } from '../dist/grpc/grpc-server.js';
import { trustService } from '../dist/services/trust/trust-service.js';
import { createKeyRing } from '../dist/tokens/verify/key-ring.js';
import { createTokenId, signAccessToken } from '../dist/tokens/issue/sign-access-token.js';
import { generateSigningKey, importSigner } from '../dist/tokens/issue/signing-key.js';
import { importVerificationKey } from '../dist/tokens/verify/verification-key.js';
import { TrustBundle } from '../dist/trust/trust-bundle.js';

const policy = { issuer: 'http://127.0.0.1', audiences: ['bench'], maxLifetimeSeconds: 600, skewSeconds: 5 };
const REVOCATION_SECONDS = 3_600;

/** Serves WatchTrust with these keys to any caller. */
export async function serveTrust(keys) {
  const bundle = new TrustBundle();
  bundle.replaceKeys(keys);
  const server = new GrpcServer({
    services: (add) =>
      add(
        TrustServiceService,
        trustService(bundle, () => policy),
      ),
    guard: {
      authenticate: () =>
        Promise.resolve({ type: 'service', id: 'bench', sessionId: null, roles: [], claims: null }),
      writeAudit: () => Promise.resolve(),
    },
    health: { processReady: [''], verificationReady: [] },
    reflection: false,
    onFinish: () => undefined,
  });
  const { host, port } = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, null);
  let position = 0n;
  return {
    address: `${host}:${port}`,
    /** Revokes this many sessions at once. */
    revoke(count, newId = randomUUID) {
      position += 1n;
      const expiresAtSeconds = Math.floor(Date.now() / 1000) + REVOCATION_SECONDS;
      const one = () => ({ kind: 'sid', id: newId(), expiresAtSeconds, position });
      const revocations = Array.from({ length: count }, one);
      bundle.applyUpdates({
        revocations,
        cursor: position + 1n,
        complete: true,
        readAtMs: performance.now(),
      });
    },
    stop: (graceMs = 2_000) => server.stop({ delayMs: 0, graceMs }),
  };
}

/** The same with a signing key, tokens, and initial revocations. */
export async function trustFixture(revocations) {
  const pair = await generateSigningKey('ES256');
  const signer = await importSigner(pair);
  const served = await serveTrust(createKeyRing([await importVerificationKey(pair.publicJwk)], signer));
  served.revoke(revocations);
  const issueOne = () =>
    signAccessToken(signer, {
      issuer: policy.issuer,
      audience: policy.audiences[0],
      subject: randomUUID(),
      sessionId: randomUUID(),
      clientId: 'postern',
      roles: ['reader', 'editor'],
      tokenId: createTokenId(randomBytes(16)),
      issuedAtSeconds: Math.floor(Date.now() / 1000),
      lifetimeSeconds: policy.maxLifetimeSeconds,
    });
  return {
    ...served,
    policy,
    publicKey: await importJWK(pair.publicJwk, 'ES256'),
    async issue(count) {
      const tokens = [];
      while (tokens.length < count) tokens.push(await issueOne());
      // As in a request header: a flat string, not a concatenation of parts as the signer makes it.
      return tokens.map((token) => Buffer.from(token).toString('latin1'));
    },
  };
}
