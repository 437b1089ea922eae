import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { operator } from '../../../src/cli/command.ts';
import { testCall } from '../../support/test-call.ts';
import type {
  ImportCounts,
  ImportRow,
  ImportVerdict,
  UnreadableRow,
} from '../../../src/features/users/import/import-row.ts';
import { importUsers } from '../../../src/features/users/import/import-users.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';

type Row = ImportRow | UnreadableRow;

/** bcrypt of `correct horse bättery`. */
const hash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';
const row = (email: string, rest: Partial<ImportRow> = {}): ImportRow => ({
  email,
  passwordHash: hash,
  roles: [],
  disabled: false,
  ...rest,
});
const crowd = (count: number, company: string) =>
  Array.from({ length: count }, (_, index) => row(`person${index}@${company}.example`));

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.stop());

async function* stream(rows: readonly Row[], onPull: (index: number) => void = () => undefined) {
  for (const [index, each] of rows.entries()) {
    onPull(index);
    await Promise.resolve();
    yield each;
  }
}

async function importRows(
  rows: AsyncIterable<Row>,
  options: { dryRun?: boolean; allowAdmin?: boolean; signal?: AbortSignal } = {},
): Promise<{ counts: ImportCounts; verdicts: ImportVerdict[] }> {
  const { dryRun = false, allowAdmin = false, signal } = options;
  const verdicts: ImportVerdict[] = [];
  const call = { ...testCall(), ...(signal && { signal }) };
  const counts = await importUsers(
    { database: service.database.database },
    { rows, onVerdict: (_row, verdict) => void verdicts.push(verdict), dryRun, allowAdmin, actor: operator },
    call,
  );
  return { counts, verdicts };
}

async function usersLike(pattern: string): Promise<Record<string, unknown>[]> {
  return service.database.query(
    'SELECT email, roles, disabled_at IS NOT NULL AS disabled FROM users WHERE email LIKE $1 ORDER BY email',
    [pattern],
  );
}

const audits = () =>
  service.database.query("SELECT details FROM audit_events WHERE action = 'user.import.batch' ORDER BY id");

test('imported users are stored by the same rules as other users, and can log in', async () => {
  await importRows(
    stream([
      row('Ann@Company.example', { roles: ['writer', 'auditor', 'writer'] }),
      row('out@company.example', { disabled: true }),
      row('none@company.example', { passwordHash: null }),
    ]),
  );
  expect(await usersLike('%@company.example')).toEqual([
    { email: 'ann@company.example', roles: ['auditor', 'writer'], disabled: false },
    { email: 'none@company.example', roles: [], disabled: false },
    { email: 'out@company.example', roles: [], disabled: true },
  ]);
  const login = async (email: string) =>
    (await service.call('postern.v1.AuthService/Login', { email, password: 'correct horse b\u00e4ttery' }))
      .code;
  expect(await login('ann@company.example')).toBe(status.OK);
  expect(await login('out@company.example')).toBe(status.UNAUTHENTICATED);
  expect(await login('none@company.example')).toBe(status.UNAUTHENTICATED);
});

test('a dry run gives the verdicts of the import after it and writes nothing; a second import skips all', async () => {
  await importRows(stream([row('before@verdicts.example')]));
  const many = crowd(1200, 'verdicts');
  const rows: Row[] = [
    row('before@verdicts.example'),
    row('not an address'),
    row('BEFORE@verdicts.example', { passwordHash: 'plain text' }),
    { unreadable: 'the line is not JSON' },
    ...many,
    // The same people again, within one batch and in a later one.
    ...many.slice(1100),
    ...many.slice(0, 10),
    row('late@verdicts.example', { passwordHash: 'md5' }),
    row('late@verdicts.example'),
    row('late@verdicts.example', { roles: ['other'] }),
  ];
  const usersBefore = await usersLike('%');
  const auditsBefore = await audits();
  const dry = await importRows(stream(rows), { dryRun: true });
  expect(await usersLike('%')).toEqual(usersBefore);
  expect(await audits()).toEqual(auditsBefore);

  const real = await importRows(stream(rows));
  expect(real).toEqual(dry);
  expect(real.counts).toEqual({ created: 1201, skipped: 112, refused: 4 });
  expect(real.verdicts.slice(0, 5).map(({ outcome }) => outcome)).toEqual([
    'skipped',
    'refused',
    'refused',
    'refused',
    'created',
  ]);
  expect(real.verdicts.slice(-3).map(({ outcome }) => outcome)).toEqual(['refused', 'created', 'skipped']);

  const again = await importRows(stream(rows));
  expect(again.counts).toEqual({ created: 0, skipped: 1313, refused: 4 });
});

test('A07 each batch leaves one audit event, with correct totals', async () => {
  const before = (await audits()).length;
  const rows = [...crowd(700, 'audit'), row('x'), row('admin@audit.example', { roles: ['admin'] })];
  const { counts } = await importRows(stream(rows), { allowAdmin: true });
  const events = (await audits()).slice(before).map(({ details }) => details as Record<string, number>);
  expect(events).toEqual([
    { created: 500, administrators: 0, existing: 0, refused: 0 },
    { created: 201, administrators: 1, existing: 0, refused: 1 },
  ]);
  expect(counts).toEqual({ created: 701, skipped: 0, refused: 1 });
});

