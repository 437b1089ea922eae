import type { Settings } from '../config/load-settings.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import type { Logger } from '../observability/log.ts';
import { ServerTls } from '../net/tls/server-tls.ts';

/** The TLS configuration of the listeners. */
export interface ListenerTls {
  /** Null without a certificate in the settings. */
  readonly server: ServerTls | null;
  /** Null for a listener in plaintext. A unix socket always is: it is local, and file permissions protect it. */
  forListener(address: ListenAddress): ServerTls | null;
  close(): void;
}

/** Opens the certificate named in the settings, and logs when it is reloaded, expires soon or cannot be used. */
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
    forListener: (address) => (address.kind === 'unix' ? null : server),
    close: () => server?.stop(),
  };
}
