import type { DatabaseMonitor } from '../features/maintenance/database-monitor.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';

/** Why the service should not receive calls, as far as its database is concerned; empty when it is usable. */
export function databaseFaults({ state, fault }: DatabaseMonitor): string[] {
  if (fault?.kind === 'tls') return [`the database cannot be used: ${fault.message}`];
  if (fault?.kind === 'tls-unsupported')
    return ['the database server does not support TLS, which sslmode demands'];
  if (fault?.kind === 'access-denied') return ['the database refuses the connection; see the log'];
  if (fault?.kind === 'set-up') return ["the database is not set up for the service's role; see the log"];
  if (state === 'unreachable') return ['the database does not answer'];
  if (state === 'unusable')
    return ['the database has signing keys or a schema that cannot be used; see the log'];
  return [];
}

/** The same for keys and revocations. */
export function trustFaults({ loaded, ageMs }: TrustBundle, maxStalenessMs: number): string[] {
  if (!loaded) return ['signing keys and revocations are not loaded yet'];
  return ageMs > maxStalenessMs ? ['the known revocations are too old'] : [];
}
