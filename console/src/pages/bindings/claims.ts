/** A line of the claims editor. */
export interface ClaimLine {
  path: string;
  value: string;
}

/** Which identity is bound: that of a token of an issuer, or that of a client certificate. */
export interface BoundIssuer {
  /** Empty for a client certificate. */
  readonly issuer: string;
  readonly kind: string;
}

/** The lines to begin with: the paths that identify a workload of the issuer, without their values. */
export function firstClaims({ issuer }: Pick<BoundIssuer, 'issuer'>): ClaimLine[] {
  const lines = (...paths: string[]) => paths.map((path) => ({ path, value: '' }));
  if (issuer === '') return lines('uri');
  if (/^https:\/\/token\.actions\./.test(issuer)) return lines('repository_id', 'ref');
  if (/^https:\/\/gitlab\./.test(issuer)) return lines('project_id', 'ref');
  return lines('sub');
}

/** An example of the value of a claim. */
export function exampleOf(path: string, { issuer, kind }: BoundIssuer): string {
  switch (path) {
    case 'sub':
      if (kind === 'KUBERNETES') return 'system:serviceaccount:shop:billing';
      return kind === 'SPIFFE' ? `${issuer}/shop/billing` : 'what the issuer calls the workload';
    case 'repository_id':
    case 'repository_owner_id':
    case 'project_id':
    case 'namespace_id':
      return '1296269';
    case 'ref':
      return issuer.includes('gitlab') ? 'main' : 'refs/heads/main';
    case 'uri':
      return 'spiffe://example.org/shop/billing';
    case 'dns':
      return 'billing.example.com';
    default:
      return '';
  }
}

/** What a person has to know about the claims of the issuer. */
export function claimsHint({ issuer, kind }: BoundIssuer): string {
  if (issuer === '') return 'One name of the certificate: uri, or dns.';
  if (/^https:\/\/token\.actions\./.test(issuer))
    return 'GitHub gives the name of a deleted repository to whoever registers it next, so repository_id or repository_owner_id must be among them. “gh api repos/OWNER/REPO --jq .id” prints it.';
  if (/^https:\/\/gitlab\./.test(issuer))
    return 'GitLab gives the name of a deleted project to whoever registers it next, so project_id or namespace_id must be among them.';
  if (kind === 'KUBERNETES')
    return 'sub is system:serviceaccount:NAMESPACE:NAME. An account that is deleted and made again has the same; kubernetes.io/serviceaccount/uid binds this very one.';
  if (kind === 'SPIFFE') return 'sub is the SPIFFE ID of the workload.';
  return 'sub must be among them. “postern token inspect --file TOKEN” shows the claims of a token.';
}

/** The claims of the lines that have something, or what is wrong with them. */
export function claimsOf(
  lines: readonly ClaimLine[],
): { readonly claims: Record<string, string> } | { readonly fault: string } {
  const claims = new Map<string, string>();
  for (const line of lines) {
    const [path, value] = [line.path.trim(), line.value];
    if (path === '' && value === '') continue;
    if (path === '') return { fault: `The value ${value} has no claim.` };
    if (value === '') return { fault: `The claim ${path} has no value.` };
    if (claims.has(path)) return { fault: `The claim ${path} is there twice; all claims must match.` };
    claims.set(path, value);
  }
  return claims.size === 0
    ? { fault: 'At least one claim is needed.' }
    : { claims: Object.fromEntries(claims) };
}
