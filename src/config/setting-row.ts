import type { ListenAddress } from '../net/listen-address.ts';
import type { Secret } from '../domain/secret.ts';
import type { Sizes } from './sizing.ts';
import type { SettingsPurpose } from './setting-values.ts';
import * as value from './setting-parsers.ts';
import type { SettingParser } from './setting-parsers.ts';

/** The values that a default can depend on. */
export interface SettingContext {
  readonly purpose: SettingsPurpose;
  readonly production: boolean;
  readonly sizes: Sizes;
  /** The fixed port of the HTTP listener on this machine, if one is set; otherwise null. */
  readonly httpPort: number | null;
}

/** One row of the settings table. `displayedDefault` is Markdown for the documentation. */
export interface Setting<T> {
  readonly name: string;
  readonly displayedDefault: string;
  readonly description: string;
  readonly isSecret: boolean;
  readonly parse: SettingParser<T>;
  readonly fallback: (context: SettingContext) => T;
}

/** The documented default goes through the parser like any other value, so it cannot differ from the real default. */
export function setting<T>(
  name: string,
  defaultText: string,
  description: string,
  parse: SettingParser<T>,
): Setting<T> {
  return {
    name,
    displayedDefault: `\`${defaultText}\``,
    description,
    isSecret: false,
    parse,
    fallback: () => parse(defaultText),
  };
}

export function optional<T>(name: string, description: string, parse: SettingParser<T>): Setting<T | null> {
  return { name, displayedDefault: 'absent', description, isSecret: false, parse, fallback: () => null };
}

/** A secret can also be read from the file that `NAME_FILE` names. */
export function secret(
  name: string,
  description: string,
  parse: SettingParser<Secret>,
): Setting<Secret | null> {
  return { ...optional(name, description, parse), isSecret: true };
}

/** A list of names of client certificates; empty by default. */
export function identities(name: string, description: string): Setting<readonly string[]> {
  return {
    ...setting(name, '', description, value.clientNames),
    displayedDefault: 'none',
    fallback: () => [],
  };
}

/** A listener's address. A sidecar has its own default ports, so that it can run beside `serve`. */
export function listener(
  name: string,
  defaultText: { serve: string; sidecar: string },
  description: string,
): Setting<ListenAddress> {
  return {
    ...setting(name, defaultText.serve, description, value.listenAddress),
    displayedDefault: `\`${defaultText.serve}\`; sidecar \`${defaultText.sidecar}\``,
    fallback: ({ purpose }) =>
      value.listenAddress(purpose === 'sidecar' ? defaultText.sidecar : defaultText.serve),
  };
}
