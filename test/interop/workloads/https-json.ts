import { request } from 'node:https';

export interface JsonAnswer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** One request over https, verified by `ca`, on a connection of its own. A body that is no JSON object is `{ text }`. */
export function askJson(
  url: string,
  ca: string,
  { body, ...options }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<JsonAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { ca, agent: false, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          body: text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text },
        }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
