/** The fields of the line `call`. Programs that read logs depend on their names, so these never change. */
export const callFields: Readonly<Record<string, string>> = {
  level: 'the [level](metrics.md#logs)',
  time: 'when the line was written, in UTC',
  pid: 'the id of the process',
  event: '`call`',
  method:
    'the path of the RPC, such as `/postern.v1.AuthService/Login`; `unknown` for a path over HTTP that is none',
  code: 'the name of the gRPC status code, over HTTP as well',
  reason: 'the ErrorInfo reason of a refusal; a denial of `Check` has one with the code `OK`',
  peer: 'the address and the port of the connection; behind a proxy those of the proxy',
  request_id: "the caller's `x-request-id` if it sent a sensible one, otherwise a new one",
  duration_ms: 'how long the call took, in milliseconds',
  trace_id: 'the trace of the call, if it is sampled: 32 hexadecimal digits',
  span_id: "the call's span in it: 16 hexadecimal digits",
  detail: 'more about a refusal, in words that are not from the caller',
  account: 'a keyed hash of the e-mail of a refused login, which is never written itself',
  cause: 'the error behind a fault of Postern: `name`, `message`, `stack` and its own `cause`',
};

/** The fields as a Markdown table, for docs/telemetry.md. */
export function callFieldsTable(): string {
  const lines = Object.entries(callFields).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
  return ['| field | meaning |', '|---|---|', ...lines, ''].join('\n');
}
