import { describe, expect, jest, test } from '@jest/globals';

import { filtersOf, localTime, requestOf, timeOfInput } from '../../console/src/pages/audit/audit-filters.ts';
import {
  actionGroups,
  actionWords,
  detailLines,
  isChange,
  reasonWords,
} from '../../console/src/ui/audit-words.ts';
import { shortId } from '../../console/src/ui/short-id.ts';
import { auditActions } from '../../src/domain/audit-event.ts';

test('C46 the audit page offers every action of the audit trail once, with words of its own', () => {
  const offered = actionGroups.flatMap(([, group]) => Object.keys(group));
  expect([...offered].sort()).toEqual([...auditActions].sort());
  const words = offered.map(actionWords);
  expect(new Set(words).size).toBe(words.length);
});

describe('the reason of an event in words', () => {
  test('names the cause that the caller did not learn', () => {
    const details = JSON.stringify({ cause: 'wrong-password' });
    expect(reasonWords({ reason: 'INVALID_CREDENTIALS', details })).toBe(
      'the credentials are wrong: wrong password',
    );
  });
  test('keeps a reason and a cause of a later release', () => {
    expect(reasonWords({ reason: 'NEW_REASON', details: '{"cause":"new-cause"}' })).toBe(
      'NEW_REASON: new cause',
    );
    expect(actionWords('new.action')).toBe('new.action');
  });
  test('is empty without a reason, and survives details that are no object', () => {
    expect(reasonWords({})).toBe('');
    expect(reasonWords({ reason: 'CONFLICT', details: '[1' })).toBe('it was changed concurrently');
    expect(reasonWords({ reason: 'CONFLICT', details: 'null' })).toBe('it was changed concurrently');
  });
});

describe('the details of an event', () => {
  test('show what changed first, with before and after', () => {
    const details = JSON.stringify({
      before: { disabled: false, roles: ['admin'] },
      after: { disabled: false, roles: [] },
      changed: ['roles'],
      sessions: 2,
    });
    const lines = detailLines(details);
    expect(lines).toEqual([
      { name: 'roles', value: 'admin', after: 'none' },
      { name: 'disabled', value: 'false', after: 'false' },
      { name: 'changed', value: 'roles' },
      { name: 'sessions', value: '2' },
    ]);
    expect(lines.map(isChange)).toEqual([true, false, false, false]);
  });
  test('show the state before a deletion, a pair, and nested values', () => {
    expect(detailLines('{"before":{"roles":["a","b"]},"claims":{"sub":"x"}}')).toEqual([
      { name: 'roles before', value: 'a, b' },
      { name: 'claims', value: '{"sub":"x"}' },
    ]);
    expect(detailLines('{"issuer":"i","disabled":[false,true]}')).toEqual([
      { name: 'disabled', value: 'false', after: 'true' },
      { name: 'issuer', value: 'i' },
    ]);
    expect(detailLines('')).toEqual([]);
    expect(detailLines('{"before":1,"x":null}')).toEqual([
      { name: 'x', value: '–' },
      { name: 'before', value: '1' },
    ]);
  });
});

describe('the filters of the audit page', () => {
  const now = Date.parse('2026-11-28T12:00:00Z');
  test('come from the address, and go into the request without empty ones', () => {
    const filters = filtersOf(
      new URLSearchParams('actor= vm/root&action=login&since=2026-11-01T00:00:00Z&x=1'),
    );
    expect(requestOf(filters, now)).toEqual({
      actor: 'vm/root',
      action: 'login',
      since: '2026-11-01T00:00:00Z',
    });
    expect(requestOf(filtersOf(new URLSearchParams()), now)).toEqual({});
    expect(filtersOf(new URLSearchParams('since=yesterday&until=1h'))).toMatchObject({
      since: '',
      until: '',
    });
  });
  test('name times back from now, so that a bookmark keeps its meaning', () => {
    const since = (text: string) => requestOf(filtersOf(new URLSearchParams({ since: text })), now).since;
    expect(since('1h')).toBe('2026-11-28T11:00:00.000Z');
    expect(since('30d')).toBe('2026-10-29T12:00:00.000Z');
    // Names of every object are none of the ranges.
    expect(since('constructor')).toBeUndefined();
  });
  test('turn into local times of inputs and back, to the second', () => {
    const at = '2026-07-01T10:20:30Z';
    expect(timeOfInput(localTime(at))).toBe(at);
    expect(localTime('24h')).toBe('');
    expect([localTime(''), timeOfInput(''), timeOfInput('nonsense')]).toEqual(['', '', '']);
  });

  test.each([
    ['Pacific/Kiritimati', -840, '+275760-09-13T00:00:00.000Z'],
    ['America/St_Johns', 210, '-271821-04-20T00:00:00.000Z'],
  ])('a time at the end of the calendar is no time in %s', (_, offset, at) => {
    const zone = jest.spyOn(Date.prototype, 'getTimezoneOffset').mockReturnValue(offset);
    try {
      expect(localTime(at)).toBe('');
    } finally {
      zone.mockRestore();
    }
  });
});

test.each([
  ['01a220e9-55eb-7a57-94ab-8e7dc4c4a4dc', '01a220e9…c4a4dc'],
  ['sLmGfEHz6pkDYt4Msczdu3Z-bnQewVhRLaPhWNV1AFU', 'sLmGfEHz…'],
  ['vm/root', 'vm/root'],
  [
    'spiffe://example.com/a-very-long-name-of-a-service',
    'spiffe://example.com/a-very-long-name-of-a-service',
  ],
])('the id %s is shown as %s', (id, short) => {
  expect(shortId(id)).toBe(short);
});
