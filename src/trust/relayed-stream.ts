import { errorText } from '../domain/error-text.ts';
import type { Revocation } from '../domain/revocation-set.ts';
import { parseCursor } from './trust-cursor.ts';
import type { TrustBundle } from './trust-bundle.ts';

/**
 * Passes the revocations of an upstream's stream to the bundle of a relay, from which its own watchers resume. For them
 * the order counts, which a verifier does not need.
 *
 * A batch is complete when an update has a new cursor. Until then its place is not known: the chunks before it have the
 * cursor of the batch before, and a watcher could resume past revocations that it never got.
 */
export class RelayedStream {
  readonly #bundle: TrustBundle;
  /**
   * What has come since the last complete batch, in this stream or in earlier ones that ended before. An upstream to which
   * the relay changes may send it once more, which is harmless.
   */
  #held: Revocation[] = [];

  constructor(bundle: TrustBundle) {
    this.#bundle = bundle;
  }

  /** At the moment of arrival: the revocations take effect. */
  revoke(revocations: readonly Revocation[]): void {
    this.#bundle.revokeEarly(revocations);
  }

  /** In the order of the stream: the revocations belong to the batch that is being received. */
  hold(revocations: readonly Revocation[]): void {
    for (const revocation of revocations) this.#held.push(revocation);
  }

  /**
   * The batch is complete.
   *
   * @param isSnapshot whether it is the full list
   * @throws Error for a cursor of a form that this version does not know: its place is not known
   */
  complete(cursor: string, isSnapshot: boolean): void {
    const position = positionAt(cursor);
    const revocations = this.#held;
    this.#held = [];
    this.#bundle.applyBatch({ revocations, cursor: position, isSnapshot });
  }
}

function positionAt(cursor: string): bigint {
  let position: bigint | null;
  try {
    position = parseCursor(cursor);
  } catch (cause) {
    throw new Error(`the cursor of the upstream cannot be read (${errorText(cause)}); upgrade this relay`, {
      cause,
    });
  }
  if (position === null) throw new Error('the upstream completed a list without a cursor');
  return position;
}
