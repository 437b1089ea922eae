import type { CallBudget } from './call-budget.ts';

/** Where a call comes from, for throttling and the audit trail. */
export interface CallOrigin {
  /** Names the call in logs and to its caller; empty for work that no call asked for. */
  readonly requestId: string;
  /** The peer's IP address; null for loopback, unix sockets and commands, which stand for nobody in particular. */
  readonly address: string | null;
  readonly userAgent: string | null;
  /** Whether the caller may say for whom it calls (`client.address`): a trusted proxy or a service account (L12). */
  readonly mayVouch: boolean;
}

/** A call that an operation serves: what it may spend, and where it comes from. */
export interface OperationCall extends CallBudget {
  readonly origin: CallOrigin;
}

/** The origin of what the service or an operator does by itself. */
export const ownOrigin: CallOrigin = { requestId: '', address: null, userAgent: null, mayVouch: false };
