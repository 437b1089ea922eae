import { Code } from '../../rpc/status-code.ts';

import type { CheckResponse } from '../../generated/envoy/service/auth/v3/external_auth.ts';
import { RETRY_AFTER_MS } from '../../domain/rejection.ts';
import type { Denial } from './denial.ts';
import { overwriteHeader } from './overwrite-header.ts';

/** What makes Envoy answer the client itself. Equal denials are equal to the byte. */
export function deniedResponse(denial: Denial): CheckResponse {
  const { code, reason, message, challenge } = denial;
  const headers = [
    overwriteHeader('content-type', 'application/json'),
    // A shared cache must not answer the next caller, who may have a token.
    overwriteHeader('cache-control', 'no-store'),
    ...(challenge === null ? [] : [overwriteHeader('www-authenticate', bearerChallenge(challenge))]),
    ...(code === Code.UNAVAILABLE ? [overwriteHeader('retry-after', String(RETRY_AFTER_MS / 1000))] : []),
  ];
  const body = `${JSON.stringify({ reason, message })}\n`;
  return {
    status: { code, message, details: [] },
    httpResponse: { $case: 'deniedResponse', value: { status: { code: denial.http }, headers, body } },
    dynamicMetadata: undefined,
  };
}

/** Our messages and `headerText` have neither quotes nor backslashes, so nothing in them ends the quoted string. */
function bearerChallenge(parameters: Readonly<Record<string, string>>): string {
  const all = Object.entries({ realm: 'postern', ...parameters });
  return `Bearer ${all.map(([name, value]) => `${name}="${value}"`).join(', ')}`;
}
