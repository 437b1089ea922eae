import type { Corpus } from './vectors.ts';

/** What is the same whenever the corpus is made: keys and signatures differ, and with them the reasons of altered tokens. */
export function outlineOf(corpus: Corpus): Readonly<Record<keyof Corpus, readonly string[]>> {
  return {
    'tokens.json': corpus['tokens.json'].flatMap(({ name, tokens }) =>
      tokens.map((vector) => `${name}: ${vector.name}`),
    ),
    'keysets.json': corpus['keysets.json'].map(({ name, kids }) => `${name}: ${kids.length} keys`),
    'bearer.json': corpus['bearer.json'].map((vector) => JSON.stringify(vector)),
    'streams.json': corpus['streams.json'].flatMap(({ name, steps }) =>
      steps.map((step) => `${name}, ${step.name}: ${JSON.stringify(step.then)}`),
    ),
    'policies.json': corpus['policies.json'].files.map((vector) => JSON.stringify(vector)),
  };
}

/** The files of which the outlines differ, each with the first entry that only one of the two has. */
export function differences(committed: Corpus, made: Corpus): readonly string[] {
  const [before, after] = [outlineOf(committed), outlineOf(made)];
  return (Object.keys(after) as (keyof Corpus)[]).flatMap((name) => {
    const [old, now] = [before[name], after[name]];
    const first = now.find((entry, index) => entry !== old[index]) ?? old[now.length];
    return first === undefined ? [] : [`${name} (${first})`];
  });
}
