import { html } from 'lit-html';

import { navigate } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { update } from '../../update.ts';
import { discovery, keysOf, type KeySource } from './key-source.ts';
import { keySourceFields } from './key-source-fields.ts';
import { ALGORITHMS, DEFAULT_ALGORITHMS, type IssuerPreset, PRESETS } from './presets.ts';

/** Asks for an issuer to trust. A preset fills the form; everything of it can be changed. */
export function askIssuer(): void {
  let createdId = '';
  let preset: IssuerPreset = PRESETS[0];
  let source: KeySource = { ...discovery };
  let [issuer, maxAge, acceptOnce] = ['', '', false];
  const fill = (index: number) => {
    preset = PRESETS[index] ?? PRESETS[0];
    issuer = preset.issuer;
    maxAge = String(preset.maxAgeSeconds);
    acceptOnce = preset.acceptOnce;
    source = { ...discovery, from: preset.keysFrom };
    update();
  };
  fill(0);
  openForm({
    title: 'Trust an issuer',
    verb: () => 'Trust the issuer',
    fields: () => html`
      <label
        >What it is
        <select
          name="preset"
          @change=${(event: Event) => fill((event.target as HTMLSelectElement).selectedIndex)}
        >
          ${PRESETS.map((known) => html`<option ?selected=${known === preset}>${known.name}</option>`)}
        </select>
        <span class="hint">${preset.hint}</span>
      </label>
      <label
        >Issuer
        <input
          name="issuer"
          required
          maxlength="256"
          autocomplete="off"
          spellcheck="false"
          placeholder=${preset.exampleIssuer}
          .value=${issuer}
          @input=${(event: InputEvent) => (issuer = (event.target as HTMLInputElement).value)}
        />
        <span class="hint"
          >Exactly as its tokens name it in
          “iss”${preset.kind === 'SPIFFE' ? ', or the trust domain' : ''}.</span
        >
      </label>
      ${keySourceFields(source, preset.kind === 'SPIFFE')}
      <label
        >Audience of its tokens
        <input name="audience" maxlength="256" autocomplete="off" spellcheck="false" />
        <span class="hint"
          >What “aud” must contain. Empty: the issuer name of this service (POSTERN_ISSUER).</span
        >
      </label>
      <fieldset class="choices">
        <legend>Algorithms</legend>
        ${ALGORITHMS.map(
          (name) =>
            html`<label
              ><input
                type="checkbox"
                name="algorithm"
                value=${name}
                ?checked=${DEFAULT_ALGORITHMS.includes(name)}
              />
              ${name}</label
            >`,
        )}
      </fieldset>
      <label
        >Maximum age of a token, in seconds
        <input
          name="maxAge"
          type="number"
          required
          min="1"
          max="86400"
          .value=${maxAge}
          @input=${(event: InputEvent) => (maxAge = (event.target as HTMLInputElement).value)}
        />
      </label>
      <label class="check"
        ><input
          type="checkbox"
          name="acceptOnce"
          .checked=${acceptOnce}
          @change=${(event: Event) => (acceptOnce = (event.target as HTMLInputElement).checked)}
        />
        Accept each token once only
        <span class="hint">Right for CI systems. Kubernetes and SPIRE hand out the same token again.</span>
      </label>
    `,
    work: async ({ text, checked }) => {
      const { id = '' } = await admin('createTrustedIssuer', {
        issuer: issuer.trim(),
        kind: preset.kind,
        keys: keysOf(source),
        audience: text('audience'),
        algorithms: checked('algorithm'),
        maxAge: Number(maxAge),
        acceptOnce,
      });
      createdId = id;
    },
    afterwards: () => navigate(['trusted-issuers', createdId]),
  });
}
