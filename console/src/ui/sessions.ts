import { html, nothing, type TemplateResult } from 'lit-html';

import type { Session } from '../../../src/generated/postern/v1/admin.ts';
import { admin } from '../rpc.ts';
import { loggedIn } from '../session.ts';
import { deviceOf } from './device.ts';
import { confirm } from './dialog.ts';
import { time } from './format.ts';
import { PagedList } from './paged-list.ts';
import { tableHead } from './table.ts';
import { update } from '../update.ts';
import type { Wire } from '../wire.ts';

/** The sessions of a user, as a section or as a list. Only administrators can list sessions, their own as well. */
export class Sessions {
  readonly #userId: string;
  #includesEnded = false;
  #list: PagedList<Wire<Session>>;

  constructor(userId: string) {
    this.#userId = userId;
    this.#list = this.#read();
  }

  /** Begins at the first page again. */
  reload(): void {
    this.#list = this.#read();
    update();
  }

  /** The section, which can end all of them. @param email of the user */
  view(email: string): TemplateResult {
    const toggle = (event: Event) => {
      this.#includesEnded = (event.target as HTMLInputElement).checked;
      this.reload();
    };
    return html`<section>
      <div class="heading">
        <h2>Sessions</h2>
        <div class="buttons">
          <label class="check"
            ><input type="checkbox" .checked=${this.#includesEnded} @change=${toggle} /> Show ended
            ones</label
          >
          <button type="button" class="danger" @click=${() => this.#askToEndAll(email)}>
            End all sessions
          </button>
        </div>
      </div>
      ${this.list()}
    </section>`;
  }

  list(): TemplateResult {
    return this.#list.view(
      (sessions) => this.#table(sessions),
      this.#includesEnded
        ? 'No sessions, and none that has ended lately. Each login opens one.'
        : 'No sessions: the user is logged in nowhere. Each login opens one.',
    );
  }

  #read(): PagedList<Wire<Session>> {
    const request = { userId: this.#userId, includeEnded: this.#includesEnded, pageSize: 20 };
    return new PagedList(async (pageToken) => {
      const { sessions = [], nextPageToken = '' } = await admin('listSessions', { ...request, pageToken });
      return { items: sessions, nextPageToken };
    });
  }

  #table(sessions: readonly Wire<Session>[]): TemplateResult {
    return html`<div class="scroll">
      <table class="sessions">
        ${tableHead(['Device', 'Address', 'Audience', 'Logged in', 'Last renewed', 'Ends at the latest'], 'Actions')}
        <tbody>
          ${sessions.map((session) => this.#row(session))}
        </tbody>
      </table>
    </div>`;
  }

  #row(session: Wire<Session>): TemplateResult {
    const { id = '', userAgent = '', clientAddress = '', audience, endedAt } = session;
    const absent = html`<span class="absent">unknown</span>`;
    const device = deviceOf(userAgent) || 'unknown device';
    return html`<tr>
      <td title=${userAgent}>
        ${userAgent === '' ? absent : device}
        ${id === loggedIn()?.sessionId ? html`<span class="tag good">this session</span>` : nothing}
        ${endedAt === undefined ? nothing : html`<span class="tag">ended ${time(endedAt)}</span>`}
      </td>
      <td>${clientAddress === '' ? absent : clientAddress}</td>
      <td>${audience}</td>
      <td>${time(session.createdAt)}</td>
      <td>
        ${session.refreshedAt === undefined ? html`<span class="absent">never</span>` : time(session.refreshedAt)}
      </td>
      <td>${time(session.expiresAt)}</td>
      <td class="do">
        ${
          endedAt === undefined
            ? html`<button
                type="button"
                class="quiet danger"
                aria-label=${`End the session of ${device}, from ${clientAddress || 'an unknown address'}`}
                @click=${() => this.#askToEnd(session)}
              >
                End
              </button>`
            : nothing
        }
      </td>
    </tr>`;
  }

  #askToEnd({ id: sessionId = '', userAgent = '', clientAddress = '' }: Wire<Session>): void {
    const isOwn = sessionId === loggedIn()?.sessionId;
    confirm({
      title: 'End the session',
      text: html`${isOwn ? 'This is the session of this page. ' : ''}The device has to log in again:
        <strong>${deviceOf(userAgent) || 'unknown'}</strong>, from ${clientAddress || 'an unknown address'}.
        Its access tokens are refused everywhere within a fraction of a second.`,
      verb: 'End the session',
      name: null,
      work: () => this.#revoke({ sessionId }),
    });
  }

  #askToEndAll(email: string): void {
    const isOwn = this.#userId === loggedIn()?.userId;
    confirm({
      title: `End all sessions of ${email}`,
      text: `${isOwn ? 'The session of this page is one of them. ' : ''}Every device has to log in again. Access tokens are refused everywhere within a fraction of a second. API keys stay.`,
      verb: 'End all sessions',
      name: null,
      work: () => this.#revoke({ userId: this.#userId }),
    });
  }

  async #revoke(request: { sessionId: string } | { userId: string }): Promise<void> {
    await admin('revokeSessions', request);
    this.reload();
  }
}
