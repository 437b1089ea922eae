import { randomUUID } from 'node:crypto';

import { uuidOfBytes } from '../domain/uuid.ts';

/** How many relays a stream may come through. Each adds its delay, and one more is a mistake rather than a plan. */
export const MAX_RELAYS = 4;
/** The size of an id on the stream. */
const ID_BYTES = 16;

/**
 * Why a relay must not get its stream through these relays, in words for the one that it asks; null when it may. In a ring
 * of relays each is fed by the others alone: it would go stale without ever asking the service again.
 *
 * @param path the relays between the service and the new one
 * @param id the new one
 */
export function relayFault(path: readonly string[], id: string): string | null {
  if (path.includes(id))
    return 'is that of a relay through which this one gets its own stream; connect one of them to the service';
  if (path.length >= MAX_RELAYS)
    return `is that of a fifth relay in a row, and there may be ${MAX_RELAYS}; connect it nearer to the service`;
  return null;
}

/** The id of this relay, and the relays between it and the service. */
export class RelayPath {
  readonly id = randomUUID();
  #path: readonly string[] = [this.id];

  /** This relay first, the one that is next to the service last. */
  get path(): readonly string[] {
    return this.#path;
  }

  /**
   * Takes the path of the upstream, which may change while the stream is open.
   *
   * @returns why this relay must leave the upstream, or null
   */
  follow(above: readonly Uint8Array[]): string | null {
    if (above.some((id) => id.length !== ID_BYTES))
      return 'the upstream sent a relay path that cannot be read';
    const path = above.map(uuidOfBytes);
    if (path.includes(this.id))
      return 'the upstream gets its stream through this relay; set --upstream to the service, or to a relay nearer to it';
    if (path.length >= MAX_RELAYS)
      return `this would be a fifth relay in a row, and there may be ${MAX_RELAYS}; set --upstream to the service, or to a relay nearer to it`;
    this.#path = [this.id, ...path];
    return null;
  }
}
