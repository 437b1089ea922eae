import type { FieldViolation } from '../domain/rejection.ts';
import type { ReasonName } from './reasons.ts';
import type { Code } from './status-code.ts';

/** The status of a failed call, independent of the transport, which encodes it. */
export interface RpcStatus {
  readonly code: Code;
  /** Absent for the statuses that gRPC itself defines. */
  readonly reason?: ReasonName;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly violations?: readonly FieldViolation[];
  /** Of the ErrorInfo. */
  readonly metadata?: Readonly<Record<string, string>>;
}
