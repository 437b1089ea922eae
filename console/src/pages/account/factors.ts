import { html, nothing, type TemplateResult } from 'lit-html';

import type { Factor, FactorConfirmed, FactorList } from '../../../../src/generated/postern/v1/auth.ts';
import { auth } from '../../rpc.ts';
import { accept } from '../../session.ts';
import { confirm } from '../../ui/dialog.ts';
import { FACTOR_HEADS, factorCells } from '../../ui/factor-cells.ts';
import { Load } from '../../ui/load.ts';
import { tableHead } from '../../ui/table.ts';
import type { Wire } from '../../wire.ts';
import { hasPasskeys, noPasskeysHere } from '../login/passkeys.ts';
import { askForApp } from './add-app.ts';
import { askForPasskey } from './add-passkey.ts';
import { showRecoveryCodes } from './recovery-codes.ts';

/** The section about the second factors of the user who is logged in. */
export class Factors {
  readonly #list = new Load(() => auth('listFactors', {}));
  readonly #whenAdded: () => unknown;

  /** @param whenAdded runs after a factor was added, which ends all other sessions and raises the level of this one */
  constructor(whenAdded: () => unknown) {
    this.#whenAdded = whenAdded;
  }

  reload(): Promise<void> {
    return this.#list.reload();
  }

  /** Whether the user has one. False while it is not known. */
  get hasAny(): boolean {
    return (this.#list.value?.factors ?? []).length > 0;
  }

  view(): TemplateResult {
    const noPasskeys = hasPasskeys() ? noPasskeysHere() : null;
    return html`<section>
      <div class="heading">
        <h2>Second factors</h2>
        <div class="buttons">
          <button type="button" @click=${() => askForApp((added) => this.#added(added))}>
            Add an authenticator app
          </button>
          ${
            hasPasskeys() && noPasskeys === null
              ? html`<button type="button" @click=${() => askForPasskey((added) => this.#added(added))}>
                  Add a passkey
                </button>`
              : nothing
          }
        </div>
      </div>
      <p class="detail">
        With a second factor the password alone opens no session. All of your other sessions end when you add
        one. ${noPasskeys}
      </p>
      ${this.#list.view((list) => this.#listView(list))}
    </section>`;
  }

  #listView({ factors = [], recoveryCodesLeft = 0 }: Wire<FactorList>): TemplateResult {
    if (factors.length === 0)
      return html`<p class="none">
        No second factors. Add an authenticator app of your phone, or a passkey of this device.
      </p>`;
    return html`<div class="scroll">
        <table>
          ${tableHead(FACTOR_HEADS, 'Actions')}
          <tbody>
            ${factors.map((factor) => this.#row(factor, factors.length === 1))}
          </tbody>
        </table>
      </div>
      <p>
        ${recoveryCodesLeft === 1 ? '1 recovery code is left.' : `${recoveryCodesLeft} recovery codes are left.`}
        <button type="button" class="quiet" @click=${() => this.#askToReplaceCodes()}>
          Replace the recovery codes
        </button>
      </p>`;
  }

  #row(factor: Wire<Factor>, isLast: boolean): TemplateResult {
    const { name = '' } = factor;
    return html`<tr>
      ${factorCells(factor, 'Copied between your devices')}
      <td class="do">
        <button
          type="button"
          class="quiet danger"
          aria-label=${`Delete ${name}`}
          @click=${() => this.#askToDelete(factor, isLast)}
        >
          Delete
        </button>
      </td>
    </tr>`;
  }

  #added({ tokens, recoveryCodes = [] }: Wire<FactorConfirmed>): void {
    if (recoveryCodes.length > 0) showRecoveryCodes(recoveryCodes);
    if (tokens !== undefined) accept(tokens);
    void this.reload();
    this.#whenAdded();
  }

  #askToDelete({ id = '', name = '' }: Wire<Factor>, isLast: boolean): void {
    confirm({
      title: `Delete ${name}`,
      text: isLast
        ? 'This is your last second factor. The password alone logs you in from then on, and your recovery codes are deleted. A role that needs a second factor is withheld at the next login.'
        : 'You cannot log in with it any more.',
      verb: 'Delete',
      name: isLast ? name : null,
      work: async () => {
        await auth('deleteFactor', { factorId: id });
        await this.reload();
      },
    });
  }

  #askToReplaceCodes(): void {
    let codes: readonly string[] = [];
    confirm({
      title: 'Replace the recovery codes',
      text: 'You get ten new codes. The old ones are refused from then on.',
      verb: 'Replace them',
      name: null,
      work: async () => ({ recoveryCodes: codes = [] } = await auth('replaceRecoveryCodes', {})),
      whenDone: () => {
        showRecoveryCodes(codes);
        void this.reload();
      },
    });
  }
}
