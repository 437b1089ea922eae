import { html, nothing, type TemplateResult } from 'lit-html';

import type { Page } from '../../router.ts';
import { admin, Refusal } from '../../rpc.ts';
import { count } from '../../ui/format.ts';
import { instanceView, tile } from './instance-view.ts';
import { Instances, MAX_SHOWN } from './instances.ts';
import { Poller } from './poller.ts';
import { type Reading, readingOf, type Total } from './reading.ts';
import { TryIt } from './try-it.ts';
import { duration } from './units.ts';

/** An answer that takes longer is worth a word. */
const SLOW_MS = 5_000;

/** `#/overview` */
export function overviewPage(): Page | null {
  const instances = new Instances();
  const poller = new Poller(
    () => admin('getOverview', {}),
    (answer, nowMs) => instances.add(readingOf(answer), nowMs),
  );
  const tryIt = new TryIt();
  return {
    title: 'Overview',
    view() {
      const { latest, shown, hidden } = instances;
      return html`<div class="overview">
        ${silenceView(poller)} ${latest === null ? loadingView(poller) : totalsView(latest)} ${tryIt.view()}
        ${shown.map((series) => instanceView(series, performance.now()))}
        ${
          hidden === 0
            ? nothing
            : html`<p class="notice">
                ${hidden} more ${hidden === 1 ? 'instance has' : 'instances have'} answered. Only the
                ${MAX_SHOWN} that started last are shown.
              </p>`
        }
      </div>`;
    },
    leave: () => poller.stop(),
  };
}

function loadingView({ error }: Pick<Poller<unknown>, 'error'>): TemplateResult | typeof nothing {
  return error === null ? html`<p class="loading" role="status">Loading…</p>` : nothing;
}

/** What is said while answers are late or refused; what was read before stays visible. */
function silenceView(poller: Pick<Poller<unknown>, 'error' | 'silentMs'>): TemplateResult | typeof nothing {
  const { error, silentMs } = poller;
  if (error === null && silentMs < SLOW_MS) return nothing;
  const reason = error instanceof Refusal ? error.reason : '';
  const isDatabase = reason === 'STORE_UNAVAILABLE';
  // Only the first sentence is announced to screen readers: the rest changes every second.
  return html`<div class="notice warn">
    <p role="status">
      <strong
        >${
          isDatabase
            ? 'Postern cannot reach its database.'
            : reason === ''
              ? 'No answer from Postern.'
              : 'Postern refuses to show the values.'
        }</strong
      >
    </p>
    <p>
      No values for ${duration(Math.round(silentMs / 1000))}; older ones stay on the page. This page asks
      again every ${duration(2)}.
      ${
        isDatabase
          ? 'The database says who is an administrator. Tokens are still verified, from memory.'
          : nothing
      }
    </p>
    ${error instanceof Refusal ? refusalView(error) : nothing}
  </div>`;
}

function refusalView({ message, reason, requestId }: Refusal): TemplateResult {
  return html`<p class="detail">
    ${message} ${reason === '' ? nothing : html`<code>${reason}</code>`}
    ${requestId === '' ? nothing : html`request <code>${requestId}</code>`}
  </p>`;
}

function totalsView({ totals }: Reading): TemplateResult {
  const text = (total: Total | undefined) =>
    total === undefined ? 'not known' : `${total.isEstimate ? 'about ' : ''}${count(total.count)}`;
  return html`<section aria-labelledby="totals">
    <h2 id="totals" class="visually-hidden">Totals</h2>
    <div class="cards">
      ${tile('Users', text(totals?.users), 'Disabled ones as well.')}
      ${tile('Live sessions', text(totals?.liveSessions), 'Neither ended nor expired.')}
      ${tile('Service accounts', text(totals?.serviceAccounts), 'Programs with credentials of their own.')}
    </div>
    ${
      totals === null
        ? html`<p class="notice warn">
            The database could not be read in time, so the totals are not known.
          </p>`
        : nothing
    }
  </section>`;
}
