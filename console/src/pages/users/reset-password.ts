import { html, nothing, type TemplateResult } from 'lit-html';

import type { User } from '../../../../src/generated/postern/v1/admin.ts';
import { admin } from '../../rpc.ts';
import { confirm } from '../../ui/dialog.ts';
import { fullTime } from '../../ui/format.ts';
import { showSecret } from '../../ui/secret.ts';
import type { Wire } from '../../wire.ts';

interface Reset {
  readonly resetToken?: string;
  readonly expiresAt?: string;
}

export function askToResetPassword({ id: userId = '', email = '' }: Wire<User>, done: () => unknown): void {
  let reset: Reset = {};
  confirm({
    title: `Create a reset token for ${email}`,
    text: 'With it the user sets a new password, once, within an hour. A reset token that was created before becomes invalid. The present password stays valid until then.',
    verb: 'Create the token',
    name: null,
    work: async () => (reset = await admin('createPasswordReset', { userId })),
    whenDone: () => {
      showResetToken(nothing, reset);
      done();
    },
  });
}

/** @param before what has happened as well */
export function showResetToken(
  before: TemplateResult | typeof nothing,
  { resetToken = '', expiresAt }: Reset,
): void {
  showSecret(
    'The reset token',
    html`${before} Give the token to the user and nobody else: it is as secret as a password, and not shown
      again. Your application sends it with the new password to <code>AuthService/ResetPassword</code>, once,
      until ${fullTime(expiresAt)}.`,
    resetToken,
  );
}
