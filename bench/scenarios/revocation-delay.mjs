import { setImmediate as turn } from 'node:timers/promises';
import { createAuthClient, createVerifier } from '../../dist/client/postern-client.js';
import { openBenchService } from '../bench-service.mjs';
import { rowOf } from '../goals.mjs';
import { figureRow } from '../measured-row.mjs';
import { spread } from '../pairs.mjs';

const REVOKES = 1_000;
const QUICK_REVOKES = 50;
/** Revoked while the instance of one verifier is down. */
const WHILE_DOWN = 50;
const LIMIT_MS = 30_000;

/**
 * The time from the answer of RevokeToken to the refusal: two services on one database, a verifier of this process at each.
 * The first service answers. The second one is killed on the way and comes back at the same address; what is revoked while
 * its verifier reconnects is counted apart. `clients/python/bench/delay.py` and `clients/go/integration` measure the same.
 */
export async function run(plan) {
  const fixture = await openBenchService();
  const opened = [];
  const open = (value) => opened.push(value) && value;
  try {
    const account = await fixture.addServiceAccount('bench');
    const first = await fixture.serve();
    let second = await fixture.serve();
    const auth = open(createAuthClient({ address: first.address }));
    const verifierAt = ({ address }) =>
      open(createVerifier({ trust: { upstream: { address }, credential: account } }));
    const [near, far] = [verifierAt(first), verifierAt(second)];
    await Promise.all([near.ready(10_000), far.ready(10_000)]);
    const newToken = async () => {
      const { accessToken } = await auth.issueServiceToken(account);
      await Promise.all([near.verify(accessToken), far.verify(accessToken)]);
      return accessToken;
    };
    /** Resolves to the time of the answer. */
    const revoke = async (token) => {
      await auth.revokeToken({ token });
      return performance.now();
    };

    const delays = { near: [], far: [], reconnecting: [] };
    const revokes = plan.quick ? QUICK_REVOKES : REVOKES;
    for (let made = 0; made < revokes; made++) {
      if (made === Math.floor(revokes / 2)) {
        const tokens = [];
        while (tokens.length < WHILE_DOWN) tokens.push(await newToken());
        await second.kill();
        const waits = [];
        for (const token of tokens) waits.push(refusedAfter(far, token, await revoke(token)));
        second = await fixture.serve({ POSTERN_GRPC_LISTEN: second.address });
        delays.reconnecting.push(...(await Promise.all(waits)));
      }
      const token = await newToken();
      const answeredMs = await revoke(token);
      const side = far.state().connected ? delays.far : delays.reconnecting;
      const [atNear, atFar] = await Promise.all([
        refusedAfter(near, token, answeredMs),
        refusedAfter(far, token, answeredMs),
      ]);
      delays.near.push(atNear);
      side.push(atFar);
    }
    return [
      p99Row('revocation-delay-near', delays.near, plan),
      p99Row('revocation-delay-far', delays.far, plan),
      figureRow(
        rowOf('revocation-delay', 'revocation-delay-reconnecting'),
        [Math.max(...delays.reconnecting)],
        plan,
        {
          revocations: spread([delays.reconnecting.length]),
        },
      ),
    ];
  } finally {
    for (const value of opened) value.close();
    await fixture.stop();
  }
}

/** @throws Error when the revocation was missed */
async function refusedAfter(verifier, token, answeredMs) {
  for (;;) {
    try {
      await verifier.verify(token);
    } catch (error) {
      if (error.reason === 'TOKEN_REVOKED') return performance.now() - answeredMs;
      if (error.reason !== 'TRUST_STALE') throw error;
    }
    if (performance.now() - answeredMs > LIMIT_MS) throw new Error('a revocation was missed');
    await turn();
  }
}

function p99Row(id, delays, plan) {
  const sorted = delays.toSorted((one, other) => one - other);
  const at = (share) => spread([sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]]);
  return figureRow(rowOf('revocation-delay', id), [at(0.99).median], plan, {
    'p50, ms': at(0.5),
    'worst, ms': at(1),
    revocations: spread([sorted.length]),
  });
}
