import { html, type TemplateResult } from 'lit-html';

import { href, type Page } from '../../router.ts';
import { stateView, time } from '../../ui/format.ts';
import { PagedList } from '../../ui/paged-list.ts';
import { tableHead } from '../../ui/table.ts';
import { askIssuer } from './issuer-form.ts';
import { type Issuer, issuers } from './issuers.ts';
import { KIND_NAMES } from './presets.ts';

/** `#/trusted-issuers` */
export function issuerListPage(): Page {
  const list = new PagedList((pageToken) => issuers.page(pageToken));
  return {
    title: 'Trusted issuers',
    view: () => html`
      <div class="toolbar">
        <p>
          Workloads that somebody else vouches for, such as CI jobs and pods, exchange the token of their
          issuer for one of a service account, so that they need no secret.
        </p>
        <button type="button" class="primary" @click=${askIssuer}>Trust an issuer</button>
      </div>
      ${list.view(
        table,
        'No issuer is trusted yet. Trust one, then bind its identities on the pages of service accounts.',
      )}
    `,
  };
}

function table(items: readonly Issuer[]): TemplateResult {
  return html`<div class="scroll">
    <table>
      ${tableHead(['Issuer', 'Kind', 'State', 'Audience', 'Created'])}
      <tbody>
        ${items.map(
          ({ id = '', issuer, kind = '', audience, createdAt, disabled }) =>
            html`<tr>
              <td><a href=${href(['trusted-issuers', id])}>${issuer}</a></td>
              <td>${KIND_NAMES[kind] ?? kind}</td>
              <td>${stateView(disabled)}</td>
              <td>${audience}</td>
              <td>${time(createdAt)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
