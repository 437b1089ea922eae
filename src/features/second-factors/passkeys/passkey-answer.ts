import { type FieldRules, text } from '../../../domain/validation.ts';
import type { PasskeyAnswer } from './prove-passkey.ts';
import { MAX_CREDENTIAL_JSON_BYTES } from '../webauthn/credential-json.ts';

/** The lengths of what a browser sends back. Whether it is right is for `PASSKEY_INVALID` to say. */
export const passkeyAnswerRules: FieldRules<PasskeyAnswer> = {
  challengeToken: text({ minBytes: 1, maxBytes: 512 }),
  credentialJson: (value, field) => {
    const bytes = Buffer.byteLength(value);
    if (bytes > 0 && bytes <= MAX_CREDENTIAL_JSON_BYTES) return [];
    return [{ field, description: `must be 1 to ${MAX_CREDENTIAL_JSON_BYTES} bytes long` }];
  },
};
