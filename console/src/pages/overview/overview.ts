import { html, nothing, type TemplateResult } from 'lit-html';

import type { Page } from '../../router.ts';
import { admin, Refusal } from '../../rpc.ts';
import { count } from '../../ui/format.ts';
import { errorView } from '../../ui/load.ts';
import { instanceView, tile } from './instance-view.ts';
import { Instances, MAX_SHOWN } from './instances.ts';
import { Poller } from './poller.ts';
import { type Reading, readingOf, type Total } from './reading.ts';
import { TryIt } from './try-it.ts';

/** An answer that takes longer is worth a word. */
const SLOW_MS = 5_000;

/** `#/overview` */
export function overviewPage(): Page | null {
  const instances = new Instances();
  const poller = new Poller(
    () => admin('getOverview', {}),
    (answer, nowMs) => instances.add(readingOf(answer), nowMs),
  );
  const tryIt = new TryIt(() => void poller.ask());
  return {
    title: 'Overview',
    view() {
      const { latest, shown, hidden } = instances;
      return html`<div class="overview">
        ${silenceView(poller)} ${latest === null ? nothing : totalsView(latest)} ${tryIt.view()}
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

/** What is said while answers are late or refused; what was read before stays visible. */
function silenceView({
  error,
  silentMs,
}: Pick<Poller<unknown>, 'error' | 'silentMs'>): TemplateResult | typeof nothing {
  const isSlow = silentMs > SLOW_MS;
  if (error === null && !isSlow) return nothing;
  const hasNoDatabase = error instanceof Refusal && error.reason === 'STORE_UNAVAILABLE';
  return html`<div role="status">
      <p class="notice warn">
        <strong>No answer for ${Math.round(silentMs / 1000)} s.</strong> Asking again every 2 s. What is shown
        below is from before.
        ${
          hasNoDatabase
            ? 'The service runs, but cannot reach its database, in which it looks up who is an administrator. Tokens are still verified.'
            : nothing
        }
      </p>
    </div>
    ${error === null ? nothing : errorView(error)}`;
}

function totalsView({ totals }: Reading): TemplateResult {
  const text = (total: Total | undefined) =>
    total === undefined ? 'not known' : `${total.isEstimate ? 'about ' : ''}${count(total.count)}`;
  return html`<section aria-label="Totals">
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
