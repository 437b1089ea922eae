import { html, type TemplateResult } from 'lit-html';

import type { ServiceKey } from '../../../../src/generated/postern/v1/admin.ts';
import { admin } from '../../rpc.ts';
import { confirm } from '../../ui/dialog.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { count, time } from '../../ui/format.ts';
import { Load } from '../../ui/load.ts';
import { tableHead } from '../../ui/table.ts';
import { update } from '../../update.ts';
import type { Wire } from '../../wire.ts';

const MAX_KEYS = 10;

/** The public keys of an account. */
export class ServiceKeys {
  readonly #clientId: string;
  readonly #keys: Load<readonly Wire<ServiceKey>[]>;
  #said = '';

  constructor(clientId: string) {
    this.#clientId = clientId;
    this.#keys = new Load(async () => (await admin('listServiceKeys', { clientId })).serviceKeys ?? []);
  }

  view(): TemplateResult {
    return html`<section aria-labelledby="public-keys">
      <div class="heading">
        <h2 id="public-keys">Public keys</h2>
        <button
          type="button"
          ?disabled=${(this.#keys.value?.length ?? 0) >= MAX_KEYS}
          @click=${() => this.#add()}
        >
          Add a public key
        </button>
      </div>
      <p class="detail">
        With a key the program signs an assertion in place of sending its secret, and the private key stays
        with the program. An account can have ${MAX_KEYS} keys.
      </p>
      <p role="status">${this.#said}</p>
      ${this.#keys.view((keys) =>
        keys.length === 0
          ? html`<p class="none">The account has no public key: it authenticates with its secret.</p>`
          : this.#table(keys),
      )}
    </section>`;
  }

  #table(keys: readonly Wire<ServiceKey>[]): TemplateResult {
    return html`<div class="scroll">
      <table>
        ${tableHead(['Key ID (thumbprint)', 'Algorithm', 'Added'], 'Actions')}
        <tbody>
          ${keys.map(
            ({ kid = '', algorithm, createdAt }) =>
              html`<tr>
                <td><code>${kid}</code></td>
                <td>${algorithm}</td>
                <td>${time(createdAt)}</td>
                <td class="do">
                  <button
                    type="button"
                    class="quiet danger"
                    aria-label="Delete the key ${kid}"
                    @click=${() => this.#delete(kid)}
                  >
                    Delete
                  </button>
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
  }

  #add(): void {
    openForm({
      title: 'Add a public key',
      verb: () => 'Add the key',
      fields: () => html`
        <label
          >JSON Web Key
          <textarea
            name="jwk"
            required
            rows="8"
            maxlength="4096"
            spellcheck="false"
            placeholder=${'{"kty": "EC", "crv": "P-256", "x": "…", "y": "…"}'}
          ></textarea>
        </label>
        <p class="detail">EC with P-256, Ed25519, or RSA of 2048 to 4096 bits. A private key is refused.</p>
      `,
      work: async ({ text }) => {
        await admin('addServiceKey', { clientId: this.#clientId, publicJwk: text('jwk') });
        this.#said = 'The key is added.';
        await this.#keys.reload();
      },
    });
  }

  #delete(kid: string): void {
    confirm({
      title: 'Delete the public key',
      text: html`Assertions of <code>${kid}</code> are refused from now on. All tokens that were issued for
        them end now, and all tokens in which the account acts for somebody else. To replace a key without
        that, add the new one first, and delete the old one when its last token has expired.`,
      verb: 'Delete the key',
      name: null,
      work: async () => {
        const { revokedTokens = 0 } = await admin('deleteServiceKey', { clientId: this.#clientId, kid });
        this.#said = `The key is deleted. Tokens ended: ${count(revokedTokens)}.`;
        await this.#keys.reload();
        update();
      },
    });
  }
}
