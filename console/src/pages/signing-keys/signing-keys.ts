import { html, nothing, type TemplateResult } from 'lit-html';

import { serverNow } from '../../clock.ts';
import { href, type Page, type Route } from '../../router.ts';
import { fullTime, time } from '../../ui/format.ts';
import { tableHead } from '../../ui/table.ts';
import { askRevoke, askRotate, askRotateAtOnce, duration, type KeysNow } from './change-keys.ts';
import { type KeyLife, type PhaseKind } from './key-life.ts';
import { type Keys, KeysFeed } from './keys-feed.ts';
import { timelineView } from './timeline.ts';
import { fittingSpan, spanOf, spans } from './timeline-geometry.ts';

const states: Readonly<Record<string, string>> = {
  pending: 'Published, does not sign yet',
  active: 'Signs',
  retired: 'Retired, verifies its last tokens',
  revoked: 'Revoked',
};
const tags: Readonly<Record<string, string>> = { pending: 'accent', active: 'good', revoked: 'danger' };
const iso = (atMs: number) => new Date(atMs).toISOString();
/** The default of POSTERN_KEY_ROTATION. */
const DEFAULT_ROTATION_MS = 30 * 86_400_000;

/** `#/signing-keys?span=…` */
export function signingKeysPage({ segments, query }: Route): Page | null {
  if (segments.length > 1) return null;
  const feed = new KeysFeed();
  let message = '';
  const changed = async (done: string) => {
    message = done;
    await feed.keys.reload();
  };
  return {
    title: 'Signing keys',
    leave: () => feed.stop(),
    view: () =>
      html`<p role="status">${message}</p>
        ${
          feed.silentSinceMs === null
            ? nothing
            : html`<p class="error" role="alert">
                Postern has not answered since ${fullTime(iso(feed.silentSinceMs))}. What stands here may be
                out of date.
              </p>`
        }
        ${feed.keys.view((keys) => (keys.lives.length === 0 ? sharedSecret() : keysView(keys, query.get('span'), changed)))}`,
  };
}

function sharedSecret(): TemplateResult {
  return html`<p class="none">
    There are no signing keys: Postern signs with the shared secret of its settings
    (<code>POSTERN_ALGORITHM=HS256</code>). Whoever verifies has the secret, and could sign as well; to change
    it, set another <code>POSTERN_SECRET</code> everywhere at once. With <code>ES256</code>,
    <code>EdDSA</code> or <code>RS256</code> Postern has keys that it rotates by itself, and verifiers need no
    secret.
  </p>`;
}

function keysView(
  { lives, maxAgeSeconds }: Keys,
  chosen: string | null,
  changed: KeysNow['changed'],
): TemplateResult {
  const nowMs = serverNow();
  const name = chosen !== null && Object.hasOwn(spans, chosen) ? chosen : fittingSpan(lives, nowMs);
  const now: KeysNow = { lives, maxAgeSeconds, nowMs, changed };
  const pending = lives.find(({ state }) => state === 'pending');
  return html`<p>
      Access tokens are signed with the key that signs now, and verified with every key that is published.
      Postern rotates keys by itself.
    </p>
    ${timelineView(lives, spanOf(name, lives, nowMs), nowMs)}
    <nav class="ranges" aria-label="Time shown">
      ${Object.entries(spans).map(
        ([key, { title }]) =>
          html`<a
            href=${href(['signing-keys'], { span: key })}
            aria-current=${key === name ? 'true' : 'false'}
            >${title}</a
          >`,
      )}
    </nav>
    <h2>Rotation</h2>
    <p>${rotationText(lives, nowMs)}</p>
    <div class="buttons">
      ${pending ? nothing : html`<button type="button" @click=${() => askRotate(now)}>Rotate</button>`}
      <button type="button" @click=${() => askRotateAtOnce(now)}>Rotate at once</button>
      <span class="detail">Verifiers may keep the key set for ${duration(maxAgeSeconds)}.</span>
    </div>
    <h2>Keys</h2>
    ${keyTable(now)}`;
}

/** What is known of the next rotation. */
function rotationText(lives: readonly KeyLife[], nowMs: number): TemplateResult {
  const pending = lives.find(({ state }) => state === 'pending');
  if (pending)
    return html`A rotation is under way: key <code>${pending.kid.slice(0, 8)}</code> is published and signs
      ${time(iso(pending.activateAtMs))}, at ${fullTime(iso(pending.activateAtMs))}.`;
  const active = lives.find(({ state }) => state === 'active');
  if (!active) return html`No key signs now: look at the log of the service.`;
  const due = active.activateAtMs + DEFAULT_ROTATION_MS;
  return html`Key <code>${active.kid.slice(0, 8)}</code> has signed since
    ${fullTime(iso(active.activateAtMs))}. The next one follows by itself after
    <code>POSTERN_KEY_ROTATION</code>, which this page does not know; with its default of 30 days that is
    ${due < nowMs ? 'over' : html`on ${fullTime(iso(due))}`}.`;
}

function keyTable(now: KeysNow): TemplateResult {
  return html`<div class="scroll">
    <table class="keys">
      <caption class="visually-hidden">
        Signing keys, newest first
      </caption>
      ${tableHead(['Key', 'State', 'Published', 'Signs from', 'Retired', 'Gone'], 'Actions')}
      <tbody>
        ${now.lives.map((life) => keyRow(now, life))}
      </tbody>
    </table>
  </div>`;
}

function keyRow(now: KeysNow, life: KeyLife): TemplateResult {
  const { kid, algorithm, state, createdAtMs, endMs, phases, isRevoked } = life;
  const short = kid.slice(0, 8);
  const begin = (kind: PhaseKind) => {
    const phase = phases.find((phase) => phase.kind === kind);
    return phase ? time(iso(phase.fromMs)) : html`<span class="absent">–</span>`;
  };
  return html`<tr>
    <th scope="row"><code title=${kid}>${short}</code> <span class="detail">${algorithm}</span></th>
    <td><span class="tag ${tags[state] ?? ''}">${states[state] ?? state}</span></td>
    <td>${time(iso(createdAtMs))}</td>
    <td>${begin('signs')}</td>
    <td>${begin('retired')}</td>
    <td>
      ${endMs === null ? html`<span class="absent">–</span>` : html`${isRevoked ? 'revoked ' : ''}${time(iso(endMs))}`}
    </td>
    <td class="do">
      <div class="buttons">
        <a href=${href(['audit'], { target: kid })} aria-label=${`Events on key ${short}`}>Events</a>
        ${
          isRevoked
            ? nothing
            : html`<button
                type="button"
                class="quiet danger"
                aria-label=${`Revoke key ${short}`}
                @click=${() => askRevoke(now, life)}
              >
                Revoke
              </button>`
        }
      </div>
    </td>
  </tr>`;
}
