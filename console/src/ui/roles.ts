import { html, nothing, type TemplateResult } from 'lit-html';

import { ROLES_PATTERN } from './words.ts';

/** The field `roles` of a form. @param typed is called with each change of the text */
export function rolesField({
  label,
  hint = '',
  value = '',
  typed,
}: {
  readonly label: string;
  readonly hint?: string;
  readonly value?: string;
  readonly typed?: (text: string) => void;
}): TemplateResult {
  return html`<label
    >${label}
    <input
      name="roles"
      pattern=${ROLES_PATTERN}
      title="lower-case letters, digits and ._:- after a letter, separated by commas"
      autocomplete="off"
      autocapitalize="none"
      spellcheck="false"
      .value=${value}
      @input=${(event: InputEvent) => typed?.((event.target as HTMLInputElement).value)}
    />
    ${hint === '' ? nothing : html`<span class="hint">${hint}</span>`}
  </label>`;
}

export function rolesView(roles: readonly string[]): TemplateResult | TemplateResult[] {
  if (roles.length === 0) return html`<span class="absent">none</span>`;
  return roles.map((role) => html`<span class="tag ${role === 'admin' ? 'accent' : ''}">${role}</span> `);
}
