import { withTimeout } from '../domain/concurrency/timeout.ts';

/** The response body is longer than the limit. */
export class DownloadTooLarge extends Error {}

export interface Download {
  readonly body: Buffer;
  readonly headers: Headers;
}

/**
 * Sends a GET request to an http or https URL. Redirects are refused.
 *
 * The time limit covers the whole body. It is a timer that holds the reader it cancels, since an abort signal is not
 * enough, be it `AbortSignal.timeout` or one of our own controller: while a body stalls, only the request refers to the
 * signal that `fetch` derived. Garbage collection removes it, and undici then waits for five minutes.
 *
 * @throws DownloadTooLarge for a body longer than `maxBytes`; Error when no response with a 2xx status arrives within
 *   `limitMs`
 */
export async function download(url: URL, limits: { limitMs: number; maxBytes: number }): Promise<Download> {
  const controller = new AbortController();
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  const abort = () => {
    controller.abort();
    reader?.cancel().catch(() => undefined);
  };
  const get = async (): Promise<Download> => {
    const response = await fetch(url, { redirect: 'manual', signal: controller.signal });
    if (response.status >= 300 && response.status < 400)
      throw new Error(
        `the server answered with a redirect (status ${response.status}), which is not followed`,
      );
    if (!response.ok) throw new Error(`the server answered with status ${response.status}`);
    reader = response.body?.getReader();
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for (let chunk = await reader?.read(); chunk?.value !== undefined; chunk = await reader?.read()) {
      bytes += chunk.value.length;
      if (bytes > limits.maxBytes)
        throw new DownloadTooLarge(`the response is longer than ${limits.maxBytes / 1024} KiB`);
      chunks.push(chunk.value);
    }
    return { body: Buffer.concat(chunks), headers: response.headers };
  };
  try {
    return await withTimeout(get(), limits.limitMs, () => {
      abort();
      throw new Error(`no answer within ${limits.limitMs / 1000} seconds`);
    });
  } catch (error) {
    abort();
    throw withSystemCode(error);
  }
}

/** The message of fetch is always `fetch failed`; the system's error code is in its cause. */
function withSystemCode(error: unknown): unknown {
  if (!(error instanceof Error) || !(error.cause instanceof Error)) return error;
  return new Error((error.cause as NodeJS.ErrnoException).code ?? error.cause.message, { cause: error });
}
