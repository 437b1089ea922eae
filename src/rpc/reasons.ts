import type { Reason } from '../generated/postern/v1/reason.ts';

/** The reasons of the contract (postern/v1/reason.proto). */
export type ReasonName = Exclude<keyof typeof Reason, 'UNRECOGNIZED' | 'REASON_UNSPECIFIED'>;

/** Further reasons of a denied Check, in the body of the denied response and in the log. */
export type DenialReason = 'IDENTITY_UNFIT' | 'REQUEST_UNREADABLE' | 'ROUTE_MISCONFIGURED' | 'INTERNAL';
