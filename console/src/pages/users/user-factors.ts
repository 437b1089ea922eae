import { html, nothing, type TemplateResult } from 'lit-html';

import type { FactorList } from '../../../../src/generated/postern/v1/auth.ts';
import { href } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { confirm } from '../../ui/dialog.ts';
import { FACTOR_HEADS, factorCells } from '../../ui/factor-cells.ts';
import { Load } from '../../ui/load.ts';
import { tableHead } from '../../ui/table.ts';
import type { Wire } from '../../wire.ts';

/** The section about the second factors of a user. */
export class UserFactors {
  readonly #userId: string;
  readonly #list: Load<Wire<FactorList>>;

  constructor(userId: string) {
    this.#userId = userId;
    this.#list = new Load(() => admin('listFactors', { userId }));
  }

  reload(): Promise<void> {
    return this.#list.reload();
  }

  /** @param reset runs after the factors were deleted */
  view({
    email,
    isSelf,
    reset,
  }: {
    readonly email: string;
    readonly isSelf: boolean;
    readonly reset: () => void;
  }): TemplateResult {
    const hasSome = (this.#list.value?.factors?.length ?? 0) > 0;
    const button = isSelf
      ? html`<a href=${href(['account'])}>Your own: My account</a>`
      : html`<button type="button" class="danger" @click=${() => this.#askToReset(email, reset)}>
          Reset the second factors
        </button>`;
    return html`<section>
      <div class="heading">
        <h2>Second factors</h2>
        <div class="buttons">${hasSome || isSelf ? button : nothing}</div>
      </div>
      ${this.#list.view(({ factors = [], recoveryCodesLeft = 0 }) =>
        factors.length === 0
          ? html`<p class="none">
              No second factors: the password alone opens a session. Users add them themselves.
            </p>`
          : html`${table(factors)}
              <p class="detail">
                ${recoveryCodesLeft} recovery ${recoveryCodesLeft === 1 ? 'code is' : 'codes are'} left.
              </p>`,
      )}
    </section>`;
  }

  #askToReset(email: string, reset: () => void): void {
    confirm({
      title: `Reset the second factors of ${email}`,
      text: 'For somebody who lost them. All second factors and recovery codes are deleted, and all sessions end. The password alone then logs the user in, without the roles that need a second factor: be sure who asks you for it.',
      verb: 'Reset the second factors',
      name: email,
      work: () => admin('deleteFactors', { userId: this.#userId }),
      whenDone: () => {
        void this.#list.reload();
        reset();
      },
    });
  }
}

function table(factors: NonNullable<Wire<FactorList>['factors']>): TemplateResult {
  return html`<div class="scroll">
    <table>
      ${tableHead(FACTOR_HEADS)}
      <tbody>
        ${factors.map(
          (factor) =>
            html`<tr>
              ${factorCells(factor, 'Copied between the devices of the user')}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
