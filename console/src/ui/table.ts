import { html, nothing, type TemplateResult } from 'lit-html';

/** The head of a table. @param buttons what screen readers call a last column that has buttons */
export function tableHead(columns: readonly string[], buttons = ''): TemplateResult {
  return html`<thead>
    <tr>
      ${columns.map((name) => html`<th scope="col">${name}</th>`)}
      ${buttons === '' ? nothing : html`<th scope="col"><span class="visually-hidden">${buttons}</span></th>`}
    </tr>
  </thead>`;
}
