import { html, nothing, type TemplateResult } from 'lit-html';

import type { ApiKey, CreateApiKeyRequest, CreatedApiKey } from '../../../src/generated/postern/v1/auth.ts';
import { admin, auth } from '../rpc.ts';
import type { Wire } from '../wire.ts';
import { confirm } from './dialog.ts';
import { openForm } from './form-dialog.ts';
import { fullTime, time } from './format.ts';
import { Load } from './load.ts';
import { showSecret } from './secret.ts';
import { tableHead } from './table.ts';
import { wordsOf } from './words.ts';

/** Whose keys: a user's, a service account's, or one's own (null). */
export type KeyOwner = { readonly userId: string } | { readonly clientId: string } | null;

const DAY_SECONDS = 86_400;
const LIFETIMES: readonly (readonly [seconds: number, text: string])[] = [
  [7 * DAY_SECONDS, '7 days'],
  [30 * DAY_SECONDS, '30 days'],
  [90 * DAY_SECONDS, '90 days'],
  [365 * DAY_SECONDS, '1 year'],
];
const OVERLAPS: readonly (readonly [seconds: number, text: string])[] = [
  [3_600, 'for an hour'],
  [DAY_SECONDS, 'for a day'],
  [7 * DAY_SECONDS, 'for 7 days'],
  [30 * DAY_SECONDS, 'for 30 days'],
  [0, 'no longer: it may have leaked'],
];

/** The most that a page of the service has. An owner has at most 50 valid keys. */
const PAGE_SIZE = 1000;

/** The section about the API keys of an owner: list, create, rotate, revoke. */
export class ApiKeys {
  readonly #owner: KeyOwner;
  readonly #roles: () => readonly string[];
  readonly #keys: Load<readonly Wire<ApiKey>[]>;

  /** @param roles of the owner, of which a key can have some */
  constructor(owner: KeyOwner, roles: () => readonly string[]) {
    this.#owner = owner;
    this.#roles = roles;
    this.#keys = new Load(async () => (await this.#list()).apiKeys ?? []);
  }

  reload(): Promise<void> {
    return this.#keys.reload();
  }

  /** @param isDisabled whether the owner is disabled: the keys are refused meanwhile, and there is no new one */
  view(isDisabled = false): TemplateResult {
    return html`<section>
      <div class="heading">
        <h2>API keys</h2>
        <div class="buttons">
          ${
            isDisabled
              ? nothing
              : html`<button type="button" @click=${() => this.#askToCreate()}>Create an API key</button>`
          }
        </div>
      </div>
      <p class="detail">
        For programs that cannot log in. A key has at most the roles of its owner, and is shown once, when it
        is created.
        ${isDisabled ? html`<strong>The owner is disabled, so all of them are refused now.</strong>` : nothing}
      </p>
      ${this.#keys.view((keys) =>
        keys.length === 0
          ? html`<p class="none">No API keys. Create one for a script or an integration.</p>`
          : this.#table(keys, isDisabled),
      )}
    </section>`;
  }

  #table(keys: readonly Wire<ApiKey>[], isDisabled: boolean): TemplateResult {
    const replaced = new Set(keys.map(({ rotatedFrom }) => rotatedFrom));
    const row = (key: Wire<ApiKey>) => {
      const isReplaced = replaced.has(key.id);
      return this.#row(key, { isReplaced, canRotate: !isReplaced && !isDisabled });
    };
    return html`<div class="scroll">
      <table>
        ${tableHead(['Name', 'Roles', 'Audience', 'Networks', 'Created', 'Expires', 'Last used'], 'Actions')}
        <tbody>
          ${keys.map(row)}
        </tbody>
      </table>
    </div>`;
  }

  #row(
    key: Wire<ApiKey>,
    { isReplaced, canRotate }: { readonly isReplaced: boolean; readonly canRotate: boolean },
  ): TemplateResult {
    const { name = '', roles = [], audience = '', allowedNetworks = [], lastUsedFrom = '' } = key;
    return html`<tr>
      <td>
        ${name} ${isReplaced ? html`<span class="tag">replaced</span>` : nothing}
        <div class="detail"><code>${key.id}</code></div>
      </td>
      <td>${this.#rolesOf(roles)}</td>
      <td>${audience}</td>
      <td>
        ${allowedNetworks.length === 0 ? html`<span class="absent">any</span>` : allowedNetworks.join(', ')}
      </td>
      <td>${time(key.createdAt)}</td>
      <td>${key.expiresAt === undefined ? html`<span class="absent">never</span>` : time(key.expiresAt)}</td>
      <td>
        ${key.lastUsedAt === undefined ? html`<span class="absent">never</span>` : time(key.lastUsedAt)}
        ${lastUsedFrom === '' ? nothing : html`<div class="detail">from ${lastUsedFrom}</div>`}
      </td>
      <td class="do">
        ${
          canRotate
            ? html`<button
                type="button"
                class="quiet"
                aria-label=${`Rotate ${name}`}
                @click=${() => this.#askToRotate(key)}
              >
                Rotate
              </button>`
            : nothing
        }
        <button
          type="button"
          class="quiet danger"
          aria-label=${`Revoke ${name}`}
          @click=${() => this.#askToRevoke(key)}
        >
          Revoke
        </button>
      </td>
    </tr>`;
  }

  /** A role that the owner has lost, the key has lost as well. */
  #rolesOf(roles: readonly string[]): TemplateResult | TemplateResult[] {
    if (roles.length === 0) return html`<span class="absent">none</span>`;
    const ofOwner = this.#roles();
    return roles.map((role) =>
      ofOwner.includes(role)
        ? html`<span class="tag">${role}</span> `
        : html`<span class="tag absent"><s>${role}</s> <span>not the owner's any more</span></span> `,
    );
  }

