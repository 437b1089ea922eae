import { html, nothing, type TemplateResult } from 'lit-html';

import type { Audience } from '../../../../src/generated/postern/v1/admin.ts';
import { href, type Page, type Route } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { confirm } from '../../ui/dialog.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { time } from '../../ui/format.ts';
import { Load } from '../../ui/load.ts';
import { tableHead } from '../../ui/table.ts';
import type { Wire } from '../../wire.ts';

/** `#/audiences` */
export function audiencesPage({ segments }: Route): Page | null {
  if (segments.length > 1) return null;
  const audiences = new Load(async () => (await admin('listAudiences', {})).audiences ?? []);
  let said = '';
  const add = () =>
    openForm({
      title: 'Add an audience',
      verb: () => 'Add the audience',
      fields: () =>
        html`<label
          >Name
          <input
            name="name"
            required
            maxlength="256"
            pattern="[!-+\\-.\\/0-~]+"
            title="visible ASCII characters without a comma"
            autocomplete="off"
            spellcheck="false"
          />
          <span class="hint"
            >Of the service that accepts its tokens, such as billing or https://billing.example.com.</span
          >
        </label>`,
      work: async ({ text }) => {
        const { name = '' } = await admin('createAudience', { name: text('name') });
        said = `${name} is added: every instance and every verifier knows it within a second.`;
        await audiences.reload();
      },
    });
  const askRemoval = (name: string) =>
    confirm({
      title: `Remove ${name}`,
      text: 'Every verifier refuses its tokens from now on, and sessions for it are not refreshed. Service accounts keep the name in their lists, where it has no effect.',
      verb: 'Remove the audience',
      name,
      work: async () => {
        await admin('deleteAudience', { name });
        said = `${name} is removed.`;
        await audiences.reload();
      },
    });
  return {
    title: 'Audiences',
    view: () => html`
      <div class="toolbar">
        <p>
          An audience is a service, or a group of services, that an access token is meant for. A verifier
          accepts only tokens for its own audience. What a
          <a href=${href(['service-accounts'])}>service account</a> may ask for is set there.
        </p>
        <button type="button" class="primary" @click=${add}>Add an audience</button>
      </div>
      <p role="status">${said}</p>
      ${audiences.view((all) => table(all, askRemoval))}
    `,
  };
}

function table(all: readonly Wire<Audience>[], remove: (name: string) => void): TemplateResult {
  return html`<div class="scroll">
    <table>
      ${tableHead(['Name', 'From'], 'Actions')}
      <tbody>
        ${all.map(({ name = '', createdAt }, index) => {
          const isSetting = createdAt === undefined;
          return html`<tr>
            <td>${name} ${index === 0 ? html`<span class="tag">default</span>` : nothing}</td>
            <td>${isSetting ? html`the setting POSTERN_AUDIENCE` : html`added ${time(createdAt)}`}</td>
            <td class="do">
              ${
                isSetting
                  ? nothing
                  : html`<button
                      type="button"
                      class="quiet danger"
                      aria-label="Remove ${name}"
                      @click=${() => remove(name)}
                    >
                      Remove
                    </button>`
              }
            </td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}
