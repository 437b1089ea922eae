import { MAX_TIMER_MS } from '../domain/concurrency/timeout.ts';
import type { TokenSet } from '../generated/postern/v1/auth.ts';
import {
  hasMethods,
  isDuration,
  isPlainObject,
  isRecord,
  requestFaults,
  throwFaults,
  unknownMembers,
} from './argument-checks.ts';
import { addressFaults } from './channel.ts';

export interface CallSettings {
  readonly deadlineMs?: number;
  /** Aborting it ends the call with CANCELLED. */
  readonly signal?: AbortSignal;
  /** Identifies the call in the service's log: 1 to 64 letters, digits and `_.:-`. */
  readonly requestId?: string;
}

/** What a request may have in addition because it is a whole TokenSet. */
export const TOKEN_SET_MEMBERS: readonly (keyof TokenSet)[] = [
  'accessToken',
  'tokenType',
  'expiresIn',
  'refreshToken',
  'refreshExpiresIn',
  'sessionId',
  'userId',
];
const OPTIONS = ['address', 'tls', 'insecure', 'deadlineMs', 'retry', 'credential'];
const RETRY_MEMBERS = ['attempts', 'firstPauseMs', 'longestPauseMs'];

/** What is wrong with the options of `createAuthClient`. */
export function optionFaults(options: unknown): string[] {
  if (!isPlainObject(options)) return ['the options must have an address, "host:port"'];
  const { address, deadlineMs, retry, credential } = options;
  const faults = unknownMembers(options, OPTIONS).map((name) => `${name} is not a known option`);
  faults.push(...addressFaults(address));
  if (deadlineMs !== undefined && !(isDuration(deadlineMs) && isDeadline(deadlineMs)))
    faults.push('deadlineMs must be greater than 0');
  if (
    retry !== undefined &&
    !(isRecord(retry) && RETRY_MEMBERS.every((name) => typeof retry[name] === 'number' && retry[name] >= 0))
  )
    faults.push(`retry must have ${RETRY_MEMBERS.join(', ')}, numbers`);
  else if (isRecord(retry))
    faults.push(...unknownMembers(retry, RETRY_MEMBERS).map((name) => `retry.${name} is not a known option`));
  if (credential !== undefined && !hasMethods(credential, 'accessToken'))
    faults.push('credential must have a method accessToken, as a ServiceCredential has');
  return faults;
}

/** NaN, and what is beyond the range of a deadline of gRPC, would end in an error that nobody handles. */
const isDeadline = (value: unknown) =>
  typeof value === 'number' && (value <= MAX_TIMER_MS || value === Infinity);

/** What is wrong with the settings of a call. */
export function settingFaults(settings: unknown): string[] {
  if (settings === undefined) return [];
  if (!isPlainObject(settings))
    return ['the last argument must be an object, { deadlineMs, signal, requestId }'];
  const { deadlineMs, signal, requestId } = settings;
  const faults = unknownMembers(settings, ['deadlineMs', 'signal', 'requestId']).map(
    (name) => `${name} is not a known setting of a call`,
  );
  if (deadlineMs !== undefined && !isDeadline(deadlineMs))
    faults.push('deadlineMs must be a number of milliseconds');
  if (signal !== undefined && !hasMethods(signal, 'addEventListener'))
    faults.push('signal must be an AbortSignal');
  if (requestId !== undefined && typeof requestId !== 'string') faults.push('requestId must be a string');
  return faults;
}

/** @throws TypeError for a request or settings of a wrong form: they would be sent as the text `[object Object]` */
export function validate(
  method: string,
  request: unknown,
  settings: unknown,
  required: readonly string[],
  optional?: readonly string[],
  others?: readonly string[],
): void {
  const faults = requestFaults(request, required, optional, others);
  throwFaults(method, [...faults, ...settingFaults(settings)]);
}
