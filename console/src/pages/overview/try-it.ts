import { html, nothing, type TemplateResult } from 'lit-html';

import { href } from '../../router.ts';
import { admin, authAnonymously, Refusal } from '../../rpc.ts';
import { errorView } from '../../ui/load.ts';
import { update } from '../../update.ts';
import { duration } from './units.ts';

/** How long a verifier may go on accepting the token until the panel gives up, ms. */
const PATIENCE_MS = 10_000;
/** Between two verifications, ms, so that an instance that does not learn of the revocation is not flooded. */
const PAUSE_MS = 10;

interface Step {
  readonly rpc: string;
  /** What happens, in a sentence. */
  readonly text: string;
  /** What was answered, and how long it took; null while it runs. */
  readonly outcome: { readonly answer: string; readonly ms: number } | null;
}

/** The user that a run has made. */
interface TemporaryUser {
  readonly id: string;
  readonly email: string;
  readonly isDeleted: boolean;
}

/** Shows a login, a session and its revocation with a user of its own. */
export class TryIt {
  #steps: readonly Step[] = [];
  #isRunning = false;
  #error: unknown = null;
  #user: TemporaryUser | null = null;
  /** From the moment the revocation was sent until a verification was refused, ms. */
  #refusedAfterMs: number | null = null;

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#steps = [];
    this.#error = null;
    this.#user = null;
    this.#refusedAfterMs = null;
    update();
    try {
      await this.#logInAndRevoke();
    } catch (error) {
      this.#error = error;
    }
    try {
      await this.#deleteUser();
    } catch (error) {
      this.#error ??= error;
    }
    this.#isRunning = false;
    update();
  }

  async #logInAndRevoke(): Promise<void> {
    const email = `try-it-${randomText(8)}@postern.invalid`;
    const password = randomText(24);
    await this.#step('CreateUser', 'A temporary user is made, with a random password.', async () => {
      const { id = '' } = await admin('createUser', { email, password });
      this.#user = { id, email, isDeleted: false };
      return email;
    });
    let token = '';
    await this.#step(
      'Login',
      'The user logs in. That opens a session; its access token goes with each request to your services.',
      async () => {
        const { accessToken = '', expiresIn = 0 } = await authAnonymously('login', { email, password });
        token = accessToken;
        return `an access token for ${duration(expiresIn)}`;
      },
    );
    await this.#step(
      'VerifyToken',
      'A service asks whether the token is valid. Postern answers from memory, without the database.',
      async () => {
        const { subject = '' } = await authAnonymously('verifyToken', { accessToken: token });
        return `valid, for user ${subject.slice(0, 8)}…`;
      },
    );
    const sentMs = performance.now();
    await this.#step(
      'RevokeToken',
      'The user logs out. The session ends, although its token has not expired.',
      async () => {
        await authAnonymously('revokeToken', { token });
        return 'the session has ended';
      },
    );
    await this.#step('VerifyToken', 'The service asks again, until the token is refused.', async () => {
      const { reason, calls } = await untilRefused(token, sentMs);
      this.#refusedAfterMs = performance.now() - sentMs;
      return `${reason}${calls === 1 ? ', at the first call' : `, after ${calls} calls`}`;
    });
  }

  /** Also when a step has failed. */
  async #deleteUser(): Promise<void> {
    const user = this.#user;
    if (!user) return;
    await this.#step('DeleteUser', 'The temporary user is deleted again.', async () => {
      await admin('deleteUser', { userId: user.id });
      this.#user = { ...user, isDeleted: true };
      return 'deleted';
    });
  }

  /** @param work returns what was answered */
  async #step(rpc: string, text: string, work: () => Promise<string>): Promise<void> {
    const before = this.#steps;
    const show = (outcome: Step['outcome']) => {
      this.#steps = [...before, { rpc, text, outcome }];
      update();
    };
    show(null);
    const startedMs = performance.now();
    const elapsed = () => performance.now() - startedMs;
    try {
      const answer = await work();
      show({ answer, ms: elapsed() });
    } catch (error) {
      const answer = error instanceof Refusal && error.reason !== '' ? error.reason : 'failed';
      show({ answer, ms: elapsed() });
      throw error;
    }
  }

  view(): TemplateResult {
    return html`<section class="card try-it" aria-labelledby="try-it">
      <h2 id="try-it">Try it</h2>
      <p>
        See a login, a session and its revocation. This makes a temporary user and deletes it again; the audit
        trail keeps both.
      </p>
      <div class="buttons">
        <button type="button" class="primary" ?disabled=${this.#isRunning} @click=${() => void this.#run()}>
          ${this.#steps.length === 0 ? 'Log in and revoke' : 'Do it again'}
        </button>
      </div>
      <div role="status">${this.#result()}</div>
      ${this.#error === null ? nothing : errorView(this.#error)} ${this.#leftOver()}
      ${
        this.#steps.length === 0
          ? nothing
          : html`<ol class="steps">
              ${this.#steps.map(stepView)}
            </ol>`
      }
    </section>`;
  }

  #result(): TemplateResult | typeof nothing {
    if (this.#refusedAfterMs === null) return nothing;
    return html`<p class="result">
        Refused <strong>${duration(this.#refusedAfterMs / 1000)}</strong> after the revocation was sent.
      </p>
      <p>
        The charts below show it within seconds.
        <a href=${href(['audit'], { target: this.#user?.id ?? '' })}
          >What the audit trail says of this user</a
        >
      </p>`;
  }

  #leftOver(): TemplateResult | typeof nothing {
    const user = this.#user;
    if (this.#isRunning || !user || user.isDeleted) return nothing;
    return html`<p class="notice warn">
      The temporary user <a href=${href(['users', user.id])}>${user.email}</a> was not deleted: delete it on
      its page.
    </p>`;
  }
}

function stepView({ rpc, text, outcome }: Step): TemplateResult {
  return html`<li>
    <span class="what">${text}</span>
    <span class="answer"
      ><code>${rpc}</code>
      ${outcome === null ? '…' : html`${outcome.answer} <strong>${duration(outcome.ms / 1000)}</strong>`}</span
    >
  </li>`;
}

/** Verifies until it is refused for its revocation. @throws Refusal for any other reason, and when it never is */
async function untilRefused(token: string, sentMs: number): Promise<{ reason: string; calls: number }> {
  for (let calls = 1; performance.now() - sentMs < PATIENCE_MS; calls += 1) {
    try {
      await authAnonymously('verifyToken', { accessToken: token });
    } catch (error) {
      if (error instanceof Refusal && error.reason === 'TOKEN_REVOKED')
        return { reason: error.reason, calls };
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new Refusal(`The token was still accepted ${duration(PATIENCE_MS / 1000)} after the revocation.`);
}

/** @param bytes of randomness, as hexadecimal text */
function randomText(bytes: number): string {
  return [...crypto.getRandomValues(new Uint8Array(bytes))]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('');
}
