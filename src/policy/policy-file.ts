import { decodeText, NotText } from '../domain/decode-text.ts';
import { errorText } from '../domain/error-text.ts';
import { readBoundedFile, UnusableFile } from '../domain/read-bounded-file.ts';
import type { MethodPolicy } from './method-policy.ts';
import { InvalidPolicy } from './policy-document.ts';
import { MAX_POLICY_BYTES, policyFormatOf, readPolicy } from './read-policy.ts';

/** Interval of polling for a new file. File system events are missing on network mounts and when a symbolic link is swapped. */
const CHECK_INTERVAL_MS = 10_000;

export type PolicyFileEvent =
  | { readonly kind: 'reloaded' }
  /** The new file cannot be used; the previous policy stays in use. */
  | { readonly kind: 'unusable'; readonly faults: readonly string[] };

export interface PolicyFileOptions {
  readonly report: (event: PolicyFileEvent) => void;
  /** Throws when the file must not be read. */
  readonly checkPath?: (path: string) => void;
  /** Whether the server has a method; absent, misspelt methods are not found. */
  readonly isServed?: (method: string) => boolean;
}

/** A policy file that is read again every ten seconds. A file with a fault is reported once and changes nothing. */
export class PolicyFile {
  readonly #path: string;
  readonly #options: PolicyFileOptions;
  readonly #timer: NodeJS.Timeout;
  #text: string;
  #policy: MethodPolicy;
  #reportedFaults: string | null = null;
  #checking: Promise<void> = Promise.resolve();

  /** @throws InvalidPolicy, or the error with which the file or the YAML library cannot be read */
  static async open(path: string, options: PolicyFileOptions): Promise<PolicyFile> {
    const { text, policy } = await load(path, options);
    return new PolicyFile(path, options, text, policy);
  }

  private constructor(path: string, options: PolicyFileOptions, text: string, policy: MethodPolicy) {
    this.#path = path;
    this.#options = options;
    this.#text = text;
    this.#policy = policy;
    this.#timer = setInterval(() => void this.reload(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** The policy of the last file without a fault. */
  get policy(): MethodPolicy {
    return this.#policy;
  }

  /** Reads the file now. */
  reload(): Promise<void> {
    this.#checking = this.#checking.then(() => this.#check());
    return this.#checking;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    try {
      const { text, policy } = await load(this.#path, this.#options);
      this.#reportedFaults = null;
      if (text === this.#text) return;
      this.#text = text;
      this.#policy = policy;
      this.#options.report({ kind: 'reloaded' });
    } catch (error) {
      const faults = error instanceof InvalidPolicy ? error.faults : [errorText(error)];
      const faultText = faults.join('\n');
      if (faultText !== this.#reportedFaults) this.#options.report({ kind: 'unusable', faults });
      this.#reportedFaults = faultText;
    }
  }
}

async function load(path: string, { checkPath, isServed }: PolicyFileOptions) {
  checkPath?.(path);
  const text = await textOf(path);
  const policy = await readPolicy(text, policyFormatOf(path));
  const unknown = isServed ? [...policy.methods.keys()].filter((method) => !isServed(method)) : [];
  if (unknown.length > 0)
    throw new InvalidPolicy(unknown.map((method) => `no service has the method '${method}'`));
  return { text, policy };
}

async function textOf(path: string): Promise<string> {
  try {
    return decodeText(await readBoundedFile(path, MAX_POLICY_BYTES));
  } catch (error) {
    if (error instanceof UnusableFile) throw new InvalidPolicy([`the file ${error.message}`]);
    if (error instanceof NotText) throw new InvalidPolicy(['the file is not text; write it in UTF-8']);
    throw error;
  }
}
