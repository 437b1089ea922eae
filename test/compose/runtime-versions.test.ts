import { expect, test } from '@jest/globals';

import { grpcFault, nodeWarning } from '../../src/compose/runtime-versions.ts';

test.each(['1.9.15', '1.14.4', '0.99.0', '1.2.20'])('X03 grpc-js %s is refused', (version) => {
  expect(grpcFault(version)).toContain('1.14.5 or later');
});

test.each(['1.14.5', '1.14.10', '1.100.0', '2.0.0'])('X03 grpc-js %s is accepted', (version) => {
  expect(grpcFault(version)).toBeNull();
});

test('X03 a Node version past its end of life causes a warning', () => {
  expect(nodeWarning('20.20.2')).toContain('use Node 24');
  expect(nodeWarning('24.1.0')).toBeNull();
});
