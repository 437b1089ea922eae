import { readdirSync, readFileSync } from 'node:fs';

import { expect, test } from '@jest/globals';

const bench = new URL('../../bench/', import.meta.url);

interface Message {
  decode(bytes: Uint8Array): object;
}

/** The messages that a file imports from the generated code, by their names. */
async function importedMessages(source: string): Promise<Map<string, Message>> {
  const messages = new Map<string, Message>();
  for (const [, names = '', path = ''] of source.matchAll(
    /import \{([^}]*)\} from '[./]*\/dist\/(generated\/[\w/]+)\.js'/g,
  )) {
    const generated = (await import(`../../src/${path}.ts`)) as Record<string, Message>;
    for (const name of names.split(',').map((one) => one.trim())) {
      const message = generated[name];
      if (message !== undefined) messages.set(name, message);
    }
  }
  return messages;
}

// No compiler checks these programs, and the generated code fails on a field that is not given.
test('the benchmarks give every field of the messages that they encode', async () => {
  const missing: string[] = [];
  let checked = 0;
  for (const path of readdirSync(bench, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.mjs'),
  )) {
    const source = readFileSync(new URL(path, bench), 'utf8');
    const messages = await importedMessages(source);
    for (const [, name = '', literal = ''] of source.matchAll(/(\w+)\.encode\(\{([^{}]*)\}\)/g)) {
      const message = messages.get(name);
      if (!message || literal.includes('...')) continue;
      checked += 1;
      const given = literal.split(',').map((field) => field.split(':')[0]?.trim());
      for (const [field, value] of Object.entries(message.decode(new Uint8Array())))
        if (value !== undefined && !given.includes(field)) missing.push(`${path}: ${field} of ${name}`);
    }
  }
  expect(checked).toBeGreaterThan(3);
  expect(missing).toEqual([]);
});
