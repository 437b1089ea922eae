import { encode, json, members, type Segment, type Specimen } from './forge.ts';
import type { HostileClass, Variant } from './hostile-tokens.ts';

const malformed = ['TOKEN_MALFORMED'] as const;
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const strangers = [
  '=',
  '==',
  ' ',
  '\n',
  '\r\n',
  '\t',
  '\0',
  '+',
  '/',
  '%3D',
  '\\',
  '"',
  '\u00a0',
  '\u200b',
  '\ufeff',
  'é',
  'А',
  '😀',
];
// prettier-ignore
const notJson = [
  ' ', '{', '}', '{"a"}', '{"a":}', '{a:1}', "{'a':1}", '{"a":1,}', '{,"a":1}', '{"a":1}{"b":2}', '{"a":1}x', '{"a":01}',
  '{"a":+1}', '{"a":.5}', '{"a":1.}', '{"a":0x1}', '{"a":NaN}', '{"a":Infinity}', '{"a":-}', '{"a":1e}', '{"a":undefined}',
  '{"a":True}', '{"a":"\n"}', '{"a":"\t"}', '{"a":"\u0000"}', '{"a":"\\x41"}', '{"a":"\\u00g1"}', '{"a":"\\u12"}',
  '{"a":"b}', '{"a":1//c\n}', '{"a":1/**/}', '[]', '[{}]', '"{}"', '1', 'null', 'true', '\ufeff{}', '\u00a0{}', '{\u2028}',
  '\u000b{}', `${'{"a":'.repeat(500)}1${'}'.repeat(500)}`, `{"a":${'['.repeat(1000)}${']'.repeat(1000)}}`,
];

