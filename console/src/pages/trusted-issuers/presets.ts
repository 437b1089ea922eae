import type { KeySource } from './key-source.ts';

/** A well-known kind of issuer, and what fits it. */
export interface IssuerPreset {
  readonly name: string;
  readonly kind: 'OIDC' | 'KUBERNETES' | 'SPIFFE';
  /** Empty where everybody has another one. */
  readonly issuer: string;
  readonly exampleIssuer: string;
  readonly keysFrom: KeySource['from'];
  readonly maxAgeSeconds: number;
  readonly acceptOnce: boolean;
  /** What a person has to know of it. */
  readonly hint: string;
}

const CI = { kind: 'OIDC', keysFrom: 'discovery', acceptOnce: true } as const;

export const PRESETS: readonly [IssuerPreset, ...IssuerPreset[]] = [
  {
    ...CI,
    name: 'GitHub Actions',
    issuer: 'https://token.actions.githubusercontent.com',
    exampleIssuer: 'https://token.actions.githubusercontent.com',
    maxAgeSeconds: 600,
    hint: 'The job needs “permissions: id-token: write”. A GitHub Enterprise server has an issuer of its own.',
  },
  {
    ...CI,
    name: 'GitLab CI',
    issuer: 'https://gitlab.com',
    exampleIssuer: 'https://gitlab.com',
    maxAgeSeconds: 3_600,
    hint: 'The job asks for the token by id_tokens. Of a server of your own the issuer is its URL.',
  },
  {
    name: 'Kubernetes cluster',
    kind: 'KUBERNETES',
    issuer: '',
    exampleIssuer: 'https://kubernetes.default.svc.cluster.local',
    keysFrom: 'static',
    maxAgeSeconds: 3_600,
    acceptOnce: false,
    hint: '“kubectl get --raw /.well-known/openid-configuration” shows the issuer, “kubectl get --raw /openid/v1/jwks” prints the keys. EKS, GKE and AKS publish discovery.',
  },
  {
    name: 'SPIFFE trust domain',
    kind: 'SPIFFE',
    issuer: '',
    exampleIssuer: 'spiffe://example.org',
    keysFrom: 'url',
    maxAgeSeconds: 3_600,
    acceptOnce: false,
    hint: 'The keys are those of its bundle endpoint, or what “spire-server bundle show -format spiffe” prints.',
  },
  {
    name: 'Another OpenID Connect issuer',
    kind: 'OIDC',
    issuer: '',
    exampleIssuer: 'https://login.example.com',
    keysFrom: 'discovery',
    maxAgeSeconds: 3_600,
    acceptOnce: false,
    hint: 'The audience of an ID token is usually the client that asked for it: enter that below.',
  },
];

/** What the service accepts, and which of it is chosen at first. */
export const ALGORITHMS = ['RS256', 'ES256', 'PS256', 'ES384', 'EdDSA'] as const;
export const DEFAULT_ALGORITHMS: readonly string[] = ['RS256', 'ES256'];

export const KIND_NAMES: Readonly<Record<string, string>> = {
  OIDC: 'OpenID Connect',
  KUBERNETES: 'Kubernetes',
  SPIFFE: 'SPIFFE',
};
