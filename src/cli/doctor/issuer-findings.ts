import type { Settings } from '../../config/load-settings.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { fetchIssuerKeys } from '../../features/workloads/fetch-issuer-keys.ts';
import { IssuerKeysFault } from '../../features/workloads/fetch-issuer-keys.ts';
import { bindingViolations } from '../../features/workloads/binding-rules.ts';
import type { TrustedIssuer } from '../../features/workloads/trusted-issuer.ts';
import { listTrustedIssuerRows } from '../../features/workloads/trusted-issuer-queries.ts';
import { listBindingRows } from '../../features/workloads/binding-queries.ts';
import { readOutsideKeySet } from '../../tokens/verify/outside-key.ts';
import { KeyRefused } from '../../tokens/verify/verification-key.ts';
import { readAllPages } from '../read-all-pages.ts';
import { faultOf, type Finding } from './finding.ts';

/** Enough at once not to wait long for issuers that do not answer. */
const MAX_CHECKED = 50;

/**
 * Checks the keys of trusted issuers, as this machine sees them, and the rules of their bindings, which something other than
 * Postern may have written. A fault is only a warning: the service runs without them.
 */
export async function issuerFindings(
  database: Database,
  { issuerNetworks }: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    const budget = () => budgetOf(limitMs, Date.now());
    const issuers = await readAllPages((page) =>
      database.run(budget(), (db) => listTrustedIssuerRows(db, page)),
    );
    if (issuers.length === 0) return [];
    const enabled = issuers.filter(({ disabled }) => !disabled);
    const bindings = await readAllPages((page) =>
      database.run(budget(), (db) => listBindingRows(db, { issuerId: null, accountId: null }, page)),
    );
    const findings = await Promise.all(
      enabled.slice(0, MAX_CHECKED).map((issuer) => keyFinding(issuer, { networks: issuerNetworks })),
    );
    const broken = bindings.filter(({ issuerId, claims }) => {
      const issuer = issuers.find(({ id }) => id === issuerId) ?? null;
      return bindingViolations(issuer, claims).length > 0;
    });
    return [
      ...findings,
      ...(enabled.length > MAX_CHECKED
        ? [{ check: 'keys', verdict: 'ok', message: `${enabled.length - MAX_CHECKED} more trusted issuers were not asked for their keys` } as const] // prettier-ignore
        : []),
      ...broken.map(({ id, accountId }): Finding => ({
        check: 'keys',
        verdict: 'warning',
        message: `the binding ${id} to service account ${accountId} breaks the rules of bindings`,
        advice: `Something other than Postern wrote it, or its rules have changed: run postern service unbind ${id}`,
      })),
      ...(enabled.length < issuers.length
        ? [{ check: 'keys', verdict: 'ok', message: `${issuers.length - enabled.length} trusted issuers are disabled` } as const] // prettier-ignore
        : []),
    ];
  } catch (error) {
    return [faultOf('keys', error)];
  }
}

async function keyFinding(
  issuer: TrustedIssuer,
  fetching: Parameters<typeof fetchIssuerKeys>[1],
): Promise<Finding> {
  try {
    const isStatic = issuer.keys.from === 'static';
    const keys = isStatic
      ? readOutsideKeySet(issuer.keys.staticJwks)
      : (await fetchIssuerKeys(issuer, fetching)).keys;
    const usable = keys.filter(({ algorithms }) =>
      algorithms.some((name) => issuer.algorithms.includes(name)),
    );
    if (usable.length > 0)
      return {
        check: 'keys',
        verdict: 'ok',
        message: `the issuer ${issuer.issuer} has usable keys (${usable.length})`,
      };
    return warning(issuer, `has no key for ${issuer.algorithms.join(', ')}`);
  } catch (error) {
    if (error instanceof IssuerKeysFault)
      return warning(issuer, `gives no keys to this machine: ${error.message}`);
    if (error instanceof KeyRefused) return warning(issuer, 'has a stored key set without a usable key');
    throw error;
  }
}

function warning({ issuer }: TrustedIssuer, what: string): Finding {
  return {
    check: 'keys',
    verdict: 'warning',
    message: `the issuer ${issuer} ${what}`,
    advice:
      'Its tokens are refused until its keys can be had. Correct the source of its keys, or disable the issuer.',
  };
}
