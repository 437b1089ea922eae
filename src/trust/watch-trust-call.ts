import { type ClientReadableStream, type Metadata, type ServiceError, status } from '@grpc/grpc-js';

import type { Revocation } from '../domain/revocation-set.ts';
import { bytesOfUuid, uuidOfBytes } from '../domain/uuid.ts';
import type {
  Revocation as RevocationMessage,
  TrustServiceClient,
  TrustUpdate,
} from '../generated/postern/v1/trust.ts';

/** Heartbeats arrive every two seconds; after five missing ones the connection counts as dead. */
const SILENCE_LIMIT_MS = 10_000;

const NO_ID = Buffer.alloc(0);

/** Why a stream ended: a gRPC status. */
export interface StreamEnd {
  readonly code: status;
  readonly details: string;
}

/** One WatchTrust call. `end` is reported at most once: when the stream ends or falls silent, not after `cancel`. */
export class WatchTrustCall {
  readonly #call: ClientReadableStream<TrustUpdate>;
  #silenceTimer: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    client: TrustServiceClient,
    request: { cursor: string; relayId: string | null; metadata: Metadata },
    handlers: { update: (update: TrustUpdate) => void; end: (end: StreamEnd) => void },
  ) {
    const { cursor, relayId, metadata } = request;
    const call = client.watchTrust(
      { cursor, relayId: relayId === null ? NO_ID : bytesOfUuid(relayId) },
      metadata,
    );
    this.#call = call;
    const end = (reason: StreamEnd) => {
      if (this.#ended) return;
      this.#ended = true;
      clearTimeout(this.#silenceTimer);
      handlers.end(reason);
    };
    const restartSilenceTimer = () => {
      clearTimeout(this.#silenceTimer);
      this.#silenceTimer = setTimeout(() => {
        end({ code: status.UNAVAILABLE, details: `nothing was received for ${SILENCE_LIMIT_MS / 1000} s` });
        call.cancel();
      }, SILENCE_LIMIT_MS);
    };
    restartSilenceTimer();
    call.on('data', (update: TrustUpdate) => {
      if (this.#ended) return;
      restartSilenceTimer();
      handlers.update(update);
    });
    call.on('error', (error: ServiceError) => end({ code: error.code, details: error.details }));
    call.on('end', () => end({ code: status.UNAVAILABLE, details: 'the server ended the stream' }));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Cancels the call; `end` is not reported. */
  cancel(): void {
    this.#ended = true;
    clearTimeout(this.#silenceTimer);
    this.#call.cancel();
  }
}

/** Decodes a revocation of the stream; null for a kind that only a newer server knows. */
export function revocationOf({ revoked, expiresAt }: RevocationMessage): Revocation | null {
  switch (revoked?.$case) {
    case 'sessionId':
      return { kind: 'sid', id: uuidOfBytes(revoked.value), expiresAtSeconds: expiresAt };
    case 'sessionName':
      return { kind: 'sid', id: revoked.value, expiresAtSeconds: expiresAt };
    case 'tokenId':
      return { kind: 'jti', id: revoked.value, expiresAtSeconds: expiresAt };
    case 'keyId':
      return { kind: 'kid', id: revoked.value, expiresAtSeconds: expiresAt };
    case undefined:
      return null;
    default:
      return revoked satisfies never;
  }
}
