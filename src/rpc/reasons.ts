import type { Reason } from '../generated/postern/v1/reason.ts';

/** The reasons of the contract (postern/v1/reason.proto). */
export type ReasonName = Exclude<keyof typeof Reason, 'UNRECOGNIZED' | 'REASON_UNSPECIFIED'>;

/** Reasons of a denied Check beside those of the contract; they stand in the denied response's body and in the log. */
export type DenialReason = 'IDENTITY_UNFIT' | 'REQUEST_UNREADABLE' | 'ROUTE_MISCONFIGURED' | 'INTERNAL';
