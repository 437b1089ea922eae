// What benches of verifiers stand on: WatchTrust served in this process from a bundle that the bench feeds, with a
// signing key of its own and no database.
import { randomUUID } from 'node:crypto';
import { importJWK } from 'jose';
import { TrustServiceService } from '../dist/generated/postern/v1/trust.js';
import { GrpcServer } from '../dist/grpc/grpc-server.js';
import { trustService } from '../dist/grpc/trust-service.js';
import { createKeyRing } from '../dist/tokens/key-ring.js';
import { generateSigningKey, importSigner } from '../dist/tokens/signing-key.js';
import { importVerificationKey } from '../dist/tokens/verification-key.js';
import { TrustBundle } from '../dist/trust/trust-bundle.js';

/** @param revocations how many there are from the start */
export async function trustHouse(revocations) {
  const pair = await generateSigningKey('ES256');
  const signer = await importSigner(pair);
  const policy = {
    issuer: 'http://127.0.0.1',
    audiences: ['bench'],
    maxLifetimeSeconds: 600,
    skewSeconds: 5,
  };
  const bundle = new TrustBundle();
  bundle.replaceKeys(createKeyRing([await importVerificationKey(pair.publicJwk)], signer));
  const expiresAtSeconds = Math.floor(Date.now() / 1000) + 3_600;
  bundle.take({
    revocations: Array.from({ length: revocations }, () => ({
      kind: 'sid',
      id: randomUUID(),
      expiresAtSeconds,
      place: 1n,
    })),
    cursor: 2n,
    complete: true,
    asOfMs: performance.now(),
  });
  const server = new GrpcServer({
    services: (add) => add(TrustServiceService, trustService(bundle, policy)),
    gate: {
      authenticate: () =>
        Promise.resolve({ type: 'service', id: 'bench', sessionId: null, roles: [], claims: null }),
      writeAudit: () => Promise.resolve(),
    },
    health: { everything: [''], verification: [] },
    reflection: false,
    onFinish: () => undefined,
  });
  const { host, port } = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, null);
  return {
    address: `${host}:${port}`,
    policy,
    signer,
    publicKey: await importJWK(pair.publicJwk, 'ES256'),
    stop: () => server.stop(2_000),
  };
}