test('A02 an administrator is imported only where the options allow it', async () => {
  const rows = [row('boss@admin.example', { roles: ['user', 'admin'] })];
  expect((await importRows(stream(rows))).verdicts).toEqual([
    {
      outcome: 'refused',
      reason: 'roles: must not have admin unless administrators are allowed in this import',
    },
  ]);
  expect(await usersLike('%@admin.example')).toEqual([]);
  expect((await importRows(stream(rows), { allowAdmin: true })).counts.created).toBe(1);
});

test('an existing user is not changed', async () => {
  await importRows(stream([row('kept@keep.example', { roles: ['first'] })]));
  await importRows(stream([row('Kept@keep.example', { roles: ['admin'], disabled: true })]), {
    allowAdmin: true,
  });
  expect(await usersLike('%@keep.example')).toEqual([
    { email: 'kept@keep.example', roles: ['first'], disabled: false },
  ]);
});

test('a refusal names every invalid field in one line and repeats no value', async () => {
  const rows = [
    row('secret-name', { passwordHash: 'Secret-Hash', roles: ['SECRET ROLE'] }),
    row('a@b.example', { passwordHash: '' }),
    row('a@b.example', { passwordHash: '$2b$31$'.padEnd(60, '.') }),
    row('a@b.example', { roles: Array.from({ length: 17 }, (_, index) => `role${index}`) }),
    row('\u212a@b.example'),
  ];
  const { verdicts } = await importRows(stream(rows));
  const reasons = verdicts.map((verdict) =>
    verdict.outcome === 'refused' ? verdict.reason : verdict.outcome,
  );
  expect(reasons[0]).toMatch(/^email: .*; password_hash: .*; roles\[0\]: /);
  expect(reasons[1]).toMatch(/^password_hash: .*empty/);
  expect(reasons[2]).toMatch(/^password_hash: /);
  expect(reasons[3]).toMatch(/^roles: .*\b16\b/);
  expect(reasons[4]).toMatch(/^email: .*ASCII/);
  expect(reasons.join('')).not.toMatch(/secret|\n/i);
});

test('two concurrent imports of the same people create each of them once', async () => {
  const rows = crowd(1500, 'race');
  const [one, two] = await Promise.all([importRows(stream(rows)), importRows(stream(rows.toReversed()))]);
  expect(one.counts.created + two.counts.created).toBe(1500);
  expect(one.counts.skipped + two.counts.skipped).toBe(1500);
  expect(await usersLike('%@race.example')).toHaveLength(1500);
});

test('rows are read only after the previous batch is stored', async () => {
  const rows = crowd(2000, 'pressure');
  let verdictCount = 0;
  let furthest = 0;
  await importUsers(
    { database: service.database.database },
    {
      rows: stream(rows, (index) => (furthest = Math.max(furthest, index - verdictCount))),
      onVerdict: () => (verdictCount += 1),
      dryRun: false,
      allowAdmin: false,
      actor: operator,
    },
    testCall(),
  );
  expect(furthest).toBeLessThan(500);
});

test('D02 an interrupted import leaves whole batches, each with its audit event', async () => {
  const before = (await audits()).length;
  const rows = crowd(1400, 'broken');
  const verdicts: ImportVerdict[] = [];
  const failing = stream(rows, (index) => {
    if (index === 1300) throw new Error('the line broke');
  });
  await expect(
    importUsers(
      { database: service.database.database },
      {
        rows: failing,
        onVerdict: (_row, verdict) => void verdicts.push(verdict),
        dryRun: false,
        allowAdmin: false,
        actor: operator,
      },
      testCall(),
    ),
  ).rejects.toThrow('the line broke');
  expect(verdicts).toHaveLength(1000);
  expect(await usersLike('%@broken.example')).toHaveLength(1000);
  expect(await audits()).toHaveLength(before + 2);
});

test('D02 a batch whose audit event fails creates no user', async () => {
  await service.database.query(
    `ALTER TABLE audit_events ADD CONSTRAINT no_import CHECK (action <> 'user.import.batch') NOT VALID`,
  );
  await expect(importRows(stream(crowd(3, 'unseen')))).rejects.toThrow();
  await service.database.query('ALTER TABLE audit_events DROP CONSTRAINT no_import');
  expect(await usersLike('%@unseen.example')).toEqual([]);
});

test('cancelling the call ends the import', async () => {
  const leaving = new AbortController();
  const rows = stream(crowd(1500, 'gone'), (index) => {
    if (index === 700) leaving.abort();
  });
  await expect(importRows(rows, { signal: leaving.signal })).rejects.toMatchObject({
    rejection: { kind: 'cancelled' },
  });
  expect(await usersLike('%@gone.example')).toHaveLength(500);
});
