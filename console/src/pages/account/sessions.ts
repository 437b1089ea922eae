import { html, nothing, type TemplateResult } from 'lit-html';

import type { Session } from '../../../../src/generated/postern/v1/admin.ts';
import { admin } from '../../rpc.ts';
import { loggedIn } from '../../session.ts';
import { confirm } from '../../ui/dialog.ts';
import { time } from '../../ui/format.ts';
import { PagedList } from '../../ui/paged-list.ts';
import type { Wire } from '../../wire.ts';

/** The sessions of the user who is logged in. Only administrators can list sessions, their own as well. */
export class OwnSessions {
  readonly #sessions = new PagedList<Wire<Session>>(async (pageToken) => {
    const userId = loggedIn()?.userId ?? '';
    const { sessions = [], nextPageToken = '' } = await admin('listSessions', {
      userId,
      pageSize: 20,
      pageToken,
    });
    return { items: sessions, nextPageToken };
  });

  reload(): Promise<void> {
    return this.#sessions.reload();
  }

  view(): TemplateResult {
    return this.#sessions.view(
      (sessions) =>
        html`<div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Device</th>
                <th scope="col">Address</th>
                <th scope="col">Logged in</th>
                <th scope="col">Last renewed</th>
                <th scope="col">Ends at the latest</th>
                <th scope="col"><span class="visually-hidden">Actions</span></th>
              </tr>
            </thead>
            <tbody>
              ${sessions.map((session) => this.#row(session))}
            </tbody>
          </table>
        </div>`,
      'No sessions. Each login opens one.',
    );
  }

  #row(session: Wire<Session>): TemplateResult {
    const { id = '', userAgent = '', clientAddress = '' } = session;
    const isThis = id === loggedIn()?.sessionId;
    return html`<tr>
      <td>
        ${userAgent === '' ? html`<span class="absent">unknown</span>` : userAgent}
        ${isThis ? html`<span class="tag good">this session</span>` : nothing}
      </td>
      <td>${clientAddress === '' ? html`<span class="absent">–</span>` : clientAddress}</td>
      <td>${time(session.createdAt)}</td>
      <td>${time(session.refreshedAt)}</td>
      <td>${time(session.expiresAt)}</td>
      <td class="do">
        ${
          isThis
            ? nothing
            : html`<button
                type="button"
                class="quiet danger"
                aria-label=${`End the session ${id}`}
                @click=${() => this.#askToEnd(session)}
              >
                End
              </button>`
        }
      </td>
    </tr>`;
  }

  #askToEnd({ id = '', userAgent = '', clientAddress = '' }: Wire<Session>): void {
    confirm({
      title: 'End this session',
      text: html`The device has to log in again: <strong>${userAgent || 'unknown'}</strong>, from
        ${clientAddress || 'an unknown address'}. Its access token is refused within a second.`,
      verb: 'End the session',
      name: null,
      work: async () => {
        await admin('revokeSessions', { sessionId: id });
        await this.reload();
      },
    });
  }
}
