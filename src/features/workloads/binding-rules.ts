import type { FieldViolation } from '../../domain/rejection.ts';
import { text } from '../../domain/validation.ts';
import { readClientName } from '../../net/certificate-identity.ts';
import { trustDomainOf } from '../../tokens/verify/outside-token.ts';
import type { IssuerKind } from './trusted-issuer.ts';

/** The claims of a binding: from the path of a claim to the value that it must have. */
export type BoundClaims = Readonly<Record<string, string>>;

const MAX_CLAIMS = 16;
const claimValue = text({ minBytes: 1, maxBytes: 1_024 });
const claimPath = text({ minBytes: 1, maxBytes: 256 });
/** The immutable id of a Kubernetes service account: its name can be given to another one after its deletion. */
const KUBERNETES_UID = 'kubernetes.io/serviceaccount/uid';

/** A CI system whose names can be registered again by somebody else, and the ids that cannot. */
interface CiSystem {
  readonly name: string;
  /** Whether its hosted service has this issuer. */
  readonly isIssuer: (issuer: URL) => boolean;
  /** Claims and subjects that only its tokens have, so that an installation of one's own is known by them. */
  readonly marks: readonly string[];
  readonly subjectPrefix: string;
  readonly ids: readonly [string, string];
}

const ciSystems: readonly CiSystem[] = [
  {
    name: 'GitHub',
    isIssuer: ({ hostname, pathname }) =>
      hostname === 'token.actions.githubusercontent.com' ||
      /^token\.actions\.[a-z0-9-]+\.ghe\.com$/.test(hostname) ||
      /\/_services\/token\/?$/.test(pathname),
    marks: ['repository', 'repository_owner', 'job_workflow_ref', 'workflow_ref'],
    subjectPrefix: 'repo:',
    ids: ['repository_id', 'repository_owner_id'],
  },
  {
    name: 'GitLab',
    isIssuer: ({ hostname }) => hostname === 'gitlab.com',
    marks: ['project_path', 'namespace_path', 'ci_config_ref_uri'],
    subjectPrefix: 'project_path:',
    ids: ['project_id', 'namespace_id'],
  },
];

/**
 * What is wrong with the claims of a binding. Each value is compared exactly; there are no wildcards and no patterns.
 *
 * A binding must name `sub` or an immutable id of the issuer, and for GitHub and GitLab an immutable id in any case: a
 * repository that is renamed or deleted leaves its name to whoever registers it next, and `sub` contains only names.
 *
 * @param issuer null for a client certificate
 */
export function bindingViolations(
  issuer: { readonly issuer: string; readonly kind: IssuerKind } | null,
  claims: BoundClaims,
): readonly FieldViolation[] {
  const faults = claimViolations(claims);
  if (faults.length > 0) return faults;
  if (issuer === null) return certificateViolations(claims);
  const { kind } = issuer;
  const names = Object.keys(claims);
  if (kind === 'spiffe') return trustDomainViolations(issuer.issuer, claims);
  // Whatever kind the issuer was declared as: only the claims of its tokens say whether it is a CI system.
  const ci = ciSystemOf(issuer.issuer, claims);
  if (ci !== undefined) {
    if (ci.ids.some((id) => names.includes(id))) return [];
    const [first, second] = ci.ids;
    return fault(
      `must contain ${first} or ${second}: ${ci.name} gives the name of a deleted or renamed project to whoever registers it next, and the numbers to nobody`,
    );
  }
  if (names.includes('sub') || (kind === 'kubernetes' && names.includes(KUBERNETES_UID))) return [];
  return fault(
    kind === 'kubernetes'
      ? `must contain sub or ${KUBERNETES_UID}`
      : 'must contain sub, which says who it is',
  );
}

