// Checks as Envoy sends them, some always in flight: how many a second, and how soon each is answered. Every token is seen
// for the first time once, then again. Of the delay, what the caller takes (this process) is part: it is an upper bound.
import * as grpc from '@grpc/grpc-js';
import { AuthorizationClient } from '../dist/generated/envoy/service/auth/v3/external_auth.js';
import { percentile } from './bench-service.mjs';

/** Rejects when a check is denied: the tokens are good. */
export async function measureChecks(address, { tokens, checks, inFlight }) {
  const client = new AuthorizationClient(address, grpc.credentials.createInsecure());
  const check = (token) =>
    new Promise((resolve, reject) => {
      const headers = { ':method': 'GET', ':path': '/orders', authorization: `Bearer ${token}` };
      const attributes = { request: { http: { headers } }, contextExtensions: {} };
      client.check(
        { attributes },
        new grpc.Metadata(),
        { deadline: Date.now() + 10_000 },
        (error, answer) => {
          if (error) reject(error);
          else if (answer.status?.code !== 0) reject(new Error('a good token was denied'));
          else resolve();
        },
      );
    });
  const tookMs = [];
  let next = 0;
  const caller = async () => {
    while (next < checks) {
      const startMs = performance.now();
      await check(tokens[next++ % tokens.length]);
      tookMs.push(performance.now() - startMs);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, caller)).finally(() => client.close());
  const seconds = (performance.now() - startMs) / 1000;
  tookMs.sort((one, other) => one - other);
  const at = (share) => Number(percentile(tookMs, share).toFixed(1));
  return {
    checks,
    checks_in_flight: inFlight,
    checks_per_second: Math.round(checks / seconds),
    check_p50_ms: at(0.5),
    check_p99_ms: at(0.99),
    check_p999_ms: at(0.999),
    check_longest_ms: at(1),
  };
}
