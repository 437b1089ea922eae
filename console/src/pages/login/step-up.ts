import { html, nothing, type TemplateResult } from 'lit-html';
import { ref } from 'lit-html/directives/ref.js';

import type { FactorList } from '../../../../src/generated/postern/v1/auth.ts';
import { href } from '../../router.ts';
import { auth } from '../../rpc.ts';
import { accept, loggedIn } from '../../session.ts';
import { Action } from '../../ui/action.ts';
import { askOver } from '../../ui/dialog.ts';
import { focus } from '../../ui/focus.ts';
import { Load } from '../../ui/load.ts';
import type { AuthMethods, Wire } from '../../wire.ts';
import { getPasskey, hasPasskeys, noPasskeysHere } from './passkeys.ts';
import { isAskedFor, offersOf } from './login-rules.ts';

type Proof = AuthMethods['stepUp']['request'];

let asking: Promise<boolean> | null = null;
/** The address of the page where the question was last declined. */
let declinedAt: string | null = null;

/**
 * Asks for a fresh proof of the user, once for all calls that need it. Returns whether there is one.
 *
 * @param path of the refused call
 * @param because a call was refused, or a person has asked for it
 */
export function askForProof(path: string, because: 'refused' | 'asked-for' = 'refused'): Promise<boolean> {
  const page = { open: location.hash, declined: declinedAt };
  if (because === 'refused' && !isAskedFor(path, page)) return Promise.resolve(false);
  asking ??= ask(path.includes('AdminService/')).finally(() => (asking = null));
  return asking;
}

/** @param needsFactor whether the password alone does not suffice */
async function ask(needsFactor: boolean): Promise<boolean> {
  const page = location.hash;
  const factors = new Load(() => auth('listFactors', {}));
  const action = new Action();
  const isProven = await askOver('Confirm that it is you', (answer) => {
    const prove = async (proof: () => Promise<Proof>) => {
      if (await action.run(async () => accept(await auth('stepUp', await proof())))) answer(true);
    };
    const cancel = () => answer(false);
    return factors.view((list) => proofView(list, { needsFactor, action, cancel, prove }));
  });
  // A question that was closed by the end of the session was declined by nobody.
  declinedAt = isProven || loggedIn() === null ? null : page;
  return isProven;
}

interface Asked {
  readonly needsFactor: boolean;
  readonly action: Action;
  readonly cancel: () => void;
  readonly prove: (proof: () => Promise<Proof>) => Promise<void>;
}

function proofView(list: Wire<FactorList>, { needsFactor, action, cancel, prove }: Asked): TemplateResult {
  const offers = offersOf(list, {
    needsFactor,
    browserHasPasskeys: hasPasskeys() && noPasskeysHere() === null,
  });
  const cancelButton = html`<button type="button" @click=${cancel}>Cancel</button>`;
  if (offers.field === null && !offers.passkey)
    return html`<p>${offers.impossible}</p>
      ${
        offers.addsFactor
          ? html`<p><a href=${href(['account'])} @click=${cancel}>Add a second factor on My account</a></p>`
          : nothing
      }
      <div class="buttons">${cancelButton}</div>`;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const value = new FormData(event.target as HTMLFormElement).get('proof');
    const text = typeof value === 'string' ? value : '';
    void prove(() => Promise.resolve(offers.field === 'password' ? { password: text } : { code: text }));
  };
  return html`<p>
      ${needsFactor ? 'What you asked for needs a second factor.' : 'What you asked for needs a fresh proof, because it changes how you log in.'}
    </p>
    <form @submit=${submit}>
      ${
        offers.field === null
          ? nothing
          : html`<label
              >${offers.label}
              ${
                offers.field === 'password'
                  ? html`<input
                      name="proof"
                      type="password"
                      required
                      ${ref(focus)}
                      autocomplete="current-password"
                    />`
                  : html`<input
                      name="proof"
                      required
                      ${ref(focus)}
                      autocomplete="one-time-code"
                      spellcheck="false"
                    />`
              }
            </label>`
      }
      ${action.failure()}
      <div class="buttons">
        ${offers.field === null ? nothing : html`<button ?disabled=${action.isRunning}>Confirm</button>`}
        ${
          offers.passkey
            ? html`<button
                type="button"
                ?disabled=${action.isRunning}
                @click=${() => void prove(async () => ({ passkey: await getPasskey() }))}
              >
                Use a passkey
              </button>`
            : nothing
        }
        ${cancelButton}
      </div>
    </form>`;
}
