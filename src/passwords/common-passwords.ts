import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** The list's place in its package; beside its code, which would keep every entry in memory as an object. */
const LIST_FILE = '@zxcvbn-ts/language-common/src/passwords.json';

/**
 * The 49,000 passwords that people choose most, in lower case, for `NewPasswordRules.isCommon` (ASVS 6.2.4). Packed
 * into one sorted text for each length: half a megabyte in all, where a set takes four.
 */
export class CommonPasswords {
  readonly #byLength: ReadonlyMap<number, string>;

  /** `passwords` in lower case. */
  constructor(passwords: readonly string[]) {
    const groups = new Map<number, string[]>();
    for (const password of passwords) {
      const group = groups.get(password.length);
      if (group) group.push(password);
      else groups.set(password.length, [password]);
    }
    this.#byLength = new Map([...groups].map(([length, group]) => [length, group.sort().join('')]));
  }

  /** Whether `text`, in lower case, is in the list. Takes a microsecond. */
  has(text: string): boolean {
    const packed = this.#byLength.get(text.length);
    if (packed === undefined || text === '') return false;
    let [from, to] = [0, packed.length / text.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      const entry = packed.slice(middle * text.length, (middle + 1) * text.length);
      if (entry === text) return true;
      if (entry < text) from = middle + 1;
      else to = middle;
    }
    return false;
  }
}

/** Reads the list: about 30 ms, so only once there is a password to be set. */
export async function loadCommonPasswords(): Promise<CommonPasswords> {
  const json = await readFile(createRequire(import.meta.url).resolve(LIST_FILE), 'utf8');
  return new CommonPasswords(JSON.parse(json) as string[]);
}
