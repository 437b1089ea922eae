import { isIP } from 'node:net';

import type { PasskeySettings } from '../domain/relying-party.ts';
import { InvalidSetting, origins, type SettingParser } from './setting-parsers.ts';
import { optional } from './setting-row.ts';

const NO_IP_ADDRESS = 'browsers make no passkeys for an IP address';

const passkeyOrigins: SettingParser<readonly string[]> = (text) =>
  origins(text).map((origin) => {
    const fault = originFault(origin);
    if (fault !== null) throw new InvalidSetting(fault);
    return origin;
  });

const passkeyRpId: SettingParser<string> = (text) => {
  if (isIpHost(text)) throw new InvalidSetting(`must be a domain: ${NO_IP_ADDRESS}`);
  if (text.length > 253 || !/^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(text))
    throw new InvalidSetting('must be a domain in lower case, such as example.com');
  return text;
};

/** Settings of passkeys. */
export const passkeySettingRows = {
  passkeyOrigins: {
    ...optional(
      'POSTERN_PASSKEY_ORIGINS',
      'The origins of the web pages on which [passkeys](second-factors.md) are made and used (`https://login.example.com`), ' +
        'separated by commas. An origin has a host name and https, or is on `http://localhost`: browsers make no passkeys ' +
        'for an IP address.',
      passkeyOrigins,
    ),
    displayedDefault:
      'the origin of `POSTERN_ISSUER`, with `localhost` in place of a loopback address; none if that is neither https nor `localhost`',
  },
  passkeyRpId: {
    ...optional(
      'POSTERN_PASSKEY_RP_ID',
      'The domain that passkeys belong to: the host of every passkey origin, or a domain above it. Passkeys made for another ' +
        'one cannot be used, so do not change it later.',
      passkeyRpId,
    ),
    displayedDefault: 'the host of the first passkey origin',
  },
};

/** The settings that say where passkeys are used; null for those that are absent. */
export interface PasskeyValues {
  readonly issuer: string;
  readonly passkeyOrigins: readonly string[] | null;
  readonly passkeyRpId: string | null;
}

/** Where passkeys are used, or why nowhere and what to do. */
export function passkeySettingsOf(values: PasskeyValues): PasskeySettings {
  const used = values.passkeyOrigins ?? issuerOrigins(values.issuer);
  const [first] = used;
  if (first === undefined) return { disabledBecause: disabledBecause(values.issuer) };
  return { rpId: values.passkeyRpId ?? new URL(first).hostname, origins: used };
}

/** Whether browsers would refuse the relying party at an origin (WebAuthn Level 3, section 5.1.3 step 8). */
export function isRpIdImpossible(values: PasskeyValues): boolean {
  const settings = passkeySettingsOf(values);
  if ('disabledBecause' in settings) return false;
  const { rpId, origins: used } = settings;
  return !used.every((origin) => {
    const { hostname } = new URL(origin);
    // A domain of one label above the host is a public suffix, such as `com`.
    return hostname === rpId || (rpId.includes('.') && hostname.endsWith(`.${rpId}`));
  });
}

function issuerOrigins(issuer: string): string[] {
  const { protocol, hostname, port, origin } = new URL(issuer);
  if (originFault(origin) === null) return [origin];
  const isLoopback = hostname === '[::1]' || hostname.startsWith('127.');
  return protocol === 'http:' && isLoopback && isIpHost(hostname)
    ? [`http://localhost${port === '' ? '' : `:${port}`}`]
    : [];
}

function disabledBecause(issuer: string): string {
  const why = isIpHost(new URL(issuer).hostname)
    ? `POSTERN_ISSUER has an IP address, and ${NO_IP_ADDRESS}`
    : 'POSTERN_ISSUER is not https, and browsers make passkeys only on https and on http://localhost';
  return `passkeys are off: ${why}; set POSTERN_PASSKEY_ORIGINS to the origins of your web pages, such as https://login.example.com`;
}

/** Why browsers make no passkeys on the pages of an origin, or null. */
function originFault(origin: string): string | null {
  const { protocol, hostname } = new URL(origin);
  if (isIpHost(hostname))
    return `has an IP address, and ${NO_IP_ADDRESS}; use a host name, or for trials http://localhost with the port`;
  const isLocal = hostname === 'localhost' || hostname.endsWith('.localhost');
  return protocol === 'https:' || isLocal
    ? null
    : 'must have https: browsers make passkeys only on https and on http://localhost';
}

function isIpHost(hostname: string): boolean {
  return isIP(hostname.replaceAll(/[[\]]/g, '')) !== 0;
}