  #askToCreate(): void {
    // Which audiences there are, only administrators can ask.
    const audiences =
      this.#owner === null ? null : new Load(async () => (await admin('listAudiences', {})).audiences ?? []);
    let created: Wire<CreatedApiKey> = {};
    openForm({
      title: 'Create an API key',
      verb: () => 'Create the key',
      fields: () => html`
        <label
          >Name
          <input name="name" required maxlength="64" autocomplete="off" placeholder="nightly export" /><span
            class="hint"
            >What uses it, for people.</span
          ></label
        >
        <fieldset>
          <legend>Roles of the key</legend>
          ${
            this.#roles().length === 0
              ? html`<p class="hint">The owner has no roles, so the key has none.</p>`
              : this.#roles().map(
                  (role) => html`<label><input type="checkbox" name="role" value=${role} /> ${role}</label>`,
                )
          }
        </fieldset>
        <label
          >Audience
          <input name="audience" autocomplete="off" spellcheck="false" list="audiences-of-keys" /><span
            class="hint"
            >The service that accepts it. If empty, the default one.</span
          ></label
        >
        <datalist id="audiences-of-keys">
          ${(audiences?.value ?? []).map(({ name }) => html`<option value=${name ?? ''}></option>`)}
        </datalist>
        <label
          >Expires after
          <select name="lifetime">
            ${LIFETIMES.map(
              ([seconds, text]) =>
                html`<option value=${seconds} ?selected=${seconds === 90 * DAY_SECONDS}>${text}</option>`,
            )}
            ${this.#owner === null ? nothing : html`<option value="0">never</option>`}
          </select></label
        >
        <label
          >Networks
          <input name="networks" autocomplete="off" spellcheck="false" placeholder="192.0.2.0/24" /><span
            class="hint"
            >From which it can be used, separated by commas. If empty, any.</span
          ></label
        >
      `,
      work: async ({ text, checked }) => {
        created = await this.#create({
          name: text('name'),
          roles: checked('role'),
          audience: text('audience'),
          lifetime: Number(text('lifetime')),
          allowedNetworks: wordsOf(text('networks')),
        });
      },
      afterwards: () => this.#showKey('The API key', created),
    });
  }

  #askToRotate({ id = '', name = '' }: Wire<ApiKey>): void {
    let created: Wire<CreatedApiKey> = {};
    openForm({
      title: `Rotate ${name}`,
      verb: () => 'Rotate the key',
      fields: () => html`
        <p>A new key with the same name, roles and lifetime replaces it.</p>
        <label
          >The present key stays valid
          <select name="overlap">
            ${OVERLAPS.map(
              ([seconds, text]) =>
                html`<option value=${seconds} ?selected=${seconds === DAY_SECONDS}>${text}</option>`,
            )}
          </select></label
        >
      `,
      work: async ({ text }) => {
        const request = { id, overlap: Number(text('overlap')) };
        created = await (this.#owner === null
          ? auth('rotateApiKey', request)
          : admin('rotateApiKey', request));
      },
      afterwards: () => this.#showKey('The new API key', created),
    });
  }

  #askToRevoke({ id = '', name = '' }: Wire<ApiKey>): void {
    confirm({
      title: `Revoke ${name}`,
      text: 'The key is refused everywhere within a fraction of a second, and so is every token that it was exchanged for.',
      verb: 'Revoke the key',
      name,
      work: async () => {
        await (this.#owner === null ? auth('revokeApiKey', { id }) : admin('revokeApiKey', { id }));
        await this.#keys.reload();
      },
    });
  }

  #list() {
    const page = { pageSize: PAGE_SIZE };
    return this.#owner === null
      ? auth('listApiKeys', page)
      : admin('listApiKeys', { ...page, ...this.#owner });
  }

  #create(apiKey: Wire<CreateApiKeyRequest>) {
    return this.#owner === null
      ? auth('createApiKey', apiKey)
      : admin('createApiKey', { ...this.#owner, apiKey });
  }

  #showKey(title: string, { secret = '', previousKeyUntil }: Wire<CreatedApiKey>): void {
    const previous =
      previousKeyUntil === undefined
        ? ''
        : ` The previous key stays valid until ${fullTime(previousKeyUntil)}.`;
    showSecret(
      title,
      `It is not shown again. Keep it as secret as a password, and send it as “authorization: Bearer”.${previous}`,
      secret,
    );
    void this.#keys.reload();
  }
}
