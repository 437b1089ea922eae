import type { AttributeContext } from '../../generated/envoy/service/auth/v3/attribute_context.ts';
import { normaliseIp } from '../../net/cidr.ts';
import { forwardedClient } from '../../net/forwarded-for.ts';
import { callerAddress } from '../../net/peer-address.ts';

/**
 * The address of the client whose request is checked, by the rule for callers of Postern itself (H08): that of the connection
 * to Envoy or, when it is a trusted proxy, the one that `x-forwarded-for` shows.
 *
 * @returns null when it is not known, or is on the machine of Envoy
 */
export function clientOf(
  { source, request }: AttributeContext,
  isTrustedProxy: (address: string) => boolean,
): string | null {
  const address = normaliseIp(source?.address?.socketAddress?.address ?? '');
  if (address === null) return null;
  if (!isTrustedProxy(address)) return callerAddress(address);
  const client = forwardedClient(forwardedFor(request), isTrustedProxy);
  return client === null ? null : callerAddress(client);
}

function forwardedFor(request: AttributeContext['request']): string[] {
  const { headers = {}, headerMap } = request?.http ?? {};
  const isForwardedFor = (name: string) => name.toLowerCase() === 'x-forwarded-for';
  return [
    ...Object.entries(headers).flatMap(([name, value]) => (isForwardedFor(name) ? [value] : [])),
    ...(headerMap?.headers ?? []).flatMap(({ key, value, rawValue }) =>
      isForwardedFor(key) ? [value === '' ? rawValue.toString('latin1') : value] : [],
    ),
  ];
}
