// Simulates how a revocation reaches a thousand to a million verifiers through trees of relays, and writes the tables of
// docs/scaling.md: node bench/fan-out-simulation.mjs [--seed 1] [--print]
// It needs no build and no database; each table is the same for the same seed and constants. After `npm run build`:
//   --measure   measures the constants on this machine first, and writes bench/fan-out/constants.json
//   --validate  measures real processes, simulates the same, and writes bench/fan-out/validation.json
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { URL } from 'node:url';
import { fanOutTables, withFanOutTables } from './fan-out/tables.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    print: { type: 'boolean', default: false },
    measure: { type: 'boolean', default: false },
    validate: { type: 'boolean', default: false },
  },
});
const file = (path) => new URL(path, import.meta.url);
const read = (path) => readFileSync(file(path), 'utf8');
const write = (path, value) => writeFileSync(file(path), `${JSON.stringify(value, null, 2)}\n`);
const CONSTANTS = './fan-out/constants.json';
const VALIDATION = './fan-out/validation.json';
const PAGE = '../docs/scaling.md';

if (values.measure) {
  const { measureConstants } = await import('./fan-out/measure-constants.mjs');
  write(CONSTANTS, await measureConstants());
}
const constants = JSON.parse(read(CONSTANTS));
if (values.validate) {
  const { validate } = await import('./fan-out/validate.mjs');
  write(VALIDATION, await validate(constants));
}
const tables = fanOutTables({
  constants,
  validation: JSON.parse(read(VALIDATION)),
  seed: Number(values.seed),
  report: (line) => console.error(`  ${line}`),
});
if (values.print) console.log(tables);
else writeFileSync(file(PAGE), withFanOutTables(read(PAGE), tables));
