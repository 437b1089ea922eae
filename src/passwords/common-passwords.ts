import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

/** The raw list within its package. Importing the package's code would keep one object per entry in memory. */
const LIST_FILE = '@zxcvbn-ts/language-common/src/passwords.json';

/**
 * The 49,000 most common passwords, in lower case, for `NewPasswordRules.isCommon` (ASVS 6.2.4). The passwords of
 * one length are sorted and packed into one string: 0.5 MB in total, against 4 MB for a `Set`.
 */
export class CommonPasswords {
  readonly #byLength: ReadonlyMap<number, string>;

  /** @param passwords in lower case */
  constructor(passwords: readonly string[]) {
    const groups = new Map<number, string[]>();
    for (const password of passwords) {
      const group = groups.get(password.length);
      if (group) group.push(password);
      else groups.set(password.length, [password]);
    }
    this.#byLength = new Map([...groups].map(([length, group]) => [length, group.sort().join('')]));
  }

  /** Whether the list contains `password`, given in lower case. A binary search of about 1 µs. */
  has(password: string): boolean {
    const { length } = password;
    const packed = this.#byLength.get(length);
    if (packed === undefined || length === 0) return false;
    let [low, high] = [0, packed.length / length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = packed.slice(middle * length, (middle + 1) * length);
      if (entry === password) return true;
      if (entry < password) low = middle + 1;
      else high = middle;
    }
    return false;
  }
}

/** Loads the list. Takes about 30 ms, so call it only when a password is about to be set. */
export async function loadCommonPasswords(): Promise<CommonPasswords> {
  const json = await readFile(createRequire(import.meta.url).resolve(LIST_FILE), 'utf8');
  return new CommonPasswords(JSON.parse(json) as string[]);
}
