import { describe, expect, test } from '@jest/globals';

import { readBearerToken } from '../../src/tokens/bearer-token.ts';

const missing = { kind: 'missing' };
const unfit = {
  kind: 'malformed',
  detail: expect.stringContaining('one space'),
};
const repeated = {
  kind: 'malformed',
  detail: expect.stringContaining('more than one'),
};

describe('an authorization header', () => {
  test.each<[string[], object]>([
    [['Bearer a.b-c_d~e+f/g=='], { kind: 'token', token: 'a.b-c_d~e+f/g==' }],
    [['bEARER a'], { kind: 'token', token: 'a' }],
    [[], missing],
    [[''], missing],
    [[' '], missing],
    [['Basic YTpi'], missing],
    [['Bearer'], missing],
    [['Bearer '], missing],
    [['Bearer \t '], missing],
    [['Bearers a'], missing],
    [[' Bearer a'], missing],
    [['Bearer  a'], unfit],
    [['Bearer\ta'], unfit],
    [['Bearer a '], unfit],
    [['Bearer a b'], unfit],
    [['Bearer a=b'], unfit],
    [['Bearer a', 'Bearer a'], repeated],
    [['Basic YTpi', 'Bearer a'], repeated],
    [['', 'Bearer a'], repeated],
    [[' ', ''], repeated],
  ])('%j', (values, read) => expect(readBearerToken(values)).toEqual(read));
});
