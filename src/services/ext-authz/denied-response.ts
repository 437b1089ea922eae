import { Code } from '../../rpc/status-code.ts';

import type { CheckResponse } from '../../generated/envoy/service/auth/v3/external_auth.ts';
import { RETRY_AFTER_MS } from '../../domain/rejection.ts';
import type { Denial } from './denial.ts';
import { overwriteHeader } from './overwrite-header.ts';

/** A response with which Envoy answers the client itself. Equal denials give equal bytes. */
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

/**
 * Messages of Postern and results of `headerText` contain no quotes and no backslashes, so none ends the quoted string.
 */
function bearerChallenge(parameters: Readonly<Record<string, string>>): string {
  const all = Object.entries({ realm: 'postern', ...parameters });
  return `Bearer ${all.map(([name, value]) => `${name}="${value}"`).join(', ')}`;
}
