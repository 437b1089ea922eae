// Sends checks as Envoy does, with a fixed number in flight, and measures their rate and latency. Every token is new once and
// then repeated. The latency includes the time of the caller (this process), so that it is an upper bound.
import * as grpc from '@grpc/grpc-js';
import { AuthorizationClient } from '../dist/generated/envoy/service/auth/v3/external_auth.js';
import { percentile } from './bench-service.mjs';

/** Rejects when a check is denied: all tokens are valid. */
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
        (error, response) => {
          if (error) reject(error);
          else if (response.status?.code !== 0) reject(new Error('a valid token was denied'));
          else resolve();
        },
      );
    });
  const latenciesMs = [];
  let next = 0;
  const caller = async () => {
    while (next < checks) {
      const startMs = performance.now();
      await check(tokens[next++ % tokens.length]);
      latenciesMs.push(performance.now() - startMs);
    }
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: inFlight }, caller)).finally(() => client.close());
  const seconds = (performance.now() - startMs) / 1000;
  latenciesMs.sort((one, other) => one - other);
  const at = (share) => Number(percentile(latenciesMs, share).toFixed(1));
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
