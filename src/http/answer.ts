/** The answer to one HTTP request. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body: string | Uint8Array;
}

export function text(status: number, body: string): Answer {
  return { status, headers: { 'cache-control': 'no-store' }, body };
}

export function methodNotAllowed(methods: readonly string[]): Answer {
  const refusal = text(
    405,
    `only ${methods.join(' and ')} are allowed\n`.replace(/^(only \w+) are/, '$1 is'),
  );
  return { ...refusal, headers: { ...refusal.headers, allow: methods.join(', ') } };
}
