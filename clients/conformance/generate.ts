import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { bearerVectors } from './bearer-vectors.ts';
import { keySetVectors } from './key-set-vectors.ts';
import { policyVectors } from './policy-vectors.ts';
import { differences } from './outline.ts';
import { streamScripts } from './stream-scripts.ts';
import { tokenVectors } from './token-vectors.ts';
import type { Corpus, TokenSettingVectors, TokenVector } from './vectors.ts';

/** Of the sample: one in so many tokens of each class, and the first of it. */
const ONE_IN = 20;

const [folder = '', kind] = process.argv.slice(2);
const corpus: Corpus = {
  'tokens.json': await tokenVectors(),
  'keysets.json': await keySetVectors(),
  'bearer.json': bearerVectors(),
  'streams.json': await streamScripts(),
  'policies.json': await policyVectors(),
};
const sample: Corpus = { ...corpus, 'tokens.json': corpus['tokens.json'].map(sampleOf) };
write(kind === 'sample' ? sample : corpus);
const stale = differences(committedSample(), sample);
if (stale.length > 0) {
  process.stderr.write(
    `the sample is not that of this corpus; run npm run conformance -- sample: ${stale.join(', ')}\n`,
  );
  process.exitCode = 1;
}

function committedSample(): Corpus {
  const read = (name: keyof Corpus): unknown =>
    JSON.parse(readFileSync(join(folder, '..', 'sample', name), 'utf8'));
  const names = Object.keys(sample) as (keyof Corpus)[];
  return Object.fromEntries(names.map((name) => [name, read(name)])) as unknown as Corpus;
}

function write(files: Corpus): void {
  mkdirSync(folder, { recursive: true });
  for (const name of Object.keys(files) as (keyof Corpus)[]) {
    const content = files[name];
    const text = `${JSON.stringify(content, null, 1)}\n`;
    writeFileSync(join(folder, name), text);
    const digest = createHash('sha256').update(text).digest('hex').slice(0, 12);
    process.stdout.write(`${name}: ${countOf(content)} vectors, ${text.length} bytes, SHA-256 ${digest}…\n`);
  }
}

function countOf(content: Corpus[keyof Corpus]): number {
  if ('files' in content) return content.files.length;
  return content.reduce(
    (sum, entry) =>
      sum + ('steps' in entry ? entry.steps.length : 'policy' in entry ? entry.tokens.length : 1),
    0,
  );
}

/** Every token that must be accepted, and some of each class of the others. */
function sampleOf(setting: TokenSettingVectors): TokenSettingVectors {
  const seen = new Map<string, number>();
  const tokens = setting.tokens.filter((vector) => {
    if (vector.expect === undefined) return setting.name === 'ES256' || vector.name === 'as issued';
    const name = classOf(vector);
    const number = seen.get(name) ?? 0;
    seen.set(name, number + 1);
    // The classes are the same for every algorithm: the others take only every twentieth token.
    return number % ONE_IN === 0 && (setting.name === 'ES256' || number > 0);
  });
  return { ...setting, tokens };
}

function classOf({ name }: TokenVector): string {
  return name.replace(/ #\d+/, '');
}
