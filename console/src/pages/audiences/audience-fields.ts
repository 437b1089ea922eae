import { html, nothing, type TemplateResult } from 'lit-html';

import { href } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { update } from '../../update.ts';

/** The names of all audiences, the default first. @throws Refusal */
export async function audienceNames(): Promise<string[]> {
  const { audiences = [] } = await admin('listAudiences', {});
  return audiences.map(({ name = '' }) => name);
}

interface AudienceFields {
  readonly legend: string;
  /** What the choice permits. */
  readonly hint: string;
  /** The audiences that there are. */
  readonly names: readonly string[];
  /** The chosen ones, which the fields change. */
  readonly chosen: Set<string>;
}

/** A checkbox for each audience. A chosen name that is no audience any more can only be taken away. */
export function audienceFields({ legend, hint, names, chosen }: AudienceFields): TemplateResult {
  const gone = [...chosen].filter((name) => !names.includes(name));
  const toggle = (name: string) => (event: Event) => {
    if ((event.target as HTMLInputElement).checked) chosen.add(name);
    else chosen.delete(name);
    update();
  };
  return html`<fieldset class="choices">
    <legend>${legend}</legend>
    <p class="hint">${hint}</p>
    ${names.map(
      (name) =>
        html`<label
          ><input type="checkbox" .checked=${chosen.has(name)} @change=${toggle(name)} /> ${name}</label
        >`,
    )}
    ${
      gone.length === 0
        ? nothing
        : html`<p class="hint">No audience any more, and left out when you save: ${gone.join(', ')}</p>`
    }
    ${
      names.length > 1
        ? nothing
        : html`<p class="hint">There is one audience. <a href=${href(['audiences'])}>Add another</a></p>`
    }
  </fieldset>`;
}
