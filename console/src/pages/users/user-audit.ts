import { html, type TemplateResult } from 'lit-html';

import { href } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { type AuditEvent, auditTable } from '../../ui/audit-events.ts';
import { Load } from '../../ui/load.ts';

/** How many events are shown here; the rest is on the page of the audit trail. */
const LATEST = 20;

/** The latest events on a user, such as refused logins, and by a user. */
export class UserAudit {
  readonly #userId: string;
  readonly #on: Load<readonly AuditEvent[]>;
  readonly #by: Load<readonly AuditEvent[]>;

  constructor(userId: string) {
    this.#userId = userId;
    this.#on = new Load(() => latest({ target: userId }));
    this.#by = new Load(() => latest({ actor: userId }));
  }

  reload(): void {
    void this.#on.reload();
    void this.#by.reload();
  }

  view(): TemplateResult {
    const reload = () => this.reload();
    const links = (query: Readonly<Record<string, string>>, all: string) =>
      html`<div class="buttons">
        <button type="button" class="quiet" @click=${reload}>Load again</button>
        <a href=${href(['audit'], query)}>${all}</a>
      </div>`;
    return html`<section>
        <div class="heading">
          <h2>What happened to this user</h2>
          ${links({ target: this.#userId }, 'All events on this user')}
        </div>
        <p class="detail">
          The latest ${LATEST}. A refused login says why; the user was told only that the e-mail or the
          password is wrong.
        </p>
        ${this.#on.view((events) =>
          events.length === 0
            ? html`<p class="none">
                No events. Logins, refused ones too, and changes by administrators are recorded here.
              </p>`
            : auditTable(events, 'The latest events on this user'),
        )}
      </section>
      <section>
        <div class="heading">
          <h2>What this user did</h2>
          ${links({ actor: this.#userId }, 'All events by this user')}
        </div>
        ${this.#by.view((events) =>
          events.length === 0
            ? html`<p class="none">No events. Logins and what the user changes are recorded here.</p>`
            : auditTable(events, 'The latest events by this user'),
        )}
      </section>`;
  }
}

async function latest(filter: { readonly target: string } | { readonly actor: string }) {
  return (await admin('listAuditEvents', { ...filter, pageSize: LATEST })).events ?? [];
}
