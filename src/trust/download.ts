import { withTimeout } from '../domain/concurrency/timeout.ts';

/** An answer that is larger than its reader takes. */
export class DownloadTooLarge extends Error {}

export interface Download {
  readonly body: Buffer;
  readonly headers: Headers;
}

/**
 * What a GET of an http or https URL answers, from exactly that address: a redirect is refused.
 *
 * The time limit covers the whole body, and is a timer that holds what it ends. A signal would not do, be it
 * `AbortSignal.timeout` or that of a controller of our own: while a body stalls, nothing but the request refers to what
 * `fetch` made of the signal, garbage collection takes that away, and undici waits for five minutes.
 *
 * @throws DownloadTooLarge beyond `MAX_BYTES`; Error when there is no good answer within `limitMs`
 */
export async function download(url: URL, limits: { limitMs: number; maxBytes: number }): Promise<Download> {
  const controller = new AbortController();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const hangUp = () => {
    controller.abort();
    reader?.cancel().catch(() => undefined);
  };
  const get = async (): Promise<Download> => {
    const response = await fetch(url, { redirect: 'error', signal: controller.signal });
    if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
    reader = response.body?.getReader();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      bytes += part.value.length;
      if (bytes > limits.maxBytes)
        throw new DownloadTooLarge(`the response is longer than ${limits.maxBytes / 1024} KiB`);
      chunks.push(part.value);
    }
    return { body: Buffer.concat(chunks), headers: response.headers };
  };
  try {
    return await withTimeout(get(), limits.limitMs, () => {
      hangUp();
      throw new Error(`no answer within ${limits.limitMs / 1000} seconds`);
    });
  } catch (error) {
    hangUp();
    throw withReason(error);
  }
}

/** `fetch failed` says nothing; the system's code in its cause does. */
function withReason(error: unknown): unknown {
  if (!(error instanceof Error) || !(error.cause instanceof Error)) return error;
  return new Error((error.cause as NodeJS.ErrnoException).code ?? error.cause.message, { cause: error });
}
