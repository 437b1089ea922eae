// How many rows a second an import takes, by the operation that the command and the RPC share.
// node bench/import-rate.mjs [--rows 50000] [--dry-run]   (after `npm run build`)
// Rows have a bcrypt hash and a role; the database is one of the bench's own, with its commits waiting for the disk.
import { parseArgs } from 'node:util';
import { budgetOf } from '../dist/domain/call-budget.js';
import { ownOrigin } from '../dist/domain/call-origin.js';
import { importUsers } from '../dist/operations/import-users.js';
import { openHouse } from './service-house.mjs';

const { values } = parseArgs({
  options: { rows: { type: 'string', default: '50000' }, 'dry-run': { type: 'boolean', default: false } },
});
const wanted = Number(values.rows);
const passwordHash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';

async function* rows() {
  for (let row = 0; row < wanted; row += 1)
    yield { email: `person${row}@import.example`, passwordHash, roles: ['user'], disabled: false };
}

const house = await openHouse();
try {
  const options = {
    dryRun: values['dry-run'],
    allowAdmin: false,
    actor: { type: 'operator', id: null },
  };
  const call = { ...budgetOf(600_000, Date.now()), origin: ownOrigin };
  const startMs = performance.now();
  const counts = await importUsers(house.database, rows(), options, call, () => undefined);
  const seconds = (performance.now() - startMs) / 1000;
  console.log(
    JSON.stringify({
      ...counts,
      seconds: Number(seconds.toFixed(2)),
      rows_per_second: Math.round(wanted / seconds),
    }),
  );
} finally {
  await house.stop();
}
