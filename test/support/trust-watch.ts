import * as grpc from '@grpc/grpc-js';

import { methodOf, reasonOf } from './test-service.ts';

/** One TrustUpdate as proto-loader gives it. */
export interface Update {
  readonly cursor: string;
  readonly update: 'keys' | 'revocations' | 'heartbeat';
  readonly keys?: {
    jwks: string;
    issuer: string;
    audiences: string[];
    max_lifetime: number;
    clock_skew: number;
  };
  readonly revocations?: { revocations: Revoked[]; complete: boolean; snapshot: boolean };
  readonly heartbeat?: { news_age_ms: number; relay_path: Buffer[] };
}

interface Revoked {
  readonly session_id?: Buffer;
  readonly session_name?: string;
  readonly token_id?: string;
  readonly key_id?: string;
  readonly expires_at: string;
}

export interface WatchEnd {
  readonly code: grpc.status;
  readonly reason: string | undefined;
  readonly message: string;
  readonly requestId: string | undefined;
}

const method = methodOf('postern.v1.TrustService/WatchTrust');

/** A watcher like one of an independent client, on a connection of its own. */
export class TrustWatch {
  readonly updates: Update[] = [];
  readonly revoked = new Set<string>();
  /** The size of each update in bytes. */
  readonly sizes: number[] = [];
  readonly end: Promise<WatchEnd>;
  cursor: string;
  readonly #client: grpc.Client;
  readonly #call: grpc.ClientReadableStream<object>;
  #ended: WatchEnd | null = null;
  #onUpdate: (() => void) | null = null;

  constructor(
    address: string,
    cursor = '',
    options: {
      reads?: boolean;
      metadata?: grpc.Metadata;
      credentials?: grpc.ChannelCredentials;
      relayId?: Buffer;
    } = {},
  ) {
    this.cursor = cursor;
    this.#client = new grpc.Client(address, options.credentials ?? grpc.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
    const decode = (bytes: Buffer) => {
      this.sizes.push(bytes.length);
      return method.responseDeserialize(bytes);
    };
    this.#call = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      decode,
      { cursor, ...(options.relayId && { relay_id: options.relayId }) },
      options.metadata ?? new grpc.Metadata(),
    );
    this.#call.on('error', () => undefined);
    if (options.reads !== false) this.read();
    this.end = new Promise((resolve) => {
      this.#call.once('status', ({ code, details, metadata }) => {
        const [requestId] = metadata.get('x-request-id');
        this.#ended = {
          code,
          reason: reasonOf(metadata),
          message: details,
          requestId: requestId?.toString(),
        };
        this.#client.close();
        this.#onUpdate?.();
        resolve(this.#ended);
      });
    });
  }

  read(): void {
    this.#call.on('data', (message: Update) => {
      this.updates.push(message);
      for (const one of message.revocations?.revocations ?? []) this.revoked.add(nameOf(one));
      if (message.cursor !== '') this.cursor = message.cursor;
      this.#onUpdate?.();
    });
  }

  /** Resolves when the condition holds after an update; rejects when the stream ends or two minutes pass before. */
  async until(condition: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('it did not come about in two minutes')), 120_000);
      this.#onUpdate = () => {
        if (condition()) resolve();
        else if (this.#ended) reject(new Error(`the stream ended: ${this.#ended.message}`));
        else return;
        clearTimeout(timer);
        this.#onUpdate = null;
      };
      this.#onUpdate();
    });
  }

  /** Resolves when everything up to a cursor has been received. */
  complete(): Promise<void> {
    return this.until(() => this.updates.some(({ revocations }) => revocations?.complete === true));
  }

  get keys(): NonNullable<Update['keys']>[] {
    return this.updates.flatMap(({ keys }) => keys ?? []);
  }

  get heartbeats(): NonNullable<Update['heartbeat']>[] {
    return this.updates.flatMap(({ heartbeat }) => heartbeat ?? []);
  }

  async close(): Promise<void> {
    this.#call.cancel();
    await this.end;
  }
}

function nameOf({ session_id, session_name, token_id, key_id }: Revoked): string {
  if (session_id) {
    const hex = session_id.toString('hex');
    return `sid ${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
  if (session_name !== undefined) return `sid ${session_name}`;
  return token_id === undefined ? `kid ${key_id ?? ''}` : `jti ${token_id}`;
}
