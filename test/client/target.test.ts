import { expect, test } from '@jest/globals';

import { isTarget } from '../../src/client/channel.ts';

test.each([
  '127.0.0.1:50051',
  'postern.example.com:443',
  '[::1]:50051',
  'unix:run/postern.sock',
  'unix:///run/postern.sock',
  'dns:///my_postern:50051',
  'dns://192.0.2.1/postern:50051',
  'dns:postern:50051',
  'ipv4:192.0.2.1:50051,192.0.2.2:50051',
  'ipv6:[::1]:50051',
])('%s is a valid target', (text) => expect(isTarget(text)).toBe(true));

test.each([
  '',
  'postern',
  '127.0.0.1:0',
  '::1:50051',
  'unix:',
  'unix://run/postern.sock',
  'dns:',
  'dns:///',
  'dns:///postern',
  'dns:///unix:postern.sock',
  'ipv4:foo',
  'ipv4:foo:50051',
  'ipv4:127.0.0.1',
  'ipv4:[::1]:50051',
  'ipv4:192.0.2.1:50051,',
  'ipv6:::1',
  'ipv6:127.0.0.1:50051',
  'xds:///postern:50051',
])('%j is not a valid target', (text) => expect(isTarget(text)).toBe(false));
