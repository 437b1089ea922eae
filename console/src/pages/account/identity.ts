import { html, nothing, type TemplateResult } from 'lit-html';

import { post, Refusal } from '../../post.ts';
import { admin } from '../../rpc.ts';
import { accessToken, loggedIn } from '../../session.ts';
import { Load } from '../../ui/load.ts';
import { askForProof } from '../login/step-up.ts';

/** What the database says of the user, beside the access token. */
interface Known {
  /** Empty where the user may not ask for it. */
  readonly email: string;
  /** Whether the user has the role `admin`, and it is withheld until a second factor was used. */
  readonly isAdminWithheld: boolean;
}

const GET_USER = 'postern.v1.AdminService/GetUser';

/** Who is logged in. */
export class Identity {
  readonly #known: Load<Known>;
  readonly #hasFactor: () => boolean;

  constructor(isAdmin: boolean, hasFactor: () => boolean) {
    this.#hasFactor = hasFactor;
    this.#known = new Load(() => (isAdmin ? ofAdmin() : ofOther()));
  }

  /** Whether the role `admin` has no effect until a second factor was used. */
  get isAdminWithheld(): boolean {
    return this.#known.value?.isAdminWithheld === true;
  }

  reload(): Promise<void> {
    return this.#known.reload();
  }

  /** Null while it is not known. */
  get email(): string | null {
    const email = this.#known.value?.email ?? '';
    return email === '' ? null : email;
  }

  view(): TemplateResult {
    const user = loggedIn();
    if (user === null) return html``;
    const { userId, sessionId, roles, acr } = user;
    const email = this.email;
    const isWithheld = this.isAdminWithheld;
    const inEffect = roles.filter((role) => role !== 'admin' || !isWithheld);
    return html`${this.#known.view(({ isAdminWithheld }) => (isAdminWithheld ? this.#withheldView() : html``))}
      <dl class="facts">
        ${
          email === null
            ? nothing
            : html`<dt>E-mail</dt>
                <dd>${email}</dd>`
        }
        <dt>User id</dt>
        <dd><code>${userId}</code></dd>
        <dt>Roles</dt>
        <dd>
          ${inEffect.map((role) => html`<span class="tag">${role}</span> `)}
          ${isWithheld ? html`<span class="tag warn">admin, withheld</span>` : nothing}
          ${inEffect.length === 0 && !isWithheld ? html`<span class="absent">none</span>` : nothing}
        </dd>
        <dt>Logged in with</dt>
        <dd>
          ${acr === 'aal2' ? 'a second factor or a passkey' : 'the password alone'}
          <span class="tag">${acr}</span>
        </dd>
        <dt>Session</dt>
        <dd><code>${sessionId}</code></dd>
      </dl>
      ${
        roles.includes('admin') || isWithheld || this.#known.value === null
          ? nothing
          : html`<p class="detail">
              The other pages are for users with the role <code>admin</code>. If you have just been given it,
              log in again.
            </p>`
      }`;
  }

  #withheldView(): TemplateResult {
    const hasFactor = this.#hasFactor();
    const prove = async () => {
      if (await askForProof(GET_USER, 'asked-for')) await this.reload();
    };
    return html`<div class="notice warn">
      <p>
        <strong>Your role <code>admin</code> needs a second factor.</strong>
        ${
          hasFactor
            ? 'Confirm with yours, and the other pages open.'
            : 'Add an authenticator app or a passkey below, and the other pages open.'
        }
      </p>
      ${
        hasFactor
          ? html`<p>
              <button type="button" class="primary" @click=${() => void prove()}>
                Confirm with a second factor
              </button>
            </p>`
          : nothing
      }
    </div>`;
  }
}

async function ofAdmin(): Promise<Known> {
  try {
    const { email = '' } = await admin('getUser', { userId: loggedIn()?.userId ?? '' });
    return { email, isAdminWithheld: false };
  } catch (error) {
    // The token is from before the role needed a second factor.
    if (error instanceof Refusal && error.reason === 'STEP_UP_REQUIRED')
      return { email: '', isAdminWithheld: true };
    throw error;
  }
}

/**
 * Only AdminService knows whether a role is withheld: it refuses an administrator below the level otherwise than anybody else.
 * Sent without the question for a proof that other calls lead to, since nobody has asked for anything yet.
 */
async function ofOther(): Promise<Known> {
  const user = loggedIn();
  if (user === null || user.acr === 'aal2') return { email: '', isAdminWithheld: false };
  const refusal = await post(GET_USER, { userId: user.userId }, accessToken()).then(
    () => null,
    (error: unknown) => (error instanceof Refusal ? error : null),
  );
  return { email: '', isAdminWithheld: refusal?.reason === 'STEP_UP_REQUIRED' };
}
