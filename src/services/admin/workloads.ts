import { listPage } from '../../domain/paging.ts';
import { optional, requireValid, uuid } from '../../domain/validation.ts';
import type { WorkloadBinding as StoredBinding } from '../../features/workloads/binding-queries.ts';
import { createBinding, deleteBinding, listBindings } from '../../features/workloads/manage-bindings.ts';
import {
  createTrustedIssuer,
  deleteTrustedIssuer,
  listTrustedIssuers,
  updateTrustedIssuer,
} from '../../features/workloads/manage-issuers.ts';
import {
  DEFAULT_AGE_SECONDS,
  DEFAULT_ALGORITHMS,
  type IssuerKeySource,
  type TrustedIssuer as StoredIssuer,
} from '../../features/workloads/trusted-issuer.ts';
import {
  IssuerKind,
  type IssuerKeys,
  type TrustedIssuer,
  type WorkloadBinding,
} from '../../generated/postern/v1/admin.ts';
import { actorOf, type AdminDependencies, type AdminHandlers } from './admin-dependencies.ts';

const kinds: readonly (readonly [IssuerKind, StoredIssuer['kind']])[] = [
  [IssuerKind.OIDC, 'oidc'],
  [IssuerKind.KUBERNETES, 'kubernetes'],
  [IssuerKind.SPIFFE, 'spiffe'],
  [IssuerKind.ISSUER_KIND_UNSPECIFIED, 'oidc'],
];
const orNull = (id: string) => (id === '' ? null : id);

/** The RPCs about trusted issuers and bindings. */
export function adminWorkloads(
  dependencies: AdminDependencies,
): Pick<
  AdminHandlers,
  | 'createTrustedIssuer'
  | 'listTrustedIssuers'
  | 'updateTrustedIssuer'
  | 'deleteTrustedIssuer'
  | 'createWorkloadBinding'
  | 'listWorkloadBindings'
  | 'deleteWorkloadBinding'
> {
  const { cursors, issuerName } = dependencies;
  return {
    createTrustedIssuer: async ({ issuer, kind, keys, audience, algorithms, maxAge, acceptOnce }, call) => {
      const trusted = {
        issuer,
        // An unknown number is refused as one of no known kind.
        kind: kinds.find(([number]) => number === kind)?.[1] ?? ('unknown' as StoredIssuer['kind']),
        keys: keySource(keys),
        audience: audience === '' ? issuerName : audience,
        algorithms: algorithms.length === 0 ? DEFAULT_ALGORITHMS : [...new Set(algorithms)].sort(),
        maxAgeSeconds: maxAge === 0 ? DEFAULT_AGE_SECONDS : maxAge,
        acceptOnce,
      };
      const input = { issuer: trusted, ownIssuer: issuerName, actor: actorOf(call) };
      return issuerMessage(await createTrustedIssuer(dependencies, input, call));
    },
    listTrustedIssuers: async (request, call) => {
      const { rows, nextPageToken } = await listPage(cursors, ['trusted-issuers'], request, (page) =>
        listTrustedIssuers(dependencies, page, call),
      );
      return { trustedIssuers: rows.map(issuerMessage), nextPageToken };
    },
    updateTrustedIssuer: async ({ id, keys, disabled }, call) => {
      requireValid({ id: uuid }, { id });
      const change = {
        issuer: { id },
        keys: keys === undefined ? null : keySource(keys),
        disabled: disabled ?? null,
        actor: actorOf(call),
      };
      return issuerMessage((await updateTrustedIssuer(dependencies, change, call)).issuer);
    },
    deleteTrustedIssuer: async ({ id }, call) => {
      requireValid({ id: uuid }, { id });
      const deleted = { issuer: { id }, actor: actorOf(call) };
      return { revokedTokens: (await deleteTrustedIssuer(dependencies, deleted, call)).revokedTokens };
    },
    createWorkloadBinding: async ({ issuerId, clientId, claims, roles }, call) => {
      requireValid({ issuerId: optional(uuid), clientId: uuid }, { issuerId, clientId });
      const issuer = issuerId === '' ? null : { id: issuerId };
      const input = { issuer, account: { id: clientId }, claims, roles, actor: actorOf(call) };
      return bindingMessage(await createBinding(dependencies, input, call));
    },
    listWorkloadBindings: async ({ issuerId, clientId, ...request }, call) => {
      requireValid({ issuerId: optional(uuid), clientId: optional(uuid) }, { issuerId, clientId });
      const filter = { issuerId: orNull(issuerId), accountId: orNull(clientId) };
      const query = ['workload-bindings', issuerId, clientId];
      const { rows, nextPageToken } = await listPage(cursors, query, request, (page) =>
        listBindings(dependencies, filter, page, call),
      );
      return { workloadBindings: rows.map(bindingMessage), nextPageToken };
    },
    deleteWorkloadBinding: async ({ id }, call) => {
      requireValid({ id: uuid }, { id });
      return deleteBinding(dependencies, { id, actor: actorOf(call) }, call);
    },
  };
}

function keySource(keys: IssuerKeys | undefined): IssuerKeySource {
  const { source, caPem = '', bearerFile = '' } = keys ?? {};
  const from = source === undefined ? 'discovery' : source.$case === 'jwksUrl' ? 'url' : 'static';
  return {
    from,
    jwksUrl: from === 'url' ? (source?.value ?? '') : '',
    staticJwks: from === 'static' ? (source?.value ?? '') : '',
    caPem,
    bearerFile,
  };
}

function issuerMessage({ keys, kind, maxAgeSeconds, algorithms, ...issuer }: StoredIssuer): TrustedIssuer {
  const { from, jwksUrl, staticJwks, caPem, bearerFile } = keys;
  return {
    ...issuer,
    kind: kinds.find(([, name]) => name === kind)?.[0] ?? IssuerKind.ISSUER_KIND_UNSPECIFIED,
    keys: {
      source:
        from === 'discovery'
          ? undefined
          : from === 'url'
            ? { $case: 'jwksUrl', value: jwksUrl }
            : { $case: 'staticJwks', value: staticJwks },
      caPem,
      bearerFile,
    },
    algorithms: [...algorithms],
    maxAge: maxAgeSeconds,
  };
}

function bindingMessage({ issuerId, accountId, claims, roles, ...binding }: StoredBinding): WorkloadBinding {
  return {
    ...binding,
    issuerId: issuerId ?? '',
    clientId: accountId,
    claims: { ...claims },
    roles: [...(roles ?? [])],
  };
}
