import { readFileSync } from 'node:fs';

import type { Settings } from '../../config/load-settings.ts';
import { decodeText } from '../../domain/decode-text.ts';
import { UntrustedPath, requireTrustedPath } from '../../domain/trusted-path.ts';
import { certificateFaults } from '../../net/tls/certificate-files.ts';
import { certificateExpiriesMs, chainExpiryMs, rootsWith } from '../../net/tls/chain-expiry.ts';
import { EXPIRY_WARNING_MS } from '../../net/tls/expiry-warning.ts';
import type { Finding } from './finding.ts';

const DAY_MS = 86_400_000;

/** Checks whether each configured certificate can be read, and when it expires. Empty without TLS. */
export function certificateFindings(
  settings: Pick<Settings, 'tlsCert' | 'tlsClientCa' | 'upstreamCa' | 'upstreamCert'>,
): Finding[] {
  const { tlsCert, tlsClientCa, upstreamCa, upstreamCert } = settings;
  return Object.entries({
    POSTERN_TLS_CERT: tlsCert,
    POSTERN_TLS_CLIENT_CA: tlsClientCa,
    POSTERN_UPSTREAM_CA: upstreamCa === 'system' ? null : upstreamCa,
    POSTERN_UPSTREAM_CERT: upstreamCert,
  }).flatMap(([setting, path]) => (path === null ? [] : [certificateFinding(setting, path, tlsClientCa)]));
}

function certificateFinding(setting: string, path: string, tlsClientCa: string | null): Finding {
  const nowMs = Date.now();
  let pem: string;
  try {
    requireTrustedPath(path, 'root');
    pem = decodeText(readFileSync(path));
  } catch (error) {
    return unreadable(setting, error);
  }
  const names = { cert: setting, key: setting, ca: setting };
  const [fault] = certificateFaults({ cert: null, key: null, ca: pem }, names);
  if (fault !== undefined) return { check: 'certificates', verdict: 'fault', message: fault };
  return setting.endsWith('_CA')
    ? authoritiesFinding(setting, certificateExpiriesMs(pem), nowMs)
    : expiryFinding(setting, chainExpiryMs(pem, nowMs, rootsWith(readableText(tlsClientCa))), nowMs);
}

/** Null for a file that is not usable: it has a finding of its own. */
function readableText(path: string | null): string | null {
  if (path === null) return null;
  try {
    const pem = readFileSync(path, 'utf8');
    const names = { cert: '', key: '', ca: '' };
    return certificateFaults({ cert: null, key: null, ca: pem }, names).length > 0 ? null : pem;
  } catch {
    return null;
  }
}

function unreadable(setting: string, error: unknown): Finding {
  if (error instanceof UntrustedPath) {
    const message = `${setting} can be changed by other users: ${error.message}`;
    return { check: 'certificates', verdict: 'fault', message };
  }
  return {
    check: 'certificates',
    verdict: 'fault',
    message: `${setting} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'not text'})`,
    advice: 'Check the path and its permissions.',
  };
}

function expiryFinding(setting: string, expiresMs: number, nowMs: number): Finding {
  const day = new Date(expiresMs).toISOString().slice(0, 10);
  if (expiresMs <= nowMs) {
    return {
      check: 'certificates',
      verdict: 'fault',
      message: `${setting} expired on ${day}`,
      advice: 'Replace the file; serve loads the new certificate within ten seconds.',
    };
  }
  const message = `${setting} is valid until ${day}, for ${Math.floor((expiresMs - nowMs) / DAY_MS)} days`;
  if (expiresMs - nowMs > EXPIRY_WARNING_MS) return { check: 'certificates', verdict: 'ok', message };
  return { check: 'certificates', verdict: 'warning', message, advice: 'Renew it soon.' };
}

/** A file of CA certificates works as long as one of them is valid; an old one often stays for a while beside its successor. */
function authoritiesFinding(setting: string, expiriesMs: readonly number[], nowMs: number): Finding {
  const expired = expiriesMs.filter((expiresMs) => expiresMs <= nowMs).length;
  const valid = expiriesMs.filter((expiresMs) => expiresMs > nowMs);
  if (valid.length === 0) return expiryFinding(setting, Math.max(...expiriesMs), nowMs);
  const finding = expiryFinding(setting, Math.min(...valid), nowMs);
  if (expired === 0 || finding.verdict === 'warning') return finding;
  const message = `${finding.message}; of its ${expiriesMs.length} CA certificates, ${expired} expired earlier`;
  return { ...finding, verdict: 'warning', message, advice: 'Remove the expired ones from the file.' };
}
