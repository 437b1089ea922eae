import { passwordAuthentication } from '../../domain/claims/authentication.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { canonicalEmail, emailAddress } from '../users/email.ts';
import { type FieldRules, nested, optional, requireValid, text } from '../../domain/validation.ts';
import { passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { IssuedTokens } from '../sessions/access-token-issuer.ts';
import { presentedCode } from '../second-factors/factor.ts';
import { passkeyAnswerRules } from '../second-factors/passkeys/passkey-answer.ts';
import type { PasskeyAnswer } from '../second-factors/passkeys/prove-passkey.ts';
import type { SecondFactorProof } from '../second-factors/second-factor-proof.ts';
import { checkPassword, type CheckPasswordDependencies } from './check-password.ts';
import { completeLogin, type CompleteLoginDependencies } from './complete-login.ts';
import { type LoginClient, loginClient, originOf, trustedClient } from './login-client.ts';

export interface LoginInput {
  readonly email: string;
  readonly password: string;
  /** Empty for the default audience. */
  readonly audience: string;
  readonly client: LoginClient;
  /** Of an authenticator app, or a recovery code; empty for none. */
  readonly code: string;
  /** In place of a code. */
  readonly passkey: PasskeyAnswer | undefined;
}

const rules: FieldRules<LoginInput> = {
  email: emailAddress,
  password: passwordToCheckAtLogin,
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
  client: loginClient,
  code: optional(presentedCode),
  passkey: nested(passkeyAnswerRules),
};

export interface LoginDependencies extends CheckPasswordDependencies, CompleteLoginDependencies {}

/**
 * Checks an e-mail and a password, for a user who has a second factor that as well, and opens a session. The second factor is looked
 * at only when the password was right, so a wrong password is answered alike, whatever the user has.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `second-factor-required`, `second-factor-invalid`, `passkey-invalid`,
 *   `passkeys-disabled`, `login-rate-limited`, `store-unavailable`, `server-overloaded`, `conflict`, `trust-stale` (there is no
 *   signing key; no session was opened)
 */
export async function login(
  dependencies: LoginDependencies,
  input: LoginInput,
  call: OperationCall,
): Promise<IssuedTokens> {
  const client = trustedClient(input.client, call.origin);
  requireValid(rules, { ...input, client });
  const audience = dependencies.issuer.audienceFor(input.audience);
  const canonical = canonicalEmail(input.email);
  if (!canonical.ok) throw new Error('a validated e-mail has no canonical form');
  const { email } = canonical;
  const { password } = input;
  const proof = proofOf(input);
  // Before the password is checked, so that such a login does not count as one that waits for its second factor.
  if (proof?.kind === 'passkey') dependencies.passkeys.relyingParty();

  // A login may wait long for the throttle's queue and for its hash. Without `storeDeadlineMs` each use of the database
  // has its own budget.
  const loginCall = {
    deadlineMs: call.deadlineMs,
    signal: call.signal,
    origin: originOf(client, call.origin),
  };
  const attempt = { email, password, delaysRefusal: true };
  const verdict = await checkPassword(
    dependencies,
    attempt,
    loginCall,
    async ({ needsRehash, ...checked }) => {
      const strongerHash = needsRehash ? await tryHash(dependencies, password, loginCall) : null;
      const authentication = passwordAuthentication(dependencies.nowMs() / 1000);
      const completion = {
        ...checked,
        audience,
        authentication,
        proof,
        action: 'login',
        strongerHash,
      } as const;
      return completeLogin(dependencies, completion, loginCall);
    },
  );
  if (!verdict.ok) throw new Rejected(verdict.refusal);
  return verdict.value;
}

function proofOf({ code, passkey }: LoginInput): SecondFactorProof | null {
  if (passkey === undefined) return code === '' ? null : { kind: 'code', code };
  if (code === '') return { kind: 'passkey', answer: passkey };
  const description = 'must be empty when there is a passkey; send one second factor';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'code', description }] });
}

/**
 * Only a login has the password that an upgrade of its hash needs. Returns null when the hash is refused, such as by a
 * full queue; the next login tries again.
 */
async function tryHash(
  { hasher }: Pick<LoginDependencies, 'hasher'>,
  password: string,
  call: OperationCall,
): Promise<string | null> {
  try {
    return await hasher.hash(password, call);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return null;
  }
}
