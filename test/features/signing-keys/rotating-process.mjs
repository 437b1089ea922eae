// Ten rotations at once from a process of its own: connects, says "ready", waits for a line, and prints each outcome.
// node rotating-process.mjs   (DATABASE_URL, MASTER_KEY; after the build)
import { once } from 'node:events';

import { ownOrigin } from '../../../dist/domain/operation-call.js';
import { masterKeyOf } from '../../../dist/crypto/sealed-envelope.js';
import { rotateSigningKey } from '../../../dist/features/signing-keys/rotate-signing-key.js';
import { Database } from '../../../dist/database/database.js';

const { DATABASE_URL: url, MASTER_KEY: masterKey, NOW: now } = process.env;
const database = new Database({
  address: { url },
  applicationName: 'rotating process',
  maxConnections: 10,
  warn: () => undefined,
});
const policy = {
  algorithm: 'ES256',
  rotationSeconds: 86_400,
  jwksMaxAgeSeconds: 600,
  accessTokenTtlSeconds: 600,
};
await database.unlimited((trx) => trx.raw('SELECT 1'));
console.log('ready');
await once(process.stdin, 'data');
const outcomes = await Promise.allSettled(
  Array.from({ length: 10 }, () =>
    rotateSigningKey(
      { database, policy, masterKeys: [masterKeyOf(Buffer.from(masterKey, 'base64'))] },
      {
        now: now === 'yes',
        actor: { type: 'operator', id: null },
        origin: ownOrigin,
      },
    ),
  ),
);
console.log(JSON.stringify(outcomes.map(({ value, reason }) => value?.kid ?? `failed: ${String(reason)}`)));
await database.close();
process.stdin.destroy();
