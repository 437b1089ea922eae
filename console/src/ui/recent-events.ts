import { html, nothing, type TemplateResult } from 'lit-html';

import { href } from '../router.ts';
import { admin } from '../rpc.ts';
import { auditTable, type AuditEvent } from './audit-events.ts';
import { Load } from './load.ts';

const LATEST = 20;
/** The console reads more than anybody changes, and each reading is an event. */
const READ = 100;

interface Latest {
  readonly events: readonly AuditEvent[];
  /** Whether there are older ones. */
  readonly hasMore: boolean;
}

async function latest(filter: { target: string } | { actor: string }): Promise<Latest> {
  const { events = [], nextPageToken = '' } = await admin('listAuditEvents', { ...filter, pageSize: READ });
  const changes = events.filter(({ action = '' }) => !action.endsWith('.read'));
  return { events: changes.slice(0, LATEST), hasMore: changes.length > LATEST || nextPageToken !== '' };
}

/** The section about the latest events on something, and what it did last where it acts. Readings are left out. */
export class RecentEvents {
  readonly #id: string;
  readonly #on: Load<Latest>;
  readonly #by: Load<Latest> | null;

  constructor(id: string, { acts }: { readonly acts: boolean }) {
    this.#id = id;
    this.#on = new Load(() => latest({ target: id }));
    this.#by = acts ? new Load(() => latest({ actor: id })) : null;
  }

  async reload(): Promise<void> {
    await Promise.all([this.#on.reload(), this.#by?.reload()]);
  }

  /** @param what it is, such as "this account" @param note about the events on it */
  view(what: string, note = ''): TemplateResult {
    const [by, id] = [this.#by, this.#id];
    return html`${section('events-on', `What happened to ${what}`, note, this.#on, { target: id })}
    ${by === null ? nothing : section('events-by', `What ${what} did last`, '', by, { actor: id })}`;
  }
}

/** In place of something that is no more, or never was. @param what it would be, such as "user" */
export function absentView(what: string, id: string): TemplateResult {
  return html`<p class="none">
    There is no ${what} with the ID <code>${id}</code>. It may have been deleted:
    <a href=${href(['audit'], { target: id })}>see what happened to it</a>.
  </p>`;
}

function section(
  id: string,
  title: string,
  note: string,
  events: Load<Latest>,
  filter: Readonly<Record<string, string>>,
): TemplateResult {
  return html`<section aria-labelledby=${id}>
    <div class="heading">
      <h2 id=${id}>${title}</h2>
      <a href=${href(['audit'], filter)} aria-label=${`${title}: everything in the audit trail`}
        >Audit trail</a
      >
    </div>
    ${note === '' ? nothing : html`<p class="detail">${note}</p>`}
    ${events.view(({ events, hasMore }) =>
      events.length === 0
        ? html`<p class="none">
            ${hasMore ? `The last ${READ} events were readings: see the audit trail for older ones.` : 'Nothing yet.'}
          </p>`
        : auditTable(events, title),
    )}
  </section>`;
}
