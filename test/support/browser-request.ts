import { type IncomingHttpHeaders, request } from 'node:http';
import { request as secureRequest } from 'node:https';

/** What came back over HTTP. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: Buffer;
  /** The members of a JSON answer; empty for any other. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The ErrorInfo reason of a refusal. */
  readonly reason: string | undefined;
}

interface Sent {
  readonly method?: string;
  /** In place of the path of the URL, such as a whole URL for a proxy. */
  readonly target?: string;
  /** `host` and those that `fetch` forbids included. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer;
  readonly socketPath?: string;
}

/** Sends a request with headers that only a browser sets by itself. */
export function sendRequest(url: string, sent: Sent = {}): Promise<Reply> {
  const { method = 'GET', headers = {}, body, target, socketPath } = sent;
  return new Promise((resolve, reject) => {
    const options = {
      method,
      headers,
      rejectUnauthorized: false,
      agent: false,
      ...(target !== undefined && { path: target }),
      ...(socketPath !== undefined && { socketPath }),
    } as const;
    const outgoing = (url.startsWith('https:') ? secureRequest : request)(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const text = bytes.toString();
        const json = (text.startsWith('{') ? JSON.parse(text) : {}) as Reply['json'];
        const details = (json['details'] ?? []) as { debug?: { reason?: string } }[];
        const reason = details.find(({ debug }) => debug?.reason !== undefined)?.debug?.reason;
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, bytes, json, reason });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Posts JSON as a page of the same origin does. */
export function postAsPage(
  url: string,
  body: object,
  headers: Readonly<Record<string, string | string[]>> = {},
): Promise<Reply> {
  return sendRequest(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin', ...headers },
    body: JSON.stringify(body),
  });
}
