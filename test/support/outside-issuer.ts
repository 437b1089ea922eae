import { generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import { forge, json, type TokenMode } from '../security/forge.ts';
import { createAuthority } from './certificates.ts';

/** A key of an issuer, made without Postern's code. */
export interface IssuerKey {
  readonly mode: 'ES256' | 'RS256';
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly jwk: Record<string, unknown>;
}

export function makeIssuerKey(kid: string, mode: IssuerKey['mode'] = 'RS256'): IssuerKey {
  const { publicKey, privateKey } =
    mode === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    mode,
    kid,
    privateKey,
    jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg: mode, use: 'sig' },
  };
}

/** A token; undefined claims and header members are left out. */
export function mint(
  key: Pick<IssuerKey, 'kid' | 'privateKey'> & { readonly mode: TokenMode },
  claims: object,
  header: object = { typ: 'JWT' },
): string {
  return forge(key.mode, json({ alg: key.mode, kid: key.kid, ...header }), json(claims), key.privateKey);
}

/** Claims that are valid now, in the form of each kind of issuer. */
export const shapes = {
  github: (iss: string, aud: string) => ({
    ...times(300),
    iss,
    aud,
    jti: randomUUID(),
    sub: 'repo:octo-org/octo-repo:ref:refs/heads/main',
    repository: 'octo-org/octo-repo',
    repository_id: '74',
    repository_owner: 'octo-org',
    repository_owner_id: '65',
    ref: 'refs/heads/main',
    event_name: 'push',
  }),
  gitlab: (iss: string, aud: string) => ({
    ...times(300),
    iss,
    aud,
    jti: randomUUID(),
    sub: 'project_path:my-group/my-project:ref_type:branch:ref:main',
    project_path: 'my-group/my-project',
    project_id: '22',
    namespace_id: '72',
    ref_protected: 'true',
  }),
  kubernetes: (iss: string, aud: string) => ({
    ...times(3_600),
    iss,
    aud: [aud],
    jti: randomUUID(),
    sub: 'system:serviceaccount:shop:billing',
    'kubernetes.io': {
      namespace: 'shop',
      serviceaccount: { name: 'billing', uid: '8c9ae9e2-0f1d-4d2e-9df7-9a2c3d0e5b11' },
    },
  }),
  spiffe: (aud: string) => ({ ...times(300), aud: [aud], sub: 'spiffe://example.org/shop/billing' }),
};

function times(lifetimeSeconds: number) {
  const now = Math.floor(Date.now() / 1000);
  return { iat: now, nbf: now, exp: now + lifetimeSeconds };
}

/** An https server on loopback that answers as the test says, and counts what reached it. */
export interface OutsideServer {
  readonly url: string;
  readonly port: number;
  readonly caPem: string;
  /** The paths of the requests. */
  readonly requests: string[];
  /** The number of TCP connections. */
  readonly connections: () => number;
  stop(): Promise<void>;
}

export async function startOutsideServer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  host = '127.0.0.1',
): Promise<OutsideServer> {
  const authority = createAuthority('outside');
  const server: Server = createServer({ ...authority.issue({ dns: ['localhost', 'issuer.example'] }) });
  const requests: string[] = [];
  const state = { connections: 0 };
  server.on('connection', () => (state.connections += 1));
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://${host}:${port}`,
    port,
    caPem: authority.cert,
    requests,
    connections: () => state.connections,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A server with a discovery document and the key set of `keys`, which the test may change. */
export function startOutsideIssuer(keys: IssuerKey[]): Promise<OutsideServer> {
  return startOutsideServer((request, response) => {
    const origin = `https://${request.headers.host ?? ''}`;
    const body =
      request.url === '/.well-known/openid-configuration'
        ? { issuer: origin, jwks_uri: `${origin}/keys` }
        : { keys: keys.map(({ jwk }) => jwk) };
    response.setHeader('content-type', 'application/json');
    response.end(json(body));
  });
}
