import type { Settings } from '../config/load-settings.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import type { Logger } from '../observability/log.ts';
import { ServerTls } from '../net/tls/server-tls.ts';

/** TLS as the settings want it. */
export interface ListenerTls {
  readonly server: ServerTls | null;
  /** Null where an address is served in plaintext: a unix socket never leaves the machine, and its file has permissions. */
  of(address: ListenAddress): ServerTls | null;
  close(): void;
}

/** Opens the certificate that the settings name and tells the log what becomes of it. */
export async function openListenerTls(settings: Settings, log: Logger): Promise<ListenerTls> {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: ca } = settings;
  const server =
    cert === null || key === null
      ? null
      : await ServerTls.open({ cert, key, ca }, (event) => {
          if (event.kind === 'unusable') {
            log.warn({ detail: event.faults.join('; ') }, 'certificate-unusable');
            return;
          }
          const fields = { expires: new Date(event.expiresAtMs).toISOString() };
          if (event.kind === 'reloaded') log.info(fields, 'certificate-reloaded');
          else log.warn(fields, 'certificate-expiring');
        });
  return {
    server,
    of: (address) => (address.kind === 'unix' ? null : server),
    close: () => server?.stop(),
  };
}
