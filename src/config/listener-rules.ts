import { hasRpcsOfConsole, servesConsole } from './http-settings.ts';
import { listenAddresses } from './listen-addresses.ts';
import { isLocalAddress, type ListenAddress } from '../net/listen-address.ts';
import type { Rule } from './setting-rule.ts';

/** The rules about where the process listens. */
export const listenerRules: readonly Rule[] = [
  plaintextRule('grpcListen', 'POSTERN_GRPC_LISTEN'),
  plaintextRule('httpListen', 'POSTERN_HTTP_LISTEN'),
  plaintextRule('adminListen', 'POSTERN_ADMIN_LISTEN'),
  plaintextRule('consoleListen', 'POSTERN_CONSOLE_LISTEN'),
  {
    reads: ['grpcListen', 'httpListen'],
    for: ['serve', 'sidecar'],
    isBroken: ({ grpcListen, httpListen }) => isSameAddress(grpcListen, httpListen),
    fault: 'POSTERN_HTTP_LISTEN is the same address as POSTERN_GRPC_LISTEN; change one',
  },
  {
    reads: ['grpcListen', 'httpListen', 'adminListen'],
    for: ['serve'],
    isBroken: ({ grpcListen, httpListen, adminListen }) =>
      adminListen !== null &&
      (isSameAddress(adminListen, grpcListen) || isSameAddress(adminListen, httpListen)),
    fault:
      'POSTERN_ADMIN_LISTEN is the same address as POSTERN_GRPC_LISTEN or POSTERN_HTTP_LISTEN; give it one of its own, or remove it',
  },
  {
    reads: ['grpcListen', 'httpListen', 'adminListen', 'consoleListen'],
    for: ['serve'],
    isBroken: ({ grpcListen, httpListen, adminListen, consoleListen }) =>
      consoleListen !== null &&
      [grpcListen, httpListen, adminListen].some(
        (other) => other !== null && isSameAddress(consoleListen, other),
      ),
    fault:
      'POSTERN_CONSOLE_LISTEN is the same address as another listener; give it one of its own, or remove it to have the console on POSTERN_HTTP_LISTEN',
  },
  {
    reads: ['grpcListen', 'httpListen', 'adminListen', 'consoleListen', 'channelzListen'],
    for: ['serve', 'sidecar'],
    isBroken: ({ channelzListen, ...values }) =>
      channelzListen !== null &&
      listenAddresses({ ...values, channelzListen: null }).some(({ address }) =>
        isSameAddress(channelzListen, address),
      ),
    fault:
      'POSTERN_CHANNELZ_LISTEN is the same address as another listener; give it one of its own, or remove it',
  },
  {
    reads: ['console', 'consoleListen', 'httpRpc', 'adminListen'],
    for: ['serve'],
    isBroken: (values) => values.console === true && !hasRpcsOfConsole(values),
    fault:
      'POSTERN_CONSOLE=on needs AdminService over HTTP; set POSTERN_HTTP_RPC=admin and remove POSTERN_ADMIN_LISTEN, ' +
      'or give the console a listener of its own with POSTERN_CONSOLE_LISTEN',
  },
  {
    reads: ['console', 'consoleListen', 'httpRpc', 'adminListen'],
    for: ['serve'],
    isBroken: (values, { production }) => values.consoleListen !== null && !servesConsole(values, production),
    fault:
      'POSTERN_CONSOLE_LISTEN needs POSTERN_CONSOLE=on; set it as well, or remove POSTERN_CONSOLE_LISTEN',
  },
];

/**
 * N10: passwords and tokens must not cross a network in plaintext, unless the operator states that a proxy terminates
 * TLS.
 */
function plaintextRule(
  key: 'grpcListen' | 'httpListen' | 'adminListen' | 'consoleListen',
  name: string,
): Rule {
  return {
    reads: [key, 'insecure', 'tlsCert'],
    for: key === 'adminListen' || key === 'consoleListen' ? ['serve'] : ['serve', 'sidecar'],
    isBroken: (values) => {
      const address = values[key];
      return !values.insecure && values.tlsCert === null && address !== null && !isLocalAddress(address);
    },
    fault:
      `${name} would accept plaintext from other machines; set POSTERN_TLS_CERT and POSTERN_TLS_KEY, ` +
      'listen on 127.0.0.1 or unix:PATH, or set POSTERN_INSECURE=true if a proxy in front terminates TLS',
  };
}

function isSameAddress(one: ListenAddress, other: ListenAddress): boolean {
  if (one.kind === 'unix') return other.kind === 'unix' && one.path === other.path;
  return other.kind === 'tcp' && one.port !== 0 && one.port === other.port && one.host === other.host;
}
