/** What went wrong, for the person. */
export function wordsOf({ name, reason }) {
  return byReason[reason] ?? byName[name] ?? 'This did not work. Try again in a moment.';
}

const byReason = {
  INVALID_CREDENTIALS: 'The e-mail or the password is wrong.',
  FIELD_INVALID: 'What you entered has the wrong form.',
  LOGIN_RATE_LIMITED: 'Too many attempts. Wait a minute, then try again.',
  SECOND_FACTOR_INVALID: 'The code is wrong or was used already. Wait for the next one.',
  PASSKEY_INVALID: 'This passkey is not known here.',
  NO_PASSKEYS_HERE: 'Your second factor is a passkey, and this browser has none. Use another browser.',
  PASSKEYS_DISABLED: 'Passkeys are not available here.',
  FACTOR_LIMIT_REACHED: 'You have as many second factors as one may have. Delete one first.',
  TOKEN_REVOKED: 'You are not logged in any more. Reload the page.',
  NOT_LOGGED_IN: 'You are not logged in any more. Reload the page.',
};

/** Of the DOMException with which a browser refuses (WebAuthn Level 3, sections 5.1.3 and 5.1.4). */
const byName = {
  InvalidStateError: 'This device has a passkey of yours already.',
  NotAllowedError: 'The passkey was not confirmed.',
  SecurityError:
    'Passkeys need a host name, and an IP address is none. Open this page at its name, or as localhost.',
};
