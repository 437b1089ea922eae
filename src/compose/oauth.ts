import type { Settings } from '../config/load-settings.ts';
import { SecretDigests } from '../crypto/keyed-digests.ts';
import type { Database } from '../database/database.ts';
import type { RootKey } from '../features/root-key/root-key.ts';
import { authenticateService } from '../features/service-accounts/authenticate-service.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import type { Endpoint } from '../http/http-call.ts';
import { authCalls } from '../http/oauth/auth-calls.ts';
import { oauthEndpoints } from '../http/oauth/oauth-endpoints.ts';
import type { AddService, ServiceHandlers } from '../rpc/handlers.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';
import type { Tokens } from './tokens.ts';

/** Wires the OAuth endpoints to the handlers of AuthService. */
export function composeOAuth(parts: {
  readonly settings: Settings;
  readonly database: Database;
  readonly rootKey: RootKey;
  readonly tokens: Tokens;
  readonly guard: MethodGuard;
}): { readonly add: AddService; readonly find: (path: string) => Endpoint | undefined } {
  const { settings, database, rootKey, tokens, guard } = parts;
  const proof = {
    database,
    digests: new SecretDigests((purpose) => rootKey.derive(purpose)),
    issuerName: settings.issuer,
    nowMs: tokens.nowMs,
  };
  let endpoints: ReadonlyMap<string, Endpoint> = new Map();
  return {
    add(service, handlers) {
      if ((service as object) !== AuthServiceService) return;
      const calls = authCalls(
        handlers as unknown as ServiceHandlers<typeof AuthServiceService>,
        guard,
        (credentials, call) => authenticateService(proof, credentials, call),
      );
      endpoints = oauthEndpoints(calls, settings.issuer, settings);
    },
    find: (path) => endpoints.get(path),
  };
}
