import { hostname } from 'node:os';

import type { Settings } from '../config/load-settings.ts';
import { anyHost, hostCheck, type HostCheck } from '../http/host-check.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import type { ListenerTls } from './listener-tls.ts';

/**
 * The hosts for which a listener serves RPCs and the console: what the settings say of where it is reached, and the names of
 * this machine. The origins of POSTERN_CORS_ORIGINS are pages elsewhere, whose requests name the host of this listener.
 *
 * What else is served over HTTP is for every host. Key set, health and metrics are read by programs under whatever name
 * their network has for this process, and have no secrets for a page. The endpoints of OAuth are called so as well, and do
 * nothing without a secret, which a page would have to know.
 */
export function ownHosts(
  settings: Settings,
  address: ListenAddress,
  tls: ListenerTls,
  machine = hostname(),
): HostCheck {
  if (address.kind === 'unix') return anyHost;
  const { issuer, passkeys, httpHosts } = settings;
  const urls = [issuer, ...('origins' in passkeys ? passkeys.origins : [])];
  const names = [...httpHosts, address.host, machine, ...urls.map((url) => new URL(url).hostname)];
  return hostCheck({
    names: new Set(names.map((name) => name.toLowerCase())),
    certificateNames: () => tls.forListener(address)?.dnsNames ?? [],
  });
}
