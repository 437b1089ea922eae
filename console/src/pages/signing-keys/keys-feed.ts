import { serverNow } from '../../clock.ts';
import { admin, auth } from '../../rpc.ts';
import { Load } from '../../ui/load.ts';
import { update } from '../../update.ts';
import type { AdminMethods } from '../../wire.ts';
import { type KeyLife, type KeyTimes, livesOf, nextChange } from './key-life.ts';

export interface Keys {
  readonly lives: readonly KeyLife[];
  /** How long verifiers may keep a key set, s. */
  readonly maxAgeSeconds: number;
  readonly readAtMs: number;
}

type WireKey = NonNullable<AdminMethods['listSigningKeys']['response']['signingKeys']>[number];

const POLL_MS = 10_000;
/** How often the line of now moves, ms. */
const TICK_MS = 5_000;

/**
 * The signing keys, up to date while the page is visible. Postern records each ListSigningKeys in the audit trail, so the
 * page asks for the published key set, which is public and recorded nowhere, and lists the keys again when the set has
 * changed or a change is due.
 */
export class KeysFeed {
  readonly keys: Load<Keys>;
  /** Since when the service has not answered, by the clock of the service; null while it does. */
  silentSinceMs: number | null = null;
  #published = '';
  /** Monotonic time: the clock of the service may jump when the page learns it. */
  #polledAtMs = -Infinity;
  #isPolling = false;
  readonly #revokedAtMs = new Map<string, number>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #onVisible = () => void this.#tick();

  constructor() {
    this.keys = new Load(() => this.#read());
    this.#timer = setInterval(() => void this.#tick(), TICK_MS);
    document.addEventListener('visibilitychange', this.#onVisible);
  }

  stop(): void {
    clearInterval(this.#timer);
    document.removeEventListener('visibilitychange', this.#onVisible);
  }

  async #read(): Promise<Keys> {
    const [{ signingKeys = [] }, { jwks = '', maxAge = 0 }] = await Promise.all([
      admin('listSigningKeys', {}),
      auth('getJwks', {}),
    ]);
    this.#published = jwks;
    const keys = signingKeys.map(timesOf);
    if (keys.some(({ kid, state }) => state === 'revoked' && !this.#revokedAtMs.has(kid)))
      await this.#readRevocations();
    return { lives: livesOf(keys, this.#revokedAtMs), maxAgeSeconds: maxAge, readAtMs: serverNow() };
  }

  /** When keys were revoked is known to the audit trail alone, for as long as it keeps events. */
  async #readRevocations(): Promise<void> {
    const request = { action: 'key.revoke', outcome: 'ok', pageSize: 1000 };
    const { events = [] } = await admin('listAuditEvents', request);
    // Newest first, so the first revocation of a key that was revoked again is set last.
    for (const { targetId = '', at = '' } of events) this.#revokedAtMs.set(targetId, Date.parse(at));
  }

  async #tick(): Promise<void> {
    update();
    if (document.hidden || this.#isPolling || performance.now() - this.#polledAtMs < POLL_MS) return;
    const { value } = this.keys;
    if (value === null) return;
    this.#polledAtMs = performance.now();
    this.#isPolling = true;
    const now = serverNow();
    try {
      const { jwks = '' } = await auth('getJwks', {});
      this.silentSinceMs = null;
      const dueMs = nextChange(value.lives);
      const isDue = dueMs !== null && dueMs <= now && value.readAtMs < dueMs + MAX_LATE_MS;
      if (jwks !== this.#published || isDue) await this.keys.reload();
    } catch {
      this.silentSinceMs ??= now;
    } finally {
      this.#isPolling = false;
      update();
    }
  }
}

/** How long a change that is due may be late before the page no longer looks for it, ms. */
const MAX_LATE_MS = 60_000;

function timesOf({
  kid = '',
  algorithm = '',
  state = '',
  createdAt,
  activateAt,
  removeAt,
}: WireKey): KeyTimes {
  const createdAtMs = Date.parse(createdAt ?? '');
  return {
    kid,
    algorithm,
    state,
    createdAtMs,
    activateAtMs: activateAt === undefined ? createdAtMs : Date.parse(activateAt),
    removeAtMs: removeAt === undefined ? null : Date.parse(removeAt),
  };
}