/** Attacks on the text itself: what a lenient decoder would accept. */
export const formClasses: readonly HostileClass[] = [
  {
    name: 'a character outside the alphabet',
    row: 'T01',
    expected: malformed,
    *variants(specimen) {
      for (const index of [0, 1, 2]) {
        for (const stranger of strangers) {
          yield text(specimen, index, (segment) => stranger + segment);
          yield text(specimen, index, (segment) => segment.slice(0, 7) + stranger + segment.slice(7));
          yield text(specimen, index, (segment) => segment + stranger);
        }
      }
    },
  },
  {
    name: 'non-zero unused bits in the last character',
    row: 'T01',
    expected: malformed,
    *variants(specimen) {
      for (const [index, segment] of specimen.setting.validToken.split('.').entries()) {
        const last = alphabet.indexOf(segment.at(-1) ?? '');
        const strayBits = [0, 0, 4, 2][segment.length % 4] ?? 0;
        for (let stray = 1; stray < 2 ** strayBits; stray++) {
          yield text(specimen, index, (whole) => whole.slice(0, -1) + alphabet.charAt(last | stray));
        }
      }
    },
  },
  {
    name: 'a segment of an impossible length',
    row: 'T01',
    expected: malformed,
    *variants(specimen) {
      for (const index of [0, 1, 2]) {
        yield text(specimen, index, (segment) => segment + 'A'.repeat((5 - (segment.length % 4)) % 4));
        yield text(specimen, index, () => 'A');
        yield text(specimen, index, () => 'AAAAA');
      }
    },
  },
  {
    name: 'not three segments',
    row: 'T01',
    expected: malformed,
    *variants({ headerSegment: h, claimsSegment: c, signatureSegment: s, setting: { validToken } }) {
      for (const parts of [
        [],
        [''],
        [h],
        [h, c],
        [h, c, ''],
        [h, '', s],
        ['', c, s],
        ['', '', ''],
        [h, c, s, ''],
        ['', h, c, s],
      ])
        yield { text: parts.join('.') };
      for (const parts of [
        [h, c, s, s],
        [h, c, c, s],
        [h, h, c, s],
        [h, c, s, '', ''],
        [h, c, '', s],
        [`${h}.`, c, s],
      ])
        yield { text: parts.join('.') };
      for (const around of [' ', '\n', '\t', '"', "'", '.', ',', ';', '\0', '\ufeff']) {
        yield { text: around + validToken };
        yield { text: validToken + around };
      }
      for (const prefix of ['Bearer ', 'bearer ', 'JWT ', 'Token ', 'access_token=', 'data:,'])
        yield { text: prefix + validToken };
      yield { text: `${validToken},${validToken}` };
      yield { text: `${validToken} ${validToken}` };
      yield { text: encodeURIComponent(`${validToken}=`) };
      yield { text: validToken.replaceAll('.', '%2E') };
      yield { text: validToken.replaceAll('.', '。') };
    },
  },
  {
    name: 'standard base64',
    row: 'T01',
    expected: malformed,
    *variants(specimen) {
      const bytes = Buffer.from([0xfb, 0xff, 0xbf, ...specimen.signature.subarray(3)]);
      yield { text: `${specimen.headerSegment}.${specimen.claimsSegment}.${bytes.toString('base64')}` };
      for (const index of [0, 1])
        yield text(specimen, index, (segment) => `${Buffer.from(segment, 'base64url').toString('base64')}==`);
    },
  },
  {
    name: 'too long',
    row: 'T02',
    expected: ['TOKEN_TOO_LARGE'],
    *variants(specimen) {
      const room = 8193 - specimen.setting.validToken.length;
      for (const more of [room, room + 3, 65_536, 1_048_576]) {
        yield text(specimen, 1, (segment) => segment + 'A'.repeat(more));
        yield { text: specimen.setting.validToken + '.'.repeat(more) };
      }
      yield { text: 'é'.repeat(4097) };
      yield { claims: specimen.claimsWith({ padding: 'x'.repeat(7000) }) };
    },
  },
  {
    name: 'an encrypted token',
    row: 'T08',
    expected: malformed,
    *variants({ claimsSegment: c, signatureSegment: s }) {
      const costly = { alg: 'PBES2-HS512+A256KW', enc: 'A256GCM', p2c: 2_147_483_647, p2s: 'AAAA' };
      for (const header of [
        costly,
        { ...costly, zip: 'DEF' },
        { alg: 'dir', enc: 'A128GCM' },
        { alg: 'RSA-OAEP', enc: 'A256GCM', cty: 'JWT' },
      ]) {
        yield { text: [encode(json(header)), s, 'AAAAAAAAAAAAAAAA', c, 'AAAAAAAAAAAAAAAAAAAAAA'].join('.') };
        yield { text: [encode(json(header)), '', 'AAAAAAAAAAAAAAAA', c, 'AAAAAAAAAAAAAAAAAAAAAA'].join('.') };
        yield { text: [encode(json(header)), c, s].join('.') };
      }
      yield { text: '....' };
    },
  },
  {
    name: 'JSON serialisation and polyglots',
    row: 'T09',
    expected: malformed,
    *variants({ headerSegment: h, claimsSegment: c, signatureSegment: s, setting: { validToken } }) {
      const flat = { payload: c, protected: h, signature: s };
      const general = { payload: c, signatures: [{ protected: h, signature: s }] };
      for (const form of [
        flat,
        general,
        { ...flat, header: { alg: 'none' } },
        { ...general, ...flat },
        [validToken],
        validToken,
        { token: validToken },
      ]) {
        yield { text: json(form) };
        yield { text: JSON.stringify(form, null, 2) };
      }
      yield { text: `${json(flat)}.${c}.${s}` };
      yield { text: `{"${h}.${c}.${s}":1}` };
      yield { text: `<jwt>${validToken}</jwt>` };
      yield { text: `prt_${validToken}` };
    },
  },
  {
    name: 'not one JSON object',
    row: 'T01',
    expected: malformed,
    *variants() {
      for (const broken of notJson) yield* both(broken);
    },
  },
  {
    name: 'bytes that are not UTF-8',
    row: 'T11',
    expected: malformed,
    *variants(specimen) {
      for (const read of [json(specimen.header), json(specimen.claims)]) {
        const part = read === json(specimen.header) ? 'header' : 'claims';
        const at = (bytes: readonly number[]) => [
          Buffer.from(read.slice(0, -2)),
          Buffer.from(bytes),
          Buffer.from(read.slice(-2)),
        ];
        for (const bytes of [
          [0xff],
          [0xfe],
          [0x80],
          [0xc0, 0xaf],
          [0xc1, 0x81],
          [0xe0, 0x80, 0xaf],
          [0xed, 0xa0, 0x80],
          [0xed, 0xbf, 0xbf],
          [0xf5, 0x80, 0x80, 0x80],
          [0xf4, 0x90, 0x80, 0x80],
          [0xe2, 0x82],
          [0xc3],
        ]) {
          yield segmentOf(part, Buffer.concat(at(bytes)));
        }
        yield segmentOf(part, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(read)]));
        yield segmentOf(part, Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(read, 'utf16le')]));
        yield segmentOf(part, Buffer.from(read, 'utf16le'));
        yield segmentOf(part, Buffer.from(read, 'utf16le').swap16());
        yield segmentOf(
          part,
          Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(read, 'utf16le').swap16()]),
        );
        yield segmentOf(part, `${read}\0`);
      }
    },
  },
  {
    name: 'a duplicate member',
    row: 'T10',
    expected: malformed,
    *variants({ header, claims }) {
      for (const [part, object] of [
        ['header', header],
        ['claims', claims],
      ] as const) {
        const entries = Object.entries(object).map(([name, value]) => [name, json(value)] as const);
        for (const [name, value] of entries) {
          const escaped = `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`;
          for (const twin of [
            [name, value],
            [name, '"none"'],
            [name, 'null'],
            [escaped, value],
            [escaped, '"other"'],
          ] as const) {
            yield segmentOf(part, members(...entries, twin));
            yield segmentOf(part, members(twin, ...entries));
          }
        }
      }
      const entries = Object.entries(claims).map(([name, value]) => [name, json(value)] as const);
      for (const nested of [
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":2}',
        '[{"b":{"c":1,"c":2}}]',
        '{"__proto__":1,"__proto__":2}',
        '{"":1,"":2}',
      ]) {
        yield { claims: members(...entries, ['x', nested]) };
      }
    },
  },
  {
    name: 'a refresh token',
    row: 'T13',
    expected: malformed,
    *variants({ signature }) {
      for (const length of [52, 36, 20, 1]) yield { text: `prt_${encode(Buffer.alloc(length, signature))}` };
      yield { text: 'prt_' };
    },
  },
];

function text(specimen: Specimen, index: number, change: (segment: string) => string): Variant {
  const segments = specimen.setting.validToken.split('.');
  segments[index] = change(segments[index] ?? '');
  return { text: segments.join('.') };
}

function* both(content: Segment): Generator<Variant, void, undefined> {
  yield { header: content };
  yield { claims: content };
}

function segmentOf(part: 'header' | 'claims', content: Segment): Variant {
  return part === 'header' ? { header: content } : { claims: content };
}
