import { Code, codeName } from '../../rpc/status-code.ts';
import type { CallCounts, MethodCounts } from './call-counts.ts';
import type { ConnectionLog } from '../connection-log.ts';
import type { StreamKind } from '../../rpc/call-context.ts';
import type { Collectors } from './exposition.ts';

const AUTH = '/postern.v1.AuthService';
const LOGIN = `${AUTH}/Login`;
const PASSKEY_LOGIN = `${AUTH}/LoginWithPasskey`;
const REFRESH = `${AUTH}/RefreshToken`;
const STEP_UP = `${AUTH}/StepUp`;
const VERIFY = `${AUTH}/VerifyToken`;
const CHECK = '/envoy.service.auth.v3.Authorization/Check';
/** The methods that change factors, by the label of the change. */
const FACTOR_CHANGES = {
  'totp-added': `${AUTH}/ConfirmFactor`,
  'passkey-added': `${AUTH}/FinishPasskeyRegistration`,
  deleted: `${AUTH}/DeleteFactor`,
  reset: '/postern.v1.AdminService/DeleteFactors',
  'recovery-codes-replaced': `${AUTH}/ReplaceRecoveryCodes`,
} as const;
const WRONG_CREDENTIALS = ['INVALID_CREDENTIALS', 'SECOND_FACTOR_INVALID', 'PASSKEY_INVALID'];
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

interface HttpCounts {
  readonly closedConnections: number;
}

/** The sources of the listeners' metrics. They are functions, because the listeners are created later. */
export interface Listeners {
  readonly grpc: () => GrpcCounts;
  /** Null where administrators have no listener of their own. */
  readonly admin?: () => GrpcCounts | null;
  readonly http: () => HttpCounts;
  /** Null where the console has no listener of its own. */
  readonly console?: () => HttpCounts | null;
  readonly connectionLog: Pick<ConnectionLog, 'failedHandshakes'>;
}

export function listenerCollectors(listeners: Listeners): Collectors {
  const { grpc, admin = () => null, http, console: ofConsole = () => null, connectionLog } = listeners;
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
      const consoleCounts = ofConsole();
      return [
        [['grpc'], grpc().closedConnections],
        [['http'], http().closedConnections],
        ...(adminCounts === null ? [] : [[['admin'], adminCounts.closedConnections] as const]),
        ...(consoleCounts === null ? [] : [[['console'], consoleCounts.closedConnections] as const]),
      ];
    },
    handshakesFailed: () => connectionLog.failedHandshakes(),
    connectionsRetired: () => grpc().retiredConnections + (admin()?.retiredConnections ?? 0),
  };
}

/**
 * Logins, steps up and refreshes by outcome, and changes of second factors.
 *
 * @param repeats the number of refreshes that returned the same successor again
 */
export function loginCollectors(counts: CallCounts, repeats: () => number): Collectors {
  return {
    logins: () => samplesOf(loginOutcomes(counts)),
    stepUps() {
      const stepUp = counts.of(STEP_UP);
      return outcomeSamples(stepUp, {
        ok: successesOf(stepUp),
        refused: refusalsOf(stepUp, WRONG_CREDENTIALS),
        throttled: refusalsOf(stepUp, ['LOGIN_RATE_LIMITED']),
      });
    },
    factorChanges: () =>
      Object.entries(FACTOR_CHANGES).map(
        ([change, method]) => [[change], successesOf(counts.of(method))] as const,
      ),
    refreshes() {
      const refresh = refreshesOf(counts);
      return outcomeSamples(refresh, {
        rotated: successesOf(refresh) - repeats(),
        repeated: repeats(),
        reused: refusalsOf(refresh, ['REFRESH_TOKEN_REUSED']),
        refused: refusalsOf(refresh, REFUSED_REFRESHES),
        throttled: refusalsOf(refresh, ['REFRESH_RATE_LIMITED']),
      });
    },
  };
}

/** Logins of any kind by outcome. */
export function loginOutcomes(counts: CallCounts) {
  const login = sumOf(counts.of(LOGIN), counts.of(PASSKEY_LOGIN));
  return outcomes(login, {
    ok: successesOf(login),
    challenged: refusalsOf(login, ['SECOND_FACTOR_REQUIRED']),
    refused: refusalsOf(login, WRONG_CREDENTIALS),
    throttled: refusalsOf(login, ['LOGIN_RATE_LIMITED']),
    overloaded: refusalsOf(login, ['SERVER_OVERLOADED']),
  });
}

/** Refreshes that were answered with tokens. */
export function successfulRefreshes(counts: CallCounts): number {
  return successesOf(refreshesOf(counts));
}

/** The calls with a refresh token. A page of the console that has none is answered OK, too. */
function refreshesOf(counts: CallCounts): Counted {
  const { codes, reasons, noOps } = counts.of(REFRESH);
  return { codes: codes.map((count, code) => (code === Code.OK ? count - noOps : count)), reasons };
}

/** Verifications by VerifyToken and Check. Check answers its denials with the status OK, and counts their reason. */
export function verificationOutcomes(counts: CallCounts): { ok: number; refused: number } {
  const verify = counts.of(VERIFY);
  const check = counts.of(CHECK);
  const denials = [...check.reasons.values()].reduce((sum, count) => sum + count, 0);
  const ok = successesOf(verify) + Math.max(0, successesOf(check) - denials);
  return { ok, refused: callsOf(verify) + callsOf(check) - ok };
}

/** Finished calls of all methods. */
export function allCalls(counts: CallCounts): number {
  return [...counts].reduce((sum, method) => sum + callsOf(method), 0);
}

type Counted = Pick<MethodCounts, 'codes' | 'reasons'>;

/** The calls of two methods that do the same. */
function sumOf(one: Counted, other: Counted): Counted {
  const reasons = new Map(one.reasons);
  for (const [reason, count] of other.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  return { codes: one.codes.map((count, code) => count + (other.codes[code] ?? 0)), reasons };
}

function successesOf({ codes }: Counted): number {
  return codes[0] ?? 0;
}

function refusalsOf({ reasons }: Counted, selected: readonly string[]): number {
  return selected.reduce((sum, reason) => sum + (reasons.get(reason) ?? 0), 0);
}

/** Calls whose request was invalid, unreadable or too large for the method. */
function malformedOf(calls: Counted): number {
  const { [Code.INVALID_ARGUMENT]: invalid = 0, [Code.UNIMPLEMENTED]: unreadable = 0 } = calls.codes;
  return invalid + unreadable + refusalsOf(calls, TOO_LARGE);
}

function callsOf({ codes }: Pick<MethodCounts, 'codes'>): number {
  return codes.reduce((sum, count) => sum + count, 0);
}

/** The named outcomes, `malformed`, and all other calls as `failed`. */
function outcomes<Named extends Readonly<Record<string, number>>>(calls: Counted, named: Named) {
  const malformed = malformedOf(calls);
  const failed = Object.values(named).reduce((rest, count) => rest - count, callsOf(calls) - malformed);
  return { ...named, malformed, failed };
}

function outcomeSamples(calls: Counted, named: Readonly<Record<string, number>>) {
  return samplesOf(outcomes(calls, named));
}

function samplesOf(counts: Readonly<Record<string, number>>) {
  return Object.entries(counts).map(([outcome, count]) => [[outcome], count] as const);
}
