import { randomUUID } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { bytesOfUuid } from '../../src/domain/uuid.ts';
import { relayFault, RelayPath } from '../../src/trust/relay-path.ts';

const ids = (count: number) => Array.from({ length: count }, () => randomUUID());

describe('R13 a relay', () => {
  test('serves another after up to three, and itself never', () => {
    expect(relayFault([], randomUUID())).toBeNull();
    expect(relayFault(ids(3), randomUUID())).toBeNull();
    expect(relayFault(ids(4), randomUUID())).toContain('a fifth relay in a row');
    const [own = '', ...others] = ids(3);
    for (const path of [[own], [own, ...others], [...others, own]])
      expect(relayFault(path, own)).toContain('gets its own stream');
  });

  test('follows a path of up to three, and adds itself in front', () => {
    const relay = new RelayPath();
    expect(relay.path).toEqual([relay.id]);
    for (const count of [3, 1, 0]) {
      const above = ids(count);
      expect(relay.follow(above.map(bytesOfUuid))).toBeNull();
      expect(relay.path).toEqual([relay.id, ...above]);
    }
  });

  test('keeps its path when it leaves an upstream: one of a ring, a fourth in a row, or one that it cannot read', () => {
    const relay = new RelayPath();
    const above = ids(1);
    relay.follow(above.map(bytesOfUuid));
    expect(relay.follow([...ids(1), relay.id].map(bytesOfUuid))).toContain('through this relay');
    expect(relay.follow(ids(4).map(bytesOfUuid))).toContain('a fifth relay in a row');
    expect(relay.follow([Buffer.alloc(15)])).toContain('cannot be read');
    expect(relay.path).toEqual([relay.id, ...above]);
  });
});
