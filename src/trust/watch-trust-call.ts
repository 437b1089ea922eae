import { type ClientReadableStream, type Metadata, type ServiceError, status } from '@grpc/grpc-js';

import type { Revocation } from '../domain/revocation-set.ts';
import { uuidOfBytes } from '../domain/uuid.ts';
import type {
  Revocation as RevocationMessage,
  TrustServiceClient,
  TrustUpdate,
} from '../generated/postern/v1/trust.ts';

/** Heartbeats come every two seconds; five in a row that stay away mean a dead connection. */
const SILENCE_LIMIT_MS = 10_000;

/** Why a stream ended: a gRPC status. */
export interface StreamEnd {
  readonly code: status;
  readonly details: string;
}

/** One WatchTrust call from its start to its end, which comes exactly once and only from the network or `cancel`. */
export class TrustStream {
  readonly #call: ClientReadableStream<TrustUpdate>;
  #silence: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(
    client: TrustServiceClient,
    request: { cursor: string; metadata: Metadata },
    on: { update: (update: TrustUpdate) => void; end: (end: StreamEnd) => void },
  ) {
    const call = client.watchTrust({ cursor: request.cursor }, request.metadata);
    this.#call = call;
    const end = (reason: StreamEnd) => {
      if (this.#ended) return;
      this.#ended = true;
      clearTimeout(this.#silence);
      on.end(reason);
    };
    const listen = () => {
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => {
        end({ code: status.UNAVAILABLE, details: `nothing was received for ${SILENCE_LIMIT_MS / 1000} s` });
        call.cancel();
      }, SILENCE_LIMIT_MS);
    };
    listen();
    call.on('data', (update: TrustUpdate) => {
      if (this.#ended) return;
      listen();
      on.update(update);
    });
    call.on('error', (error: ServiceError) => end({ code: error.code, details: error.details }));
    call.on('end', () => end({ code: status.UNAVAILABLE, details: 'the server ended the stream' }));
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Ends the call without a word to anyone. */
  cancel(): void {
    this.#ended = true;
    clearTimeout(this.#silence);
    this.#call.cancel();
  }
}

/** A revocation as the stream tells it; null for a kind that a newer server made up. */
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
