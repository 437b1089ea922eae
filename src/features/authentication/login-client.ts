import { type CallOrigin, notedUserAgent } from '../../domain/operation-call.ts';
import { type FieldRule, nested, optional, unrestricted } from '../../domain/validation.ts';
import { forwardedIp } from '../../net/forwarded-ip.ts';

/** The device for which a gateway logs in. */
export type LoginClient = { readonly address: string; readonly userAgent: string } | undefined;

/** The address decides about the throttle, so one that cannot be read is refused rather than guessed. */
const forwardedAddress: FieldRule<string> = (value, field) =>
  forwardedIp(value) === null ? [{ field, description: 'must be an IPv4 or IPv6 address' }] : [];

export const loginClient: FieldRule<LoginClient> = nested({
  address: optional(forwardedAddress),
  userAgent: unrestricted,
});

/**
 * `client` counts only from a trusted forwarder (L12). From other callers it is ignored before it is validated: what is
 * ignored must not refuse a login.
 */
export function trustedClient(client: LoginClient, origin: CallOrigin): LoginClient {
  return origin.isTrustedForwarder ? client : undefined;
}

export function originOf(client: LoginClient, origin: CallOrigin): CallOrigin {
  if (!client) return origin;
  return { ...origin, address: forwardedIp(client.address), userAgent: notedUserAgent(client.userAgent) };
}
