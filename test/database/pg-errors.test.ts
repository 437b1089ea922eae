import { describe, expect, test } from '@jest/globals';

import { explainFailure } from '../../src/cli/explain-failure.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import { translateStoreError } from '../../src/database/database-fault.ts';
import { TlsUnsupported } from '../../src/database/connection/open-socket.ts';
import { messageOf, rejectDuplicate } from '../../src/database/pg-errors.ts';

const withCode = (message: string, code: string) => Object.assign(new Error(message), { code });
/** The error of Node for a host name with several addresses. */
const bothAddresses = Object.assign(
  new AggregateError([
    withCode('connect ECONNREFUSED ::1:5432', 'ECONNREFUSED'),
    withCode('connect ECONNREFUSED 127.0.0.1:5432', 'ECONNREFUSED'),
  ]),
  { code: 'ECONNREFUSED' },
);

describe('the message of an error is one line', () => {
  test.each<[string, unknown, string]>([
    [
      'several addresses',
      bothAddresses,
      'connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432',
    ],
    ['no text', Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    ['a statement before it', new Error('select\n  1 - timeout expired'), 'timeout expired'],
    ['several lines', new Error('one\n  two'), 'one two'],
    ['no error at all', 'text', 'text'],
  ])('for %s', (_what, error, line) => {
    expect(messageOf(error)).toBe(line);
  });
});

test('when all addresses of a host refuse, the database is unavailable and the cause names each address', () => {
  const rejected = translateStoreError(bothAddresses);
  expect(rejected).toBeInstanceOf(Rejected);
  expect((rejected as Rejected).rejection).toMatchObject({
    kind: 'store-unavailable',
    cause: 'connect ECONNREFUSED ::1:5432; connect ECONNREFUSED 127.0.0.1:5432',
  });
});

test.each([
  withCode('password authentication failed for user "p"', '28P01'),
  withCode('database "p" does not exist', '3D000'),
  new Error('SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string'),
  new AggregateError([new Error('timeout expired'), withCode('role "p" does not exist', '28000')]),
])('a login that the database refuses is explained with DATABASE_URL (%#)', (error) => {
  const { exitCode, lines } = explainFailure(error);
  expect(exitCode).toBe(3);
  expect(lines.join('\n')).toContain('DATABASE_URL');
});

test('a database without TLS where sslmode demands it is explained with DATABASE_URL', () => {
  const refused = new TlsUnsupported();
  for (const error of [refused, new AggregateError([refused, new Error('timeout expired')])]) {
    const { exitCode, lines } = explainFailure(translateStoreError(error));
    expect(exitCode).toBe(3);
    expect(lines.join('\n')).toMatch(/DATABASE_URL .*TLS.*\n.*sslmode=disable/);
  }
});

test('a duplicate value is a rejection only under the expected index', () => {
  const reject = rejectDuplicate('users_email_key', { kind: 'email-taken' });
  const duplicate = (constraint: string) => Object.assign(withCode('duplicate key', '23505'), { constraint });
  expect(() => reject(duplicate('users_email_key'))).toThrow(
    expect.objectContaining({ rejection: { kind: 'email-taken' } }),
  );
  const another = duplicate('users_pkey');
  expect(() => reject(another)).toThrow(another);
});
