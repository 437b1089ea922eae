import type { Settings } from '../config/load-settings.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { consolePages } from '../http/console/console-files.ts';
import { sessionEndpoints } from '../http/console/session-endpoint.ts';
import type { HostCheck } from '../http/host-check.ts';
import type { Endpoint } from '../http/http-call.ts';
import type { Pages } from '../http/published-documents.ts';
import { loadCodec } from '../http/rpc/rpc-endpoints.ts';
import type { AddService, ServiceHandlers } from '../rpc/handlers.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';

/** The console of a listener: its files, and the routes of its session. */
export interface Console {
  readonly pages: Pages;
  readonly add: AddService;
  readonly find: (path: string) => Endpoint | undefined;
}

/** Wires the console to the handlers of AuthService; null where it is off. */
export function composeConsole(parts: {
  readonly settings: Settings;
  readonly guard: MethodGuard;
  readonly hosts: HostCheck;
}): Console | null {
  const { settings, guard, hosts } = parts;
  if (!settings.console) return null;
  const origins = new Set([new URL(settings.issuer).origin]);
  let endpoints: ReadonlyMap<string, Endpoint> = new Map();
  return {
    pages: consolePages(hosts),
    add(service, handlers) {
      if ((service as object) !== AuthServiceService) return;
      const authHandlers = handlers as unknown as ServiceHandlers<typeof AuthServiceService>;
      endpoints = sessionEndpoints(authHandlers, guard, { origins, hosts, loadCodec });
    },
    find: (path) => endpoints.get(path),
  };
}
