import { passwordAuthentication } from '../../domain/claims/authentication.ts';
import { type CallOrigin, notedUserAgent, type OperationCall } from '../../domain/operation-call.ts';
import { canonicalEmail, emailAddress } from '../users/email.ts';
import {
  type FieldRule,
  type FieldRules,
  nested,
  optional,
  requireValid,
  text,
  unrestricted,
} from '../../domain/validation.ts';
import { forwardedIp } from '../../net/forwarded-ip.ts';
import { passwordToCheckAtLogin } from '../../passwords/password-policy.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { IssuedTokens } from '../sessions/access-token-issuer.ts';
import { presentedCode } from '../second-factors/factor.ts';
import { checkPassword, type CheckPasswordDependencies } from './check-password.ts';
import { completeLogin, type CompleteLoginDependencies } from './complete-login.ts';

export interface LoginInput {
  readonly email: string;
  readonly password: string;
  /** Empty for the default audience. */
  readonly audience: string;
  readonly client: { readonly address: string; readonly userAgent: string } | undefined;
  /** Of an authenticator app, or a recovery code; empty for none. */
  readonly code: string;
}

/** The address decides about the throttle, so one that cannot be read is refused rather than guessed. */
const forwardedAddress: FieldRule<string> = (value, field) =>
  forwardedIp(value) === null ? [{ field, description: 'must be an IPv4 or IPv6 address' }] : [];

const rules: FieldRules<LoginInput> = {
  email: emailAddress,
  password: passwordToCheckAtLogin,
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
  client: nested({
    address: optional(forwardedAddress),
    userAgent: unrestricted,
  }),
  code: optional(presentedCode),
};

export interface LoginDependencies extends CheckPasswordDependencies, CompleteLoginDependencies {}

/**
 * Checks an e-mail and a password, for a user who has a second factor that as well, and opens a session. The second factor is looked
 * at only when the password was right, so a wrong password is answered alike, whatever the user has.
 *
 * @throws Rejected `field-invalid`, `invalid-credentials`, `second-factor-required`, `second-factor-invalid`, `login-rate-limited`, `store-unavailable`, `server-overloaded`,
 *   `conflict`, `trust-stale` (there is no signing key; no session was opened)
 */
export async function login(
  dependencies: LoginDependencies,
  input: LoginInput,
  call: OperationCall,
): Promise<IssuedTokens> {
  const client = trustedClient(input, call.origin);
  requireValid(rules, { ...input, client });
  const audience = dependencies.issuer.audienceFor(input.audience);
  const canonical = canonicalEmail(input.email);
  if (!canonical.ok) throw new Error('a validated e-mail has no canonical form');
  const { email } = canonical;
  const { password, code } = input;
  const proof = code === '' ? null : ({ kind: 'code', code } as const);

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
      const authentication = passwordAuthentication(Date.now() / 1000);
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

/**
 * `client` counts only from a trusted forwarder (L12). From other callers it is ignored before it is validated: what is
 * ignored must not refuse a login.
 */
function trustedClient({ client }: LoginInput, origin: CallOrigin): LoginInput['client'] {
  return origin.isTrustedForwarder ? client : undefined;
}

function originOf(client: LoginInput['client'], origin: CallOrigin): CallOrigin {
  if (!client) return origin;
  return { ...origin, address: forwardedIp(client.address), userAgent: notedUserAgent(client.userAgent) };
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
