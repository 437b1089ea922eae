import { html, type TemplateResult } from 'lit-html';

import { update } from '../../update.ts';
import type { KeySource } from './key-source.ts';

const SOURCES: readonly (readonly [KeySource['from'], string])[] = [
  ['discovery', 'found by the discovery document of the issuer'],
  ['url', 'fetched from a URL'],
  ['static', 'entered here: nothing is fetched'],
];
const MAX_DOCUMENT = 65_536;

/** The fields of a form that say where the keys of an issuer come from. They change `source`. */
export function keySourceFields(source: KeySource, isTrustDomain: boolean): TemplateResult {
  const choose = (event: Event) => {
    source.from = (event.target as HTMLSelectElement).value as KeySource['from'];
    update();
  };
  const typed = (name: 'jwksUrl' | 'staticJwks' | 'caPem' | 'bearerFile') => (event: InputEvent) => {
    source[name] = (event.target as HTMLInputElement | HTMLTextAreaElement).value;
  };
  const options = SOURCES.filter(([from]) => from !== 'discovery' || !isTrustDomain);
  const ofSource = () => {
    if (source.from === 'static')
      return html`<label
        >JSON Web Key Set
        <textarea
          required
          rows="6"
          maxlength=${MAX_DOCUMENT}
          spellcheck="false"
          placeholder=${'{"keys": […]}'}
          .value=${source.staticJwks}
          @input=${typed('staticJwks')}
        ></textarea>
        <span class="hint">After the issuer has changed its keys, they have to be entered again.</span>
      </label>`;
    return html`${
        source.from === 'url'
          ? html`<label
              >URL of the JSON Web Key Set
              <input
                type="url"
                required
                maxlength="2048"
                pattern="https://.+"
                title="an https URL"
                spellcheck="false"
                .value=${source.jwksUrl}
                @input=${typed('jwksUrl')}
            /></label>`
          : html``
      }
      <details>
        <summary>A private certificate authority, or a server that wants a token</summary>
        <label
          >Certificates that its server is verified by, in PEM
          <textarea
            rows="4"
            maxlength=${MAX_DOCUMENT}
            spellcheck="false"
            placeholder="-----BEGIN CERTIFICATE-----"
            .value=${source.caPem}
            @input=${typed('caPem')}
          ></textarea>
          <span class="hint"
            >Empty: those that Node.js trusts. A private address must be in POSTERN_ISSUER_NETWORKS.</span
          >
        </label>
        <label
          >File with a bearer token, on each instance of Postern
          <input
            maxlength="256"
            spellcheck="false"
            placeholder="/var/run/secrets/kubernetes.io/serviceaccount/token"
            .value=${source.bearerFile}
            @input=${typed('bearerFile')}
          />
          <span class="hint">Below /var/run/secrets/ or /run/secrets/. Empty: none is sent.</span>
        </label>
      </details>`;
  };
  return html`<label
      >Its keys are
      <select name="keys" @change=${choose}>
        ${options.map(([from, text]) => html`<option value=${from} ?selected=${from === source.from}>${text}</option>`)}
      </select>
    </label>
    ${ofSource()}`;
}
