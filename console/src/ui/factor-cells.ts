import { html, nothing, type TemplateResult } from 'lit-html';

import type { Factor } from '../../../src/generated/postern/v1/auth.ts';
import type { Wire } from '../wire.ts';
import { time } from './format.ts';

/** The heads of `factorCells`. */
export const FACTOR_HEADS = ['Name', 'Kind', 'Added', 'Last used'];

/** The cells about a second factor. @param synced what the mark of a synced passkey says */
export function factorCells(factor: Wire<Factor>, synced: string): TemplateResult {
  const { name = '', kind, createdAt, lastUsedAt } = factor;
  return html`<td>${name}</td>
    <td>
      ${kind === 'PASSKEY' ? 'Passkey' : 'Authenticator app'}
      ${factor.synced ? html`<span class="tag" title=${synced}>synced</span>` : nothing}
    </td>
    <td>${time(createdAt)}</td>
    <td>${lastUsedAt === undefined ? html`<span class="absent">never</span>` : time(lastUsedAt)}</td>`;
}
