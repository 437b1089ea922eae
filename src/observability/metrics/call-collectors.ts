import { Code, codeName } from '../../rpc/status-code.ts';
import type { CallCounts, MethodCounts } from './call-counts.ts';
import type { ConnectionLog } from '../connection-log.ts';
import type { StreamKind } from '../../rpc/call-context.ts';
import type { Collectors } from './exposition.ts';

const LOGIN = '/postern.v1.AuthService/Login';
const REFRESH = '/postern.v1.AuthService/RefreshToken';
const TOO_LARGE = ['MESSAGE_TOO_LARGE', 'METADATA_TOO_LARGE'];
const REFUSED_REFRESHES = ['REFRESH_TOKEN_INVALID', 'REFRESH_TOKEN_EXPIRED', 'REFRESH_TOKEN_REVOKED'];

/** Calls, refusals and durations of every method that was called. */
export function callCollectors(counts: CallCounts): Collectors {
  return {
    calls: () =>
      [...counts].flatMap(({ method, codes }) =>
        [...codes].flatMap((count, code) =>
          count > 0 || code === 0 ? [[[method, codeName(code)], count] as const] : [],
        ),
      ),
    refusals: () =>
      [...counts].flatMap(({ method, reasons }) =>
        [...reasons].map(([reason, count]) => [[method, reason], count] as const),
      ),
    callDuration: () =>
      [...counts].flatMap(({ method, duration }) =>
        duration === null ? [] : [[[method], duration] as const],
      ),
  };
}

interface GrpcCounts {
  readonly openStreams: Readonly<Record<StreamKind, number>>;
  readonly closedConnections: number;
  readonly retiredConnections: number;
}

/** The sources of the listeners' metrics. They are functions, because the listeners are created later. */
export interface Listeners {
  readonly grpc: () => GrpcCounts;
  /** Null where administrators have no listener of their own. */
  readonly admin?: () => GrpcCounts | null;
  readonly http: () => { readonly closedConnections: number };
  readonly connectionLog: Pick<ConnectionLog, 'failedHandshakes'>;
}

export function listenerCollectors({ grpc, admin = () => null, http, connectionLog }: Listeners): Collectors {
  return {
    openStreams() {
      const { anonymous = 0, watching = 0 } = admin()?.openStreams ?? {};
      const { openStreams } = grpc();
      return [
        [['anonymous'], openStreams.anonymous + anonymous],
        [['watching'], openStreams.watching + watching],
      ];
    },
    connectionsClosed() {
      const adminCounts = admin();
      return [
        [['grpc'], grpc().closedConnections],
        [['http'], http().closedConnections],
        ...(adminCounts === null ? [] : [[['admin'], adminCounts.closedConnections] as const]),
      ];
    },
    handshakesFailed: () => connectionLog.failedHandshakes(),
    connectionsRetired: () => grpc().retiredConnections + (admin()?.retiredConnections ?? 0),
  };
}

/**
 * Logins and refreshes by outcome.
 *
 * @param repeats the number of refreshes that returned the same successor again
 */
export function loginCollectors(counts: CallCounts, repeats: () => number): Collectors {
  return {
    logins() {
      const login = counts.of(LOGIN);
      return outcomes(login, {
        ok: successesOf(login),
        refused: refusalsOf(login, ['INVALID_CREDENTIALS']),
        throttled: refusalsOf(login, ['LOGIN_RATE_LIMITED']),
        overloaded: refusalsOf(login, ['SERVER_OVERLOADED']),
      });
    },
    refreshes() {
      const refresh = counts.of(REFRESH);
      return outcomes(refresh, {
        rotated: successesOf(refresh) - repeats(),
        repeated: repeats(),
        reused: refusalsOf(refresh, ['REFRESH_TOKEN_REUSED']),
        refused: refusalsOf(refresh, REFUSED_REFRESHES),
        throttled: refusalsOf(refresh, ['REFRESH_RATE_LIMITED']),
      });
    },
  };
}

function successesOf({ codes }: MethodCounts): number {
  return codes[0] ?? 0;
}

function refusalsOf({ reasons }: MethodCounts, selected: readonly string[]): number {
  return selected.reduce((sum, reason) => sum + (reasons.get(reason) ?? 0), 0);
}

/** Calls whose request was invalid, unreadable or too large for the method. */
function malformedOf(calls: MethodCounts): number {
  const { [Code.INVALID_ARGUMENT]: invalid = 0, [Code.UNIMPLEMENTED]: unreadable = 0 } = calls.codes;
  return invalid + unreadable + refusalsOf(calls, TOO_LARGE);
}

/** The named outcomes, `malformed`, and all other calls as `failed`. */
function outcomes(calls: MethodCounts, named: Readonly<Record<string, number>>) {
  const known = { ...named, malformed: malformedOf(calls) };
  const total = calls.codes.reduce((sum, count) => sum + count, 0);
  const failed = Object.values(known).reduce((rest, count) => rest - count, total);
  return Object.entries({ ...known, failed }).map(([outcome, count]) => [[outcome], count] as const);
}
