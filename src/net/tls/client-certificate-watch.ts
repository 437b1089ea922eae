import { readFileSync } from 'node:fs';

import { decodeText } from '../../domain/decode-text.ts';
import { certificateFaults } from './certificate-files.ts';
import { chainExpiryMs } from './chain-expiry.ts';
import { ExpiryWarning } from './expiry-warning.ts';

const CHECK_INTERVAL_MS = 600_000;

/**
 * Watches the expiry of a client certificate that this process presents to another service. Connections read the file
 * themselves and report an unusable one, so it is ignored here.
 *
 * @param onExpiring called at once and then once a day while less than two weeks are left
 * @returns a function that stops the watch
 */
export function watchClientCertificate(path: string, onExpiring: (expiresAtMs: number) => void): () => void {
  const expiryWarning = new ExpiryWarning(onExpiring);
  const check = () => {
    const expiresAtMs = expiryOf(path);
    if (expiresAtMs !== null) expiryWarning.check(expiresAtMs);
  };
  check();
  const timer = setInterval(check, CHECK_INTERVAL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function expiryOf(path: string): number | null {
  let pem: string;
  try {
    pem = decodeText(readFileSync(path));
  } catch {
    return null;
  }
  const names = { cert: path, key: path, ca: path };
  return certificateFaults({ cert: null, key: null, ca: pem }, names).length > 0 ? null : chainExpiryMs(pem);
}