function claimViolations(claims: BoundClaims): readonly FieldViolation[] {
  const entries = Object.entries(claims);
  if (entries.length === 0) return fault('must not be empty: every token of the issuer would match');
  if (entries.length > MAX_CLAIMS) return fault(`must have at most ${MAX_CLAIMS} entries`);
  return entries.flatMap(([path, value]) => [
    ...claimPath(path, 'claims'),
    ...(path === '' || segmentsOf(path) !== null
      ? []
      : fault('has a path with an empty part, or a ~ that is not ~0 or ~1')),
    ...claimValue(value, 'claims'),
  ]);
}

/** A subject of another trust domain, or a malformed one, is in no token that is accepted. */
function trustDomainViolations(trustDomain: string, { sub }: BoundClaims): readonly FieldViolation[] {
  if (sub === undefined) return fault('must contain sub, which says who it is');
  return trustDomainOf(sub) === trustDomain
    ? []
    : fault(`must have a SPIFFE ID of the trust domain as sub: ${trustDomain}/ and a path`);
}

function certificateViolations(claims: BoundClaims): readonly FieldViolation[] {
  const [entry, ...others] = Object.entries(claims);
  const [kind, name] = entry ?? ['', ''];
  if (others.length > 0 || (kind !== 'uri' && kind !== 'dns'))
    return fault('must be uri or dns alone for a client certificate');
  if (readClientName(name) !== name || name.includes(':') !== (kind === 'uri'))
    return fault(`must be a ${kind === 'uri' ? 'URI' : 'DNS name in lower case'} without wildcards`);
  return isSpiffeUri(name) && trustDomainOf(name) === null
    ? fault('must be spiffe:// with a trust domain in lower case and a path without empty or dot segments')
    : [];
}

/** Whether a URI has the scheme of SPIFFE, which like every scheme is written in either case. */
export function isSpiffeUri(uri: string): boolean {
  return /^spiffe:/i.test(uri);
}

function ciSystemOf(issuer: string, claims: BoundClaims): CiSystem | undefined {
  const url = new URL(issuer);
  const { sub = '' } = claims;
  return ciSystems.find(
    ({ isIssuer, marks, subjectPrefix, ids }) =>
      isIssuer(url) ||
      sub.startsWith(subjectPrefix) ||
      [...marks, ...ids].some((name) => Object.hasOwn(claims, name)),
  );
}

/** Whether claims have every value of a binding. */
export function claimsMatch(bound: BoundClaims, claims: object): boolean {
  return mismatches(bound, claims).length === 0;
}

/** The paths of a binding whose value the claims do not have. */
export function mismatches(bound: BoundClaims, claims: object): readonly string[] {
  return Object.entries(bound).flatMap(([path, value]) =>
    hasValue(claimAt(path, claims), value) ? [] : [path],
  );
}

/** A list has a value when it is one of its members. Numbers and booleans are compared by their JSON text. */
function hasValue(claim: unknown, value: string): boolean {
  if (Array.isArray(claim)) return claim.some((member) => isValue(member, value));
  return isValue(claim, value);
}

function isValue(claim: unknown, value: string): boolean {
  if (typeof claim === 'string') return claim === value;
  return (typeof claim === 'boolean' || Number.isSafeInteger(claim)) && JSON.stringify(claim) === value;
}

function claimAt(path: string, claims: object): unknown {
  let at: unknown = claims;
  for (const segment of segmentsOf(path) ?? []) {
    if (typeof at !== 'object' || at === null || Array.isArray(at) || !Object.hasOwn(at, segment))
      return undefined;
    at = (at as Readonly<Record<string, unknown>>)[segment];
  }
  return at;
}

/**
 * The parts of a path: a JSON Pointer (RFC 6901) without its first slash. A slash within the name of a claim is `~1`, a tilde
 * `~0`; dots have no meaning. Null for a path that is malformed.
 */
function segmentsOf(path: string): readonly string[] | null {
  const segments = path.split('/');
  if (segments.some((segment) => segment === '' || /~(?![01])/.test(segment))) return null;
  return segments.map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function fault(description: string): readonly FieldViolation[] {
  return [{ field: 'claims', description }];
}
