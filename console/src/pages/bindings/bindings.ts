import { html, nothing, type TemplateResult } from 'lit-html';

import type { WorkloadBinding } from '../../../../src/generated/postern/v1/admin.ts';
import { href } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { confirm } from '../../ui/dialog.ts';
import { count, time } from '../../ui/format.ts';
import { PagedList } from '../../ui/paged-list.ts';
import { tableHead } from '../../ui/table.ts';
import type { Wire } from '../../wire.ts';
import { accounts } from '../../ui/accounts.ts';
import { issuers } from '../trusted-issuers/issuers.ts';
import { askBinding } from './binding-form.ts';

/** Of which account, or of which issuer, the bindings are. */
type BindingOwner = { readonly clientId: string } | { readonly issuerId: string };

/** A binding with the name of what is at its other end. */
interface NamedBinding extends Wire<WorkloadBinding> {
  readonly otherName: string;
}

/** The section about the workload identities that are bound to an account, or of an issuer. */
export class Bindings {
  readonly #owner: BindingOwner;
  readonly #list: PagedList<NamedBinding>;
  #said = '';

  constructor(owner: BindingOwner) {
    this.#owner = owner;
    this.#list = new PagedList(async (pageToken) => {
      const { workloadBindings = [], nextPageToken = '' } = await admin('listWorkloadBindings', {
        ...owner,
        pageToken,
      });
      return { items: await this.#named(workloadBindings), nextPageToken };
    });
  }

  async #named(bindings: readonly Wire<WorkloadBinding>[]): Promise<NamedBinding[]> {
    if ('clientId' in this.#owner) {
      const found = await issuers.find(bindings.map(({ issuerId = '' }) => issuerId));
      return bindings.map((binding) => {
        const otherName = found.get(binding.issuerId ?? '')?.issuer ?? '';
        return { ...binding, otherName };
      });
    }
    const found = await accounts.find(bindings.map(({ clientId = '' }) => clientId));
    return bindings.map((binding) => {
      const otherName = found.get(binding.clientId ?? '')?.name ?? '';
      return { ...binding, otherName };
    });
  }

  view(): TemplateResult {
    const owner = this.#owner;
    const isOfAccount = 'clientId' in owner;
    return html`<section aria-labelledby="bindings">
      <div class="heading">
        <h2 id="bindings">Workload identities</h2>
        ${
          isOfAccount
            ? html`<button
                type="button"
                @click=${() => askBinding(owner.clientId, () => this.#changed('The identity is bound.'))}
              >
                Bind an identity
              </button>`
            : nothing
        }
      </div>
      <p class="detail">
        ${
          isOfAccount
            ? 'A pod, a CI job or a machine gets tokens of this account without a secret: for a token of a trusted issuer, or for its client certificate.'
            : html`Trust alone gives nothing: a binding says which identity of the issuer is which service
                account. Bind one on the page of the
                <a href=${href(['service-accounts'])}>service account</a>.`
        }
      </p>
      <p role="status">${this.#said}</p>
      ${this.#list.view(
        (bindings) => this.#table(bindings),
        isOfAccount
          ? 'No identity is bound: the account authenticates with its secret or a public key.'
          : 'No identity of the issuer is bound yet, so its tokens give nothing.',
      )}
    </section>`;
  }

  async #changed(said: string): Promise<void> {
    this.#said = said;
    await this.#list.reload();
  }

  #table(bindings: readonly NamedBinding[]): TemplateResult {
    const other = 'clientId' in this.#owner ? 'Issuer' : 'Service account';
    return html`<div class="scroll">
      <table>
        ${tableHead([other, 'Claims, which must all match', 'Roles at most', 'Created'], 'Actions')}
        <tbody>
          ${bindings.map((binding) => this.#row(binding))}
        </tbody>
      </table>
    </div>`;
  }

  #row(binding: NamedBinding): TemplateResult {
    const { claims = {}, roles = [], createdAt } = binding;
    const lines = Object.entries(claims).map(([path, value]) => `${path} = ${String(value)}`);
    return html`<tr>
      <td>${this.#other(binding)}</td>
      <td>${lines.map((line) => html`<div><code>${line}</code></div>`)}</td>
      <td>${roles.length === 0 ? 'all of the account' : roles.join(', ')}</td>
      <td>${time(createdAt)}</td>
      <td class="do">
        <button
          type="button"
          class="quiet danger"
          aria-label="Delete the binding of ${lines.join(', ')}"
          @click=${() => this.#delete(binding, lines)}
        >
          Delete
        </button>
      </td>
    </tr>`;
  }

  #other({ clientId = '', issuerId = '', otherName }: NamedBinding): TemplateResult {
    if ('issuerId' in this.#owner)
      return html`<a href=${href(['service-accounts', clientId])}>${otherName || clientId}</a>`;
    return issuerId === ''
      ? html`client certificate`
      : html`<a href=${href(['trusted-issuers', issuerId])}>${otherName || issuerId}</a>`;
  }

  #delete({ id = '' }: NamedBinding, lines: readonly string[]): void {
    confirm({
      title: 'Delete the binding',
      text: html`Tokens that were issued for it end now, and the workload gets no more:
      ${lines.map((line, index) => html`${index === 0 ? nothing : ', '}<code>${line}</code>`)}.`,
      verb: 'Delete the binding',
      name: null,
      work: async () => {
        const { revokedTokens = 0 } = await admin('deleteWorkloadBinding', { id });
        await this.#changed(`The binding is deleted. Tokens ended: ${count(revokedTokens)}.`);
      },
    });
  }
}
