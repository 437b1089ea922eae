import { isIP } from 'node:net';

import { readClientName } from '../net/certificate-identity.ts';
import { databaseUrlParameters, DatabaseUrlFault, parseDatabaseUrl } from '../net/database-url.ts';
import { nearestName } from '../domain/did-you-mean.ts';
import { type ListenAddress, parseListenAddress, type UnixListenAddress } from '../net/listen-address.ts';
import { parseByteSize, parseCount, parseDurationMs } from './quantities.ts';
import { masterKeyFault, sharedSecretFault } from '../crypto/secret-strength.ts';
import { type Network, parseNetwork } from '../net/cidr.ts';
import { isIdentifier } from '../domain/claims/claim-values.ts';
import { tokenTypeClaims } from '../domain/claims/legacy-claims.ts';
import { roleName } from '../domain/roles.ts';
import { Secret } from '../domain/secret.ts';

/** Turns a setting's text into its value, or throws `InvalidSetting`. */
export type SettingParser<T> = (text: string) => T;

/**
 * The message continues a sentence that begins with the setting's name. It never contains the value, which may be a
 * misplaced secret.
 */
export class InvalidSetting extends Error {}

export function oneOf<const T extends string>(...choices: readonly T[]): SettingParser<T> {
  return (text) => {
    const choice = choices.find((candidate) => candidate === text);
    if (choice === undefined) throw new InvalidSetting(`must be one of ${choices.join(', ')}`);
    return choice;
  };
}

export const toggle: SettingParser<boolean> = (text) => {
  if (/^(on|true)$/i.test(text)) return true;
  if (/^(off|false)$/i.test(text)) return false;
  throw new InvalidSetting('must be on or off (true and false also work)');
};

/** A duration from `min` to `max`, both included, in whole seconds. */
export function seconds(min: string, max: string): SettingParser<number> {
  return (text) => {
    const ms = parseDurationMs(text);
    if (ms === null)
      throw new InvalidSetting('is not a duration; write a number and a unit, such as 10s, 10m, 12h or 30d');
    if (ms < (parseDurationMs(min) ?? 0) || ms > (parseDurationMs(max) ?? Infinity)) {
      throw new InvalidSetting(`must be from ${min} to ${max}`);
    }
    if (ms % 1000 !== 0) throw new InvalidSetting('must be a whole number of seconds');
    return ms / 1000;
  };
}

export function bytesUpTo(max: string): SettingParser<number> {
  return (text) => {
    const size = parseByteSize(text);
    if (size === null)
      throw new InvalidSetting(
        'is not a size; write a number and a unit, such as 512KiB, 64MiB or 1GiB, or 0',
      );
    if (size > (parseByteSize(max) ?? 0)) throw new InvalidSetting(`must be at most ${max}`);
    return size;
  };
}

