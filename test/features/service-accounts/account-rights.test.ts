import { expect, test } from '@jest/globals';

import { rightsAfter, rightsLost } from '../../../src/features/service-accounts/account-rights.ts';

const before = {
  roles: ['reader', 'writer'],
  allowedAudiences: ['billing', 'postern'],
  ownAudiences: ['orders'],
  delegationAudiences: ['billing'],
};
const unrestricted = { ...before, allowedAudiences: null };

test.each([
  ['nothing', before, {}, [false, false]],
  ['the same lists in another order', before, { roles: ['writer', 'reader'] }, [false, false]],
  ['more roles', before, { roles: ['admin', 'reader', 'writer'] }, [false, false]],
  ['another role', before, { roles: ['reader', 'admin'] }, [true, false]],
  ['no roles', before, { roles: [] }, [true, false]],
  ['more audiences', before, { allowedAudiences: ['billing', 'postern', 'x'] }, [false, false]],
  ['another audience', before, { allowedAudiences: ['postern', 'x'] }, [true, false]],
  ['every audience becomes some', unrestricted, { allowedAudiences: ['billing', 'postern'] }, [true, false]],
  [
    'roles of an account with every audience',
    unrestricted,
    { roles: ['reader', 'writer', 'x'] },
    [false, false],
  ],
  ['one more own audience', before, { ownAudiences: ['orders', 'x'] }, [false, false]],
  ['no own audience', before, { ownAudiences: [] }, [false, true]],
  ['no delegation', before, { delegationAudiences: [] }, [false, true]],
  ['everything', before, { roles: [], delegationAudiences: ['x'] }, [true, true]],
] as const)('%s', (_what, had, given, [asSubject, asActor]) => {
  expect(rightsLost(had, rightsAfter(had, given))).toEqual({ asSubject, asActor });
});

test('lists are stored sorted and without repetitions', () => {
  expect(rightsAfter(before, { roles: ['b', 'a', 'b'], allowedAudiences: ['z', 'a', 'z'] })).toEqual({
    ...before,
    roles: ['a', 'b'],
    allowedAudiences: ['a', 'z'],
  });
});
