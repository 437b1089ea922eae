import { expect, test } from '@jest/globals';

import { type Actor, actorClaim, actorsOf, readActor } from '../../src/domain/claims/actor.ts';

const nested = (count: number): Actor => ({
  subject: `a-${count}`,
  name: count % 2 === 0 ? `service-${count}` : null,
  actor: count > 1 ? nested(count - 1) : null,
});

test('G04 G12 up to four actors are read as they were written, the last one first', () => {
  for (const count of [1, 2, 3, 4]) {
    const actor = nested(count);
    const read = readActor(actorClaim(actor));
    expect(read).toEqual(actor);
    expect(actorsOf(read).map(({ subject }) => subject)).toEqual(
      Array.from({ length: count }, (_, index) => `a-${count - index}`),
    );
  }
  expect(readActor(actorClaim(nested(5)))).toBeNull();
  expect(actorsOf(null)).toEqual([]);
});

test('G12 an actor that is malformed at any depth makes the whole claim malformed', () => {
  for (const damage of [
    null,
    'orders',
    [],
    {},
    { sub: '' },
    { sub: 'a\n' },
    { sub: 'a', name: null },
    { sub: 'a', act: 1 },
  ])
    for (const claim of [damage, { sub: 'a', act: damage }, { sub: 'a', act: { sub: 'b', act: damage } }])
      expect(readActor(claim)).toBeNull();
});

test('a claim that was read cannot be changed, since the callers with the same token share it', () => {
  const actor = readActor(actorClaim(nested(2)));
  expect(Object.isFrozen(actor) && Object.isFrozen(actor?.actor)).toBe(true);
});
