import type { FactorList } from '../../../../src/generated/postern/v1/auth.ts';
import type { Wire } from '../../wire.ts';

/** How a user can prove anew who they are. */
export interface Offers {
  /** What can be typed; null for nothing. */
  readonly field: 'password' | 'code' | null;
  readonly label: string;
  readonly passkey: boolean;
  /** Why nothing is offered; empty otherwise. */
  readonly impossible: string;
  /** Whether the user has to add a factor first. */
  readonly addsFactor: boolean;
}

/**
 * A user without a second factor proves it by the password, which does not suffice where a second factor is needed. A recovery
 * code is offered beside the code of an app, never alone where a passkey can be used: each counts once.
 */
export function offersOf(
  { factors = [], recoveryCodesLeft = 0 }: Wire<FactorList>,
  {
    needsFactor,
    browserHasPasskeys,
  }: { readonly needsFactor: boolean; readonly browserHasPasskeys: boolean },
): Offers {
  const has = (kind: string) => factors.some((factor) => factor.kind === kind);
  const hasApp = has('TOTP');
  const nothing = { field: null, label: '', passkey: false } as const;
  if (factors.length === 0 && needsFactor)
    return {
      ...nothing,
      impossible: 'What you asked for needs a second factor, and you have none.',
      addsFactor: true,
    };
  if (factors.length === 0)
    return { field: 'password', label: 'Your password', passkey: false, impossible: '', addsFactor: false };
  const passkey = has('PASSKEY') && browserHasPasskeys;
  const hasCode = hasApp || recoveryCodesLeft > 0;
  if (!passkey && !hasCode)
    return {
      ...nothing,
      impossible: 'Your second factor is a passkey, which this browser cannot use at this address.',
      addsFactor: false,
    };
  return {
    field: hasCode ? 'code' : null,
    label: codeLabel(hasApp, recoveryCodesLeft > 0),
    passkey,
    impossible: '',
    addsFactor: false,
  };
}

/** What a field for a code takes. */
export function codeLabel(hasApp: boolean, hasRecoveryCodes: boolean): string {
  if (!hasApp) return 'A recovery code';
  return hasRecoveryCodes
    ? 'Code of your authenticator app, or a recovery code'
    : 'Code of your authenticator app';
}

/**
 * Whether the question is asked again on a page where it was declined. Pages read by themselves every few seconds; what changes
 * something was begun by a person.
 */
export function isAskedAgain(path: string): boolean {
  return !/\/(?:Get|List)\w*$/.test(path);
}

/** Why browsers use no passkeys on a page, by its address; null where they do. */
export function noPasskeysAt({
  hostname,
  port,
}: {
  readonly hostname: string;
  readonly port: string;
}): string | null {
  const isIPv6 = hostname.startsWith('[');
  if (!isIPv6 && !/^[\d.]+$/.test(hostname)) return null;
  if (hostname !== '[::1]' && !hostname.startsWith('127.'))
    return 'Passkeys need a host name: open this page by its name instead of its IP address.';
  return `Passkeys need a host name: open http://localhost${port === '' ? '' : `:${port}`}/console/ instead.`;
}

/** How long to wait, in words. Never too short: a login before the end would be refused again. */
export function waitText(seconds: number): string {
  const [amount, unit] = seconds <= 90 ? [seconds, 'second'] : [Math.ceil(seconds / 60), 'minute'];
  return amount === 1 ? `a ${unit}` : `${amount} ${unit}s`;
}
