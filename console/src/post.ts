import { observeDate } from './clock.ts';

/** How long an answer may take, ms. The service itself answers within 10 s. */
const TIME_LIMIT_MS = 15_000;
/**
 * The same for a renewal, ms. With the pause until the next try it is within the ten seconds of POSTERN_REFRESH_GRACE, in which
 * the cookie of an answer that was lost may be used again.
 */
const RENEWAL_LIMIT_MS = 4_000;

/** Why a call failed: a refusal of Postern, or no answer at all. */
export class Refusal extends Error {
  /** The reason, such as `EMAIL_TAKEN`, or the status of a refusal that has none; empty when there was no answer. */
  readonly reason: string;
  /** The metadata of the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The `x-request-id`, by which the log and the audit trail name the call; empty when there was no answer. */
  readonly requestId: string;
  /** After how many seconds a repetition can succeed; null where the refusal does not say it. */
  readonly retryAfterSeconds: number | null;

  constructor(
    message: string,
    reason = '',
    requestId = '',
    metadata: Record<string, string> = {},
    retryAfterSeconds: number | null = null,
  ) {
    super(message);
    this.reason = reason;
    this.requestId = requestId;
    this.metadata = metadata;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** Sends JSON and reads JSON. @param path below the origin and the prefix of a proxy, such as `console/session` */
export async function post(path: string, body: object, bearer: string | null): Promise<object> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (bearer !== null) headers['authorization'] = `Bearer ${bearer}`;
  const limitMs = path === 'console/session/refresh' ? RENEWAL_LIMIT_MS : TIME_LIMIT_MS;
  let response: Response;
  let text: string;
  try {
    response = await fetch(`../${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      cache: 'no-store',
      // A page that is closed meanwhile must still store the new cookie: the old one, used again later, would look stolen.
      keepalive: path.startsWith('console/'),
      redirect: 'error',
      signal: AbortSignal.timeout(limitMs),
    });
    text = await response.text();
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === 'TimeoutError';
    throw new Refusal(
      isLate
        ? `Postern has not answered within ${limitMs / 1000} seconds.`
        : 'Postern cannot be reached. Check that it runs, and your connection.',
    );
  }
  observeDate(response.headers.get('date'));
  const requestId = response.headers.get('x-request-id') ?? '';
  const json = parsed(text);
  if (response.ok && json) return json;
  throw refusalOf(json, response.status, requestId);
}

function parsed(text: string): object | null {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' ? json : null;
  } catch {
    return null;
  }
}

interface Details {
  readonly reason?: string;
  readonly metadata?: Record<string, string>;
  /** Of RetryInfo, such as `2.5s`. */
  readonly retryDelay?: string;
}

interface ConnectError {
  readonly code?: string;
  readonly message?: string;
  readonly details?: readonly { readonly debug?: Details }[];
}

function refusalOf(json: object | null, status: number, requestId: string): Refusal {
  const { code = '', message, details = [] } = (json ?? {}) as ConnectError;
  const info = details.find(({ debug }) => debug?.reason !== undefined)?.debug;
  const { retryDelay } = details.find(({ debug }) => debug?.retryDelay !== undefined)?.debug ?? {};
  return new Refusal(
    message ?? `The server answered ${status}, in a form that is not Postern's.`,
    // An instance of an earlier release says of a method that it does not know only that.
    info?.reason ?? code.toUpperCase(),
    requestId,
    info?.metadata ?? {},
    retryDelay === undefined ? null : Math.ceil(parseFloat(retryDelay)),
  );
}
