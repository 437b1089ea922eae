import { status } from '@grpc/grpc-js';

import { decodeText } from '../domain/decode-text.ts';
import { readBoundedFile, UnusableFile } from '../domain/read-bounded-file.ts';
import { isListOfNames, isName, isPlainObject, throwFaults, unknownMembers } from './argument-checks.ts';
import { createAuthClient } from './auth-client.ts';
import { type Upstream, upstreamFaults } from './channel.ts';
import { PosternError } from './postern-error.ts';
import { ServiceCredential } from './service-credential.ts';

/** The identity of a workload that needs no secret, such as a pod with a projected token. */
export interface Workload {
  /** A file with a token of an issuer that the service trusts. Read at each renewal: Kubernetes replaces it. */
  readonly tokenFile: string;
  /** The id or the name of the service account; needed when the identity is bound to several. */
  readonly serviceAccount?: string;
  /** The audience of the tokens; the service's first audience when absent. */
  readonly audience?: string;
  /** Fewer roles than the service account has; all of them when absent. */
  readonly roles?: readonly string[];
}

/** The service takes no longer token (ExchangeTokenRequest.subject_token). */
const MAX_TOKEN_BYTES = 16_384;
/** With line ends and the spaces of an editor. */
const MAX_FILE_BYTES = MAX_TOKEN_BYTES + 1_024;

/**
 * The credential of a workload, with its own connection to the service: the token in a file is exchanged for an access
 * token of the service account that it is bound to. While the file is missing or unusable, the previous access token is
 * used until it expires.
 *
 * @throws as `createAuthClient`
 */
export function workloadCredential(upstream: Upstream, workload: Workload): ServiceCredential {
  throwFaults('workloadCredential', [...upstreamFaults(upstream, 'upstream'), ...workloadFaults(workload)]);
  const { tokenFile, ...request } = workload;
  // No retries here: whoever needs the token tries again with a backoff of its own.
  const client = createAuthClient({
    ...upstream,
    retry: { attempts: 1, firstPauseMs: 0, longestPauseMs: 0 },
  });
  return new ServiceCredential(
    async () => {
      const subjectToken = await readTokenFile(tokenFile);
      const { accessToken, expiresIn } = await client.exchangeToken({ ...request, subjectToken });
      return { accessToken, expiresInSeconds: expiresIn };
    },
    () => client.close(),
  );
}

function workloadFaults(workload: unknown): string[] {
  if (!isPlainObject(workload)) return ['the second argument must be an object, { tokenFile }'];
  const { tokenFile, serviceAccount, audience, roles } = workload;
  const faults = unknownMembers(workload, ['tokenFile', 'serviceAccount', 'audience', 'roles']).map(
    (name) => `${name} is not a known member of a workload`,
  );
  if (!isName(tokenFile)) faults.push('tokenFile must be the path of a file');
  if (serviceAccount !== undefined && !isName(serviceAccount))
    faults.push('serviceAccount must be a string that is not empty');
  if (audience !== undefined && !isName(audience)) faults.push('audience must be a string that is not empty');
  if (roles !== undefined && !isListOfNames(roles)) faults.push('roles must be a list of strings');
  return faults;
}

/**
 * The token in a file. Messages name the file and never show what it holds.
 *
 * @throws PosternError UNAVAILABLE: the file may be replaced at this moment, so that the next attempt may succeed
 */
export async function readTokenFile(path: string): Promise<string> {
  const token = textOf(path, await readFile(path)).trim();
  if (token === '') throw unusable(path, 'is empty');
  if (!/^[\x21-\x7e]+$/.test(token)) throw unusable(path, 'does not hold exactly one token');
  if (token.length > MAX_TOKEN_BYTES)
    throw unusable(path, `is longer than a token, ${MAX_TOKEN_BYTES} bytes`);
  return token;
}

async function readFile(path: string): Promise<Buffer> {
  try {
    return await readBoundedFile(path, MAX_FILE_BYTES);
  } catch (error) {
    if (error instanceof UnusableFile) throw unusable(path, error.message);
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw unusable(path, `cannot be read (${code})`, error);
  }
}

function textOf(path: string, bytes: Buffer): string {
  try {
    return decodeText(bytes);
  } catch (error) {
    throw unusable(path, 'does not hold text', error);
  }
}

function unusable(path: string, what: string, cause?: unknown): PosternError {
  const message = `the token file ${path} ${what}; mount a token of this workload there`;
  return new PosternError(message, { code: status.UNAVAILABLE }, { cause });
}
