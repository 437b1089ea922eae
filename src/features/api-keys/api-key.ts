import { type FieldRule, type FieldRules, each, ifDefined, optional, text } from '../../domain/validation.ts';
import { userRoles } from '../../domain/roles.ts';
import { canonicalNetwork, parseNetwork } from '../../net/cidr.ts';

export interface ApiKeyOwner {
  readonly type: 'user' | 'service';
  readonly id: string;
}

/** An API key as it is listed, without the key. */
export interface ApiKey {
  readonly id: string;
  readonly owner: ApiKeyOwner;
  readonly name: string;
  /** Those that it was given. At each use it has those of them that the owner has. */
  readonly roles: readonly string[];
  readonly audience: string;
  /** Empty for any network. */
  readonly networks: readonly string[];
  readonly createdAt: Date;
  /** Null when it does not expire. */
  readonly expiresAt: Date | null;
  readonly lastUsedAt: Date | null;
  readonly lastUsedFrom: string | null;
  readonly rotatedFrom: string | null;
}

export interface NewApiKey {
  readonly name: string;
  readonly roles: readonly string[];
  /** Empty for the default audience. */
  readonly audience: string;
  /** Seconds; 0 for a key that does not expire. Default: 90 days. */
  readonly lifetime?: number | undefined;
  readonly allowedNetworks: readonly string[];
}

export const DEFAULT_LIFETIME_SECONDS = 90 * 86_400;
export const MAX_LIFETIME_SECONDS = 366 * 86_400;
/** How many valid keys an owner may have. */
export const MAX_KEYS_PER_OWNER = 50;
/** How many rows an owner may have, with keys that were revoked or expired and not purged yet: they take memory as well. */
export const MAX_ROWS_PER_OWNER = 500;

const network: FieldRule<string> = (value, field) =>
  parseNetwork(value) === null
    ? [{ field, description: 'must be a network such as 192.0.2.0/24 or 2001:db8::/32' }]
    : [];

/** @param mayNotExpire whether a lifetime of 0 is allowed */
export function apiKeyRules(mayNotExpire: boolean): FieldRules<NewApiKey> {
  const lifetime: FieldRule<number> = (seconds, field) => {
    if (seconds === 0 && mayNotExpire) return [];
    const isValid = Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_LIFETIME_SECONDS;
    const none = mayNotExpire ? ', or 0 for none' : '; only an administrator may create a key without one';
    return isValid ? [] : [{ field, description: `must be from 1 second to 366 days${none}` }];
  };
  return {
    name: text({ minBytes: 1, maxBytes: 64 }),
    roles: userRoles,
    audience: optional(text({ minBytes: 1, maxBytes: 256 })),
    lifetime: ifDefined(lifetime),
    allowedNetworks: each(network, { maxItems: 16 }),
  };
}

/** The networks in their one form, each once, in order. Texts that are not networks are left out. */
export function canonicalNetworks(networks: readonly string[]): readonly string[] {
  const canonical = networks.flatMap((text) => {
    const parsed = parseNetwork(text);
    return parsed === null ? [] : [canonicalNetwork(parsed)];
  });
  return [...new Set(canonical)].sort();
}

/**
 * Those of some roles that a key may have by the policy of second factors: a key is used without one. Service accounts are
 * exempt.
 *
 * @param secondFactorRoles POSTERN_SECOND_FACTOR_ROLES
 */
export function rolesForKey(
  ownerType: ApiKeyOwner['type'],
  roles: readonly string[],
  secondFactorRoles: readonly string[],
): readonly string[] {
  return ownerType === 'service' ? roles : roles.filter((role) => !secondFactorRoles.includes(role));
}