export function count(min: number, max: number): SettingParser<number> {
  return (text) => {
    const value = parseCount(text);
    if (value === null || value < min || value > max) {
      throw new InvalidSetting(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

export const listenAddress: SettingParser<ListenAddress> = (text) => {
  const address = parseListenAddress(text);
  if (address === null) {
    throw new InvalidSetting(
      'is not an address; write HOST:PORT, [IPV6]:PORT or unix:PATH (a path of at most 107 bytes)',
    );
  }
  return address;
};

/** The address of a listener that has no authentication but the permissions of its socket. */
export const unixListenAddress: SettingParser<UnixListenAddress> = (text) => {
  const address = parseListenAddress(text);
  if (address?.kind === 'unix') return address;
  throw new InvalidSetting(
    address === null
      ? 'is not the address of a unix socket; write unix:PATH (a path of at most 107 bytes)'
      : 'must be a unix socket, because whoever connects sees the addresses of all peers; write unix:PATH',
  );
};

/** The permission bits of a socket. Whoever may connect needs to read and write, so other digits are mistakes. */
export const socketMode: SettingParser<number> = (text) => {
  const [, digits] = /^(?:0o?)?([67][067]{2})$/.exec(text) ?? [];
  if (digits === undefined) {
    throw new InvalidSetting(
      'must be an octal mode such as 0600, 0660 or 0666: for the owner 6 or 7; for the group and for others ' +
        '6 or 7 where they may connect, and 0 where they may not',
    );
  }
  return Number.parseInt(digits, 8);
};

/** The name or the number of a group. */
export const group: SettingParser<string> = (text) => {
  const isNumber = /^(0|[1-9]\d{0,9})$/.test(text) && Number(text) < 0xffff_ffff;
  if (!isNumber && !/^[A-Za-z_][\w.-]{0,63}$/.test(text))
    throw new InvalidSetting('must be the name or the number of a group');
  return text;
};

/** The path of a file or a directory. */
export const path: SettingParser<string> = (text) => {
  if (text.includes('\0')) throw new InvalidSetting('is not a path');
  return text;
};

export const networks: SettingParser<readonly Network[]> = (text) =>
  text.split(',').map((part) => {
    const network = parseNetwork(part.trim());
    if (network === null) {
      throw new InvalidSetting('must be CIDR ranges separated by commas, such as 192.0.2.0/24,2001:db8::/32');
    }
    return network;
  });

/** Origins exactly as browsers send them (RFC 6454 section 6.2), since they are compared byte by byte. */
export const origins: SettingParser<readonly string[]> = (text) =>
  text.split(',').map((part) => {
    const origin = part.trim();
    if (!/^https?:[^*]+$/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new InvalidSetting(
        'must be origins as browsers write them, separated by commas, such as https://app.example.com: in lower case, ' +
          'without a path, without a wildcard, and with a port only if it is not the default one',
      );
    return origin;
  });

/** Whether a text can be the host of an origin as browsers write it: ASCII in lower case, with underscores, which some networks have. */
export function isDomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/.test(text);
}

/** Names as browsers send them in `host`, where every name is in lower case and in its ASCII form. */
export const hostNames: SettingParser<readonly string[]> = (text) =>
  text.split(',').map((part) => {
    const name = part.trim().toLowerCase();
    if (!isDomain(name))
      throw new InvalidSetting(
        'must be host names separated by commas, such as auth.internal,postern: without a scheme, a port and a wildcard, ' +
          'and international names in their xn-- form',
      );
    if (isIP(name) !== 0)
      throw new InvalidSetting('has an IP address, which is accepted in any case; remove it');
    return name;
  });

/** The client id of a service account, as `postern service create` prints it. */
export const clientId: SettingParser<string> = (text) => {
  if (!/^[\x21-\x7e]{1,128}$/.test(text))
    throw new InvalidSetting('must be 1 to 128 characters without spaces');
  return text;
};

export const clientSecret: SettingParser<Secret> = (text) => {
  if (!/^[\x21-\x7e]{16,256}$/.test(text))
    throw new InvalidSetting('must be the secret exactly as it was printed, on one line');
  return new Secret(text);
};

/** The URL is kept as written: verifiers compare `iss` byte by byte, so a normalised URL would be another issuer. */
export const issuer: SettingParser<string> = (text) => {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:\/\/[\x21-\x7e]+$/.test(text))
    throw new InvalidSetting('must be an http or https URL');
  if (/[?#]/.test(text))
    throw new InvalidSetting('must have no query and no fragment (OpenID Connect Discovery, section 3)');
  if (url.username !== '' || url.password !== '')
    throw new InvalidSetting('must not contain a user name or a password');
  if (text.length > 256) throw new InvalidSetting('must be at most 256 characters long');
  return text;
};

const AUDIENCE = /^[\x21-\x7e]{1,256}$/;

export const audience: SettingParser<string> = (text) => {
  if (!AUDIENCE.test(text) || text.includes(','))
    throw new InvalidSetting('must be one name of 1 to 256 visible ASCII characters, without a comma');
  return text;
};

export const audiences: SettingParser<readonly [string, ...string[]]> = (text) => {
  const [first = '', ...others] = text.split(',').map((entry) => entry.trim());
  const all = [first, ...others] as const;
  if (!all.every((entry) => AUDIENCE.test(entry))) {
    throw new InvalidSetting('must be names of 1 to 256 visible ASCII characters, separated by commas');
  }
  if (all.length > 16) throw new InvalidSetting('must have at most 16 names');
  if (new Set(all).size !== all.length)
    throw new InvalidSetting('contains the same audience twice; remove one');
  return all;
};

export const roles: SettingParser<readonly string[]> = (text) => {
  const names = text.split(',').map((entry) => entry.trim());
  if (names.some((name) => roleName(name, 'role').length > 0))
    throw new InvalidSetting(
      'must be names of roles, separated by commas: lower-case letters, digits and ._:- after a letter, at most 64 bytes each',
    );
  if (names.length > 64) throw new InvalidSetting('must have at most 64 names');
  if (new Set(names).size !== names.length)
    throw new InvalidSetting('contains the same role twice; remove one');
  return names;
};

/** Claims with a meaning of their own: none of them names the user. */
const RESERVED_CLAIMS: readonly string[] = ['iss', 'aud', 'exp', 'nbf', 'iat', 'jti', ...tokenTypeClaims];

export const subjectClaims: SettingParser<readonly string[]> = (text) => {
  const names = text.split(',').map((entry) => entry.trim());
  if (!names.every((name) => /^[\x21-\x7e]{1,128}$/.test(name)))
    throw new InvalidSetting('must be names of claims, separated by commas, such as user_id,sub');
  if (names.length > 8) throw new InvalidSetting('must have at most 8 names');
  if (new Set(names).size !== names.length)
    throw new InvalidSetting('contains the same name twice; remove one');
  if (names.some((name) => RESERVED_CLAIMS.includes(name)))
    throw new InvalidSetting(`must not name ${RESERVED_CLAIMS.join(', ')}, which do not name a user`);
  return names;
};

/** Issuers and audiences of other programs. They need not be URLs, and may have spaces within. */
export const legacyNames: SettingParser<readonly string[]> = (text) => {
  const names = text.split(',').map((entry) => entry.trim());
  if (!names.every(isIdentifier))
    throw new InvalidSetting(
      'must be names of 1 to 256 characters without control characters, separated by commas',
    );
  if (names.length > 16) throw new InvalidSetting('must have at most 16 names');
  if (new Set(names).size !== names.length)
    throw new InvalidSetting('contains the same name twice; remove one');
  return names;
};

export const clientNames: SettingParser<readonly string[]> = (text) => {
  const names = text.split(',').map((entry) => readClientName(entry.trim()));
  if (names.some((name) => name === null)) {
    throw new InvalidSetting(
      'must be URIs and DNS names without wildcards, separated by commas, such as spiffe://example.org/api,api.example.org',
    );
  }
  return names.flatMap((name) => name ?? []);
};

/**
 * A time in ISO 8601 with a time zone, or a date, which means its first instant in UTC. The value is Unix time in ms.
 */
export const momentMs: SettingParser<number> = (text) => {
  const match = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2}))?$/.exec(text);
  const day = Date.parse(`${match?.[1] ?? ''}T00:00:00Z`);
  // `Date.parse` turns a day that does not exist (February 30) into another day instead of failing.
  const isRealDay = !Number.isNaN(day) && new Date(day).toISOString().slice(0, 10) === match?.[1];
  const moment = Date.parse(text);
  if (!isRealDay || Number.isNaN(moment)) {
    throw new InvalidSetting(
      'must be a date, or a time with a time zone, such as 2027-01-31 or 2027-01-31T12:00:00Z',
    );
  }
  return moment;
};

export const databaseUrl: SettingParser<Secret> = (text) => {
  withDatabaseUrlFaults(() => parseDatabaseUrl(text));
  return new Secret(text);
};

/** Runs work that may throw `DatabaseUrlFault`, which is then the fault of the setting. */
export function withDatabaseUrlFaults<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DatabaseUrlFault)) throw error;
    const { message, unknownParameter } = error;
    if (unknownParameter === undefined) throw new InvalidSetting(message);
    const nearest = nearestName(unknownParameter, databaseUrlParameters);
    throw new InvalidSetting(`${message}; ${nearest === null ? 'remove it' : `did you mean ${nearest}?`}`);
  }
}

export const sharedSecret: SettingParser<Secret> = (text) => {
  const fault = sharedSecretFault(text);
  if (fault !== null) throw new InvalidSetting(`${fault}; make one with: openssl rand -hex 32`);
  return new Secret(text);
};

export const masterKey: SettingParser<Secret> = (text) => {
  const fault = masterKeyFault(text);
  if (fault !== null) throw new InvalidSetting(`${fault}; make one with: openssl rand -base64 32`);
  return new Secret(text);
};
