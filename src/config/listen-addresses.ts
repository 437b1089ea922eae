import type { ListenAddress } from '../net/listen-address.ts';
import type { SettingValues } from './setting-values.ts';

/** Every address that the service listens on, with its setting. */
export function listenAddresses(
  values: Pick<
    SettingValues,
    'grpcListen' | 'httpListen' | 'adminListen' | 'consoleListen' | 'channelzListen'
  >,
): readonly { readonly setting: string; readonly address: ListenAddress }[] {
  const { grpcListen, httpListen, adminListen, consoleListen, channelzListen } = values;
  return Object.entries({
    POSTERN_GRPC_LISTEN: grpcListen,
    POSTERN_HTTP_LISTEN: httpListen,
    POSTERN_ADMIN_LISTEN: adminListen,
    POSTERN_CONSOLE_LISTEN: consoleListen,
    POSTERN_CHANNELZ_LISTEN: channelzListen,
  }).flatMap(([setting, address]) => (address === null ? [] : [{ setting, address }]));
}
