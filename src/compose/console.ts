import type { Settings } from '../config/load-settings.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { consoleDocuments } from '../http/console/console-files.ts';
import { sessionEndpoints } from '../http/console/session-endpoint.ts';
import type { Endpoint } from '../http/http-call.ts';
import type { Document } from '../http/published-documents.ts';
import { loadCodec } from '../http/rpc/rpc-endpoints.ts';
import type { AddService, ServiceHandlers } from '../rpc/handlers.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';

/** The console of a listener: its files, and the routes of its session. */
export interface Console {
  readonly documents: ReadonlyMap<string, Document>;
  readonly add: AddService;
  readonly find: (path: string) => Endpoint | undefined;
}

/** Wires the console to the handlers of AuthService; null where it is off. */
export function composeConsole(parts: {
  readonly settings: Settings;
  readonly guard: MethodGuard;
}): Console | null {
  const { settings, guard } = parts;
  if (!settings.console) return null;
  const { passkeys, issuer } = settings;
  const origins = new Set([new URL(issuer).origin, ...('origins' in passkeys ? passkeys.origins : [])]);
  let endpoints: ReadonlyMap<string, Endpoint> = new Map();
  return {
    documents: consoleDocuments(),
    add(service, handlers) {
      if ((service as object) !== AuthServiceService) return;
      const authHandlers = handlers as unknown as ServiceHandlers<typeof AuthServiceService>;
      endpoints = sessionEndpoints(authHandlers, guard, { origins, loadCodec });
    },
    find: (path) => endpoints.get(path),
  };
}
