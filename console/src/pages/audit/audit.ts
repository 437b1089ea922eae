import { html, nothing, type TemplateResult } from 'lit-html';
import { keyed } from 'lit-html/directives/keyed.js';

import { serverNow } from '../../clock.ts';
import { href, navigate, type Page, type Route } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { Action } from '../../ui/action.ts';
import { auditTable, subjectsOf } from '../../ui/audit-events.ts';
import { actionGroups, actionWords } from '../../ui/audit-words.ts';
import { entered } from '../../ui/form.ts';
import { PagedList } from '../../ui/paged-list.ts';
import { rememberName } from '../../ui/names.ts';
import { hasUnknownNames, readNames } from '../../ui/subject.ts';
import { type AuditFilters, filtersOf, localTime, ranges, requestOf, timeOfInput } from './audit-filters.ts';

const PAGE_SIZE = 50;

/** `#/audit?actor=…&target=…&action=…&outcome=…&since=…&until=…` */
export function auditPage({ segments, query }: Route): Page | null {
  if (segments.length > 1) return null;
  const filters = filtersOf(query);
  const request = requestOf(filters, serverNow());
  const search = new Action();
  const list = new PagedList(async (pageToken) => {
    const { events = [], nextPageToken = '' } = await admin('listAuditEvents', {
      ...request,
      pageSize: PAGE_SIZE,
      pageToken,
    });
    return { items: events, nextPageToken };
  });
  return {
    title: 'Audit',
    view: () =>
      html`<p>
          Who did what, and what was refused, newest first. Postern keeps each event for 400 days. To read
          this page is an event, too.
        </p>
        ${keyed(query.toString(), filterForm(filters, search))} ${search.failure()} ${rangeLinks(filters)}
        ${list.view(
          (events) =>
            html`<div class="buttons">
                <button type="button" @click=${() => void list.reload()}>Read again</button>
                ${
                  hasUnknownNames(subjectsOf(events))
                    ? html`<button type="button" @click=${() => readNames(subjectsOf(events))}>
                          Show names
                        </button>
                        <span class="detail"
                          >Or rest on an id. Each user whose name is read becomes an event
                          <code>user.read</code>.</span
                        >`
                    : nothing
                }
              </div>
              ${auditTable(events, 'Events of the audit trail')}`,
          isFiltered(filters)
            ? 'No event matches these filters. Remove one of them, or choose a longer time.'
            : 'There is no event yet. Logins, changes and refusals will stand here.',
        )}`,
  };
}

const isFiltered = (filters: AuditFilters) => Object.values(filters).some((value) => value !== '');

/** Taken over by Enter or the button, and not by each key: each reading is an event. */
function filterForm(filters: AuditFilters, search: Action): TemplateResult {
  const submit = (event: SubmitEvent) => {
    const { text } = entered(event);
    // A field that was not touched keeps the exact time of the address, or its range.
    const time = (name: 'since' | 'until') =>
      text(name) === localTime(filters[name]) ? filters[name] : timeOfInput(text(name));
    void search.run(async () => {
      const [actor, target] = [await idOf(text('actor')), await idOf(text('target'))];
      const [since, until] = [time('since'), time('until')];
      navigate(['audit'], { actor, target, action: text('action'), outcome: text('outcome'), since, until });
    });
  };
  const option = (value: string, title: string, chosen: string) =>
    html`<option value=${value} ?selected=${value === chosen}>${title}</option>`;
  return html`<form class="filters" role="search" aria-label="Filters of the audit trail" @submit=${submit}>
    <label
      >By (actor)
      <input
        name="actor"
        value=${filters.actor}
        placeholder="id, e-mail or HOST/USER"
        spellcheck="false"
        autocomplete="off"
    /></label>
    <label
      >On (target)
      <input
        name="target"
        value=${filters.target}
        placeholder="id or e-mail"
        spellcheck="false"
        autocomplete="off"
    /></label>
    <label
      >Action
      <select name="action">
        ${option('', 'Any', filters.action)}
        ${actionGroups.map(
          ([group, actions]) =>
            html`<optgroup label=${group}>
              ${Object.keys(actions).map((action) => option(action, `${actionWords(action)} (${action})`, filters.action))}
            </optgroup>`,
        )}
      </select></label
    >
    <label
      >Outcome
      <select name="outcome">
        ${option('', 'Both', filters.outcome)} ${option('ok', 'Done (ok)', filters.outcome)}
        ${option('refused', 'Refused', filters.outcome)}
      </select></label
    >
    <label
      >From <input name="since" type="datetime-local" step="1" value=${localTime(filters.since)}
    /></label>
    <label
      >Before <input name="until" type="datetime-local" step="1" value=${localTime(filters.until)}
    /></label>
    <button ?disabled=${search.isRunning}>Show</button>
    ${isFiltered(filters) ? html`<a href=${href(['audit'])}>Clear</a>` : nothing}
  </form>`;
}

/** The trail has ids and no e-mails: an e-mail is looked up. */
async function idOf(text: string): Promise<string> {
  if (!text.includes('@')) return text;
  const { id = '', email } = await admin('getUser', { email: text });
  rememberName(id, email);
  return id;
}

function rangeLinks(filters: AuditFilters): TemplateResult {
  const link = (since: string, title: string) =>
    html`<a
      href=${href(['audit'], { ...filters, since, until: '' })}
      aria-current=${filters.since === since && filters.until === '' ? 'true' : 'false'}
      >${title}</a
    >`;
  return html`<nav class="ranges" aria-label="Times">
    ${link('', 'All')} ${Object.entries(ranges).map(([since, { title }]) => link(since, title))}
  </nav>`;
}
