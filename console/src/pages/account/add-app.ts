import { html, nothing, type TemplateResult } from 'lit-html';
import { ref } from 'lit-html/directives/ref.js';

import type { FactorConfirmed } from '../../../../src/generated/postern/v1/auth.ts';
import { auth } from '../../rpc.ts';
import { Action } from '../../ui/action.ts';
import { openDialog } from '../../ui/dialog.ts';
import { focus } from '../../ui/focus.ts';
import { entered } from '../../ui/form.ts';
import type { Wire } from '../../wire.ts';

/** A secret that waits for its first code. */
interface Enrolment {
  readonly factorId: string;
  readonly secret: string;
  /** Null where the part of the page that draws it could not be loaded. */
  readonly qr: TemplateResult | null;
}

/** Asks for a name, shows a QR code, and confirms by a code of the app. */
export function askForApp(whenAdded: (added: Wire<FactorConfirmed>) => void): void {
  const action = new Action();
  let enrolment: Enrolment | null = null;
  openDialog({
    title: 'Add an authenticator app',
    view: (close) => {
      const enrol = (event: SubmitEvent) => {
        const name = entered(event).text('name');
        void action.run(async () => {
          const { factorId = '', secret = '', otpauthUri = '' } = await auth('enrolTotp', { name });
          enrolment = { factorId, secret, qr: await qrCode(otpauthUri).catch(() => null) };
        });
      };
      const confirmCode = async (event: SubmitEvent, { factorId }: Enrolment) => {
        const form = event.target as HTMLFormElement;
        const code = entered(event).text('code');
        let added: Wire<FactorConfirmed> = {};
        const isAdded = await action.run(async () => {
          added = await auth('confirmFactor', { factorId, code });
        });
        if (isAdded) {
          close();
          whenAdded(added);
        } else {
          form.querySelector('input')?.select();
        }
      };
      const cancel = html`<button type="button" @click=${close}>Cancel</button>`;
      return enrolment === null
        ? nameView(enrol, action, cancel)
        : codeView(enrolment, confirmCode, action, cancel);
    },
  });
}

function nameView(
  enrol: (event: SubmitEvent) => void,
  action: Action,
  cancel: TemplateResult,
): TemplateResult {
  return html`<form @submit=${enrol}>
    <p>You need an app that makes codes (TOTP), on your phone or in your password manager.</p>
    <label
      >A name for it, such as that of the phone
      <input ${ref(focus)} name="name" required maxlength="64" autocomplete="off" .defaultValue=${'Phone'}
    /></label>
    ${action.failure()}
    <div class="buttons">
      <button ?disabled=${action.isRunning}>Continue</button>
      ${cancel}
    </div>
  </form>`;
}

function codeView(
  enrolment: Enrolment,
  confirmCode: (event: SubmitEvent, enrolment: Enrolment) => Promise<void>,
  action: Action,
  cancel: TemplateResult,
): TemplateResult {
  const { qr, secret } = enrolment;
  return html`<form @submit=${(event: SubmitEvent) => void confirmCode(event, enrolment)}>
    ${
      qr === null
        ? nothing
        : html`<p>Scan this with the app:</p>
            <p class="qr">${qr}</p>`
    }
    <p>${qr === null ? 'Type this secret into the app:' : 'Or type this secret into it:'}</p>
    <output class="secret">${secret}</output>
    <label
      >The code that the app shows
      <input
        ${ref(focus)}
        name="code"
        required
        autocomplete="one-time-code"
        inputmode="numeric"
        spellcheck="false"
    /></label>
    ${action.failure()}
    <div class="buttons">
      <button ?disabled=${action.isRunning}>Confirm</button>
      ${cancel}
    </div>
  </form>`;
}

/** The QR code is made in the page: its text has the secret. */
async function qrCode(text: string): Promise<TemplateResult> {
  const { default: encodeQR } = await import('qr');
  const rows = encodeQR(text, 'raw', { border: 4 });
  const modules = rows.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : [])));
  return html`<svg
    role="img"
    aria-label="QR code"
    viewBox="0 0 ${rows.length} ${rows.length}"
    shape-rendering="crispEdges"
  >
    <path d=${modules.join('')} />
  </svg>`;
}
