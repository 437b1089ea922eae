/** Why a connection came to no request. The closed list of a metric's label. */
export const handshakeFailures = [
  'no-certificate',
  'expired-certificate',
  'untrusted-certificate',
  'invalid-certificate',
  'certificate-refused',
  'plaintext',
  'tls',
  'not-http2',
  'no-common-protocol',
  'timeout',
  'left',
  'other',
] as const;

export type HandshakeFailure = (typeof handshakeFailures)[number];

/** A connection that was closed before its first request, for the log. `limit`: because a connection limit was reached. */
export interface RefusedConnection {
  readonly reason: HandshakeFailure | 'limit';
  /** What happened and what to look at. Contains nothing that the caller sent. */
  readonly detail: string;
  /** The address of the peer; null for a unix socket. */
  readonly address: string | null;
}

export type ReportRefusedConnection = (refused: RefusedConnection) => void;
