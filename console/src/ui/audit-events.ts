import { html, nothing, type TemplateResult } from 'lit-html';

import { href } from '../router.ts';
import { update } from '../update.ts';
import type { AdminMethods } from '../wire.ts';
import { actionWords, detailLines, isChange, reasonWords } from './audit-words.ts';
import { fullTime } from './format.ts';
import { shortId } from './short-id.ts';
import { type Subject, subjectView } from './subject.ts';
import { tableHead } from './table.ts';

export type AuditEvent = NonNullable<AdminMethods['listAuditEvents']['response']['events']>[number];

/** The events whose details are open. */
const open = new Set<string>();

/** Whoever acted, and what was acted on, of some events. */
export function subjectsOf(events: readonly AuditEvent[]): Subject[] {
  return events
    .flatMap(({ actorType = '', actorId = '', targetType = '', targetId = '' }) => [
      { type: actorType, id: actorId },
      { type: targetType, id: targetId },
    ])
    .filter(({ id }) => id !== '');
}

/** A table of events of the audit trail, with what else is known of each behind a button. */
export function auditTable(events: readonly AuditEvent[], caption: string): TemplateResult {
  return html`<div class="scroll">
    <table class="audit">
      <caption class="visually-hidden">
        ${caption}
      </caption>
      ${tableHead(['Time', 'Event', 'By', 'On', 'From'], 'More')}
      <tbody>
        ${events.map(eventRows)}
      </tbody>
    </table>
  </div>`;
}

function eventRows(event: AuditEvent): TemplateResult {
  const { id = '', at, action = '', outcome, clientAddress = '' } = event;
  const isRefused = outcome === 'refused';
  const why = reasonWords(event);
  const isOpen = open.has(id);
  const toggle = () => {
    if (isOpen) open.delete(id);
    else open.add(id);
    update();
  };
  return html`<tr class=${isRefused ? 'refused' : ''}>
      <td data-label="Time"><time datetime=${at ?? ''} title=${at ?? ''}>${fullTime(at)}</time></td>
      <td data-label="Event">
        ${isRefused ? html`<span class="tag danger">Refused</span> ` : nothing}<strong
          >${actionWords(action)}</strong
        >
        ${why === '' ? nothing : html`<span class="why">${why}</span>`}
      </td>
      <td data-label="By">${actorView(event)}</td>
      <td data-label="On">${targetView(event)}</td>
      <td data-label="From">${clientAddress === '' ? html`<span class="absent">–</span>` : clientAddress}</td>
      <td class="do">
        <button
          type="button"
          class="quiet"
          aria-expanded=${isOpen ? 'true' : 'false'}
          aria-label=${`Details of ${actionWords(action)}, ${fullTime(at)}`}
          @click=${toggle}
        >
          Details
        </button>
      </td>
    </tr>
    ${
      isOpen
        ? html`<tr class="details">
            <td colspan="6">${detailsView(event)}</td>
          </tr>`
        : nothing
    }`;
}

/** Who acted. Of an unknown caller there is nothing to link to. */
function actorView({ actorType: type = '', actorId: id = '' }: AuditEvent): TemplateResult {
  if (id === '') return html`<span class="absent">${type === 'anonymous' ? 'unknown caller' : type}</span>`;
  return html`<span class="kind">${type}</span> ${subjectView({ type, id })}`;
}

function targetView({ targetType: type = '', targetId: id = '' }: AuditEvent): TemplateResult {
  if (id === '') return html`<span class="absent">–</span>`;
  return html`<span class="kind">${type.replaceAll('-', ' ')}</span> ${subjectView({ type, id })}`;
}

function detailsView(event: AuditEvent): TemplateResult {
  const { id, action, reason, actorType, actorId = '', targetType = '', targetId = '' } = event;
  const { clientAddress, userAgent, requestId, details } = event;
  const fact = (name: string, value: string | undefined) =>
    value === undefined || value === ''
      ? nothing
      : html`<dt>${name}</dt>
          <dd>${value}</dd>`;
  return html`<dl class="facts">
      ${detailLines(details).map(
        (line) =>
          html`<dt>${line.name.replaceAll('_', ' ')}</dt>
            <dd>
              ${line.value}${isChange(line) ? html` <span aria-label="became">→</span> <strong>${line.after}</strong>` : nothing}
              ${line.after !== undefined && !isChange(line) ? html`<span class="absent">(unchanged)</span>` : nothing}
            </dd>`,
      )}
      ${fact('Action', action)} ${fact('Reason', reason)}
      ${fact('Actor', actorId === '' ? actorType : `${actorType} ${actorId}`)}
      ${fact('Target', targetId === '' ? '' : `${targetType} ${targetId}`)} ${fact('Address', clientAddress)}
      ${fact('User-Agent', userAgent)} ${fact('Request id', requestId)} ${fact('Event id', id)}
    </dl>
    <p class="links">
      ${actorId === '' ? nothing : html`<a href=${href(['audit'], { actor: actorId })}>All events by ${shortId(actorId)}</a>`}
      ${targetId === '' ? nothing : html`<a href=${href(['audit'], { target: targetId })}>All events on ${shortId(targetId)}</a>`}
      ${
        actorId === '' || actorId === targetId
          ? nothing
          : html`<a href=${href(['audit'], { target: actorId })}>All events on ${shortId(actorId)}</a>`
      }
    </p>`;
}
