import { readFileSync } from 'node:fs';

import type { Settings } from '../../config/load-settings.ts';
import { OpenToOthers, requireRootsOwn } from '../../domain/open-to-others.ts';
import { certificateFaults, expiryMs } from '../../net/tls/certificate-files.ts';
import { EXPIRY_WARNING_MS } from '../../net/tls/expiry-warning.ts';
import type { Finding } from './finding.ts';

const DAY_MS = 86_400_000;

/** How long each certificate that the settings name is good; nothing without TLS. */
export function certificateFindings(
  settings: Pick<Settings, 'tlsCert' | 'tlsClientCa' | 'upstreamCa' | 'upstreamCert'>,
): Finding[] {
  const { tlsCert, tlsClientCa, upstreamCa, upstreamCert } = settings;
  return Object.entries({
    POSTERN_TLS_CERT: tlsCert,
    POSTERN_TLS_CLIENT_CA: tlsClientCa,
    POSTERN_UPSTREAM_CA: upstreamCa === 'system' ? null : upstreamCa,
    POSTERN_UPSTREAM_CERT: upstreamCert,
  }).flatMap(([name, path]) => (path === null ? [] : [expiry(name, path, Date.now())]));
}

function expiry(name: string, path: string, nowMs: number): Finding {
  let pem: string;
  try {
    requireRootsOwn(path, 'root');
    pem = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof OpenToOthers) {
      const says = `${name} can be changed by others: ${error.message}`;
      return { about: 'certificates', verdict: 'fault', says };
    }
    const says = `${name} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'not text'})`;
    return { about: 'certificates', verdict: 'fault', says, advice: 'Check the path and who may read it.' };
  }
  const [fault] = certificateFaults({ cert: null, key: null, ca: pem }, { cert: name, key: name, ca: name });
  if (fault !== undefined) return { about: 'certificates', verdict: 'fault', says: fault };
  const endsMs = expiryMs(pem);
  const day = new Date(endsMs).toISOString().slice(0, 10);
  const days = Math.floor((endsMs - nowMs) / DAY_MS);
  if (endsMs <= nowMs) {
    return {
      about: 'certificates',
      verdict: 'fault',
      says: `${name} expired on ${day}`,
      advice: 'Put a new one in its place; serve takes it up within ten seconds.',
    };
  }
  const says = `${name} is good until ${day}, for ${days} days`;
  if (endsMs - nowMs > EXPIRY_WARNING_MS) return { about: 'certificates', verdict: 'ok', says };
  return { about: 'certificates', verdict: 'warning', says, advice: 'Renew it soon.' };
}
