/** The answer to a call in the Connect protocol. */
export interface HttpOutcome {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Readonly<Record<string, unknown>>;
  /** The code, message and ErrorInfo reason of a refusal. */
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly reason: string | undefined;
  /** Everything that a caller sees, except the id of the call and the date. */
  readonly shape: string;
}

interface ErrorDetail {
  readonly type: string;
  readonly debug?: { readonly reason?: string };
}

/** Sends JSON with POST, as a program without gRPC does. */
export async function callOverHttp(
  url: string,
  body: string | Uint8Array<ArrayBuffer> | object,
  headers: Record<string, string> = {},
): Promise<HttpOutcome> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const json = (text.startsWith('{') ? JSON.parse(text) : {}) as HttpOutcome['json'];
  const details = (json['details'] ?? []) as ErrorDetail[];
  const seen = [...response.headers].filter(([name]) => name !== 'x-request-id' && name !== 'date');
  return {
    status: response.status,
    headers: response.headers,
    json,
    code: json['code'] as string | undefined,
    message: json['message'] as string | undefined,
    reason: details.find(({ type }) => type === 'google.rpc.ErrorInfo')?.debug?.reason,
    shape: JSON.stringify([response.status, seen, text]),
  };
}
