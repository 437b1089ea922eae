import type { VerifiedClaims } from '../../src/domain/claims/claims.ts';
import { type MethodPolicy, ruleOf, unmetBy } from '../../src/policy/method-policy.ts';
import { InvalidPolicy } from '../../src/policy/policy-document.ts';
import { readPolicy } from '../../src/policy/read-policy.ts';
import type { PolicyCaller, PolicyFileVector, PolicyVectors } from './vectors.ts';

const ORDERS = `# The methods of the order service.
version: 1
audience: orders
methods:
  /shop.Orders/Hours: public
  /shop.Orders/List: {}
  /shop.Orders/Cancel: {roles: [admin]}
  /shop.Orders/Export:
    roles:
      - admin
      - "2nd line"
    audience: reports
  /shop.Orders/Refund: { roles: [agent], actors: [support, "billing"] }
  /grpc.health.v1.Health/Check: public
`;

const GOOD: Readonly<Record<string, string>> = {
  'the order service': ORDERS,
  'the order service, with Windows line ends': ORDERS.replaceAll('\n', '\r\n'),
  'otherwise a token': 'version: 1\notherwise: {}\nmethods:\n  /shop.Orders/Cancel: {roles: [admin]}\n',
  'otherwise public': 'version: 1\notherwise: public\nmethods:\n  /shop.Orders/Cancel: {roles: [admin]}\n',
  'otherwise a role and the audience of the file':
    'version: 1\naudience: orders\notherwise: {roles: [admin]}\nmethods: {/shop.Orders/Hours: public}\n',
  'no methods': 'version: 1\nmethods: {}\n',
  'quoted text': `"version": 1\n'methods':\n  '/shop.Orders/Cancel': {"roles": ['no', "1", 'it''s', "\\u00e9", 'public']}\n`,
  'a document marker': '---\nversion: 1\nmethods: {/shop.Orders/Hours: public}\n',
  'a name beyond the basic plane': 'version: 1\nmethods: {/shop.Orders/Cancel: {roles: ["\u{1f511}"]}}\n',
};

const rule = (text: string) => `version: 1\nmethods:\n  /shop.Orders/Cancel: ${text}\n`;

const BAD: Readonly<Record<string, string>> = {
  empty: '',
  'a list': '- version: 1\n',
  'no version': 'methods: {}\n',
  'version 2': 'version: 2\nmethods: {}\n',
  'version 1.0': 'version: 1.0\nmethods: {}\n',
  'a version in quotes': 'version: "1"\nmethods: {}\n',
  'no methods': 'version: 1\n',
  'methods that are a list': 'version: 1\nmethods: [/shop.Orders/Hours]\n',
  'methods that are nothing': 'version: 1\nmethods:\n',
  'an unknown member': 'version: 1\nmethod: {}\nmethods: {}\n',
  'an otherwise that is nothing': 'version: 1\notherwise:\nmethods: {}\n',
  'an audience that is a number': 'version: 1\naudience: 1\nmethods: {}\n',
  'a rule that is nothing': rule(''),
  'a rule that is another word': rule('private'),
  'a rule that is true': rule('true'),
  'a rule that is a list': rule('[admin]'),
  'a misspelt member': rule('{role: [admin]}'),
  'a member in another case': rule('{Roles: [admin]}'),
  'roles that are text': rule('{roles: admin}'),
  'no roles': rule('{roles: []}'),
  'actors that are nothing': rule('{actors: }'),
  'a role that is a number': rule('{roles: [1]}'),
  'a role that YAML 1.1 takes for false': rule('{roles: [no]}'),
  'a role that YAML 1.1 takes for a time': rule('{roles: [12:30]}'),
  'a role that begins with a digit': rule('{roles: [2nd]}'),
  'a role that is null': rule('{roles: [~]}'),
  'a role that is a list': rule('{roles: [[admin]]}'),
  'an empty role': rule('{roles: [""]}'),
  'a role with a control character': rule('{roles: ["a\\u0001"]}'),
  'a role of 257 characters': rule(`{roles: [${'a'.repeat(257)}]}`),
  'a role of 129 characters beyond the basic plane': rule(`{roles: ["${'\u{1f511}'.repeat(129)}"]}`),
  'a role over two lines': rule('\n    roles:\n      - |\n        admin\n'),
  'a role twice in the rule': rule('{roles: [admin], roles: [agent]}'),
  'a member twice': 'version: 1\nmethods: {}\nmethods: {}\n',
  'a method twice': 'version: 1\nmethods:\n  /a.B/C: {roles: [admin]}\n  /a.B/C: public\n',
  'a method twice, quoted once': 'version: 1\nmethods:\n  /a.B/C: {roles: [admin]}\n  "/a.B/C": public\n',
  'a method without a service': 'version: 1\nmethods: {/Cancel: public}\n',
  'a method without a slash': 'version: 1\nmethods: {shop.Orders/Cancel: public}\n',
  'all methods of a service': 'version: 1\nmethods: {"/shop.Orders/*": public}\n',
  'a method with a query': 'version: 1\nmethods: {"/shop.Orders/Cancel?a": public}\n',
  'a method with an escape': 'version: 1\nmethods: {"/shop.Orders/Canc%65l": public}\n',
  'a method with a letter beyond ASCII': 'version: 1\nmethods: {/shop.Orders/Canc\u00e9l: public}\n',
  'a method and a line end': 'version: 1\nmethods: {"/shop.Orders/Cancel\\n": public}\n',
  'an anchor': rule('&all {roles: [admin]}'),
  'an anchor and an alias': 'version: 1\nmethods:\n  /a.B/C: &all {roles: [admin]}\n  /a.B/D: *all\n',
  'an alias without an anchor': rule('*all'),
  'a merge key': 'version: 1\nmethods:\n  /a.B/C:\n    <<: {roles: [admin]}\n',
  'a tag': rule('!!str public'),
  'a tag of a program': rule('!!python/object/apply:os.system ["true"]'),
  'a tag on a mapping': rule('!!map {}'),
  'a key that is a list': 'version: 1\nmethods:\n  ? [a]\n  : public\n',
  'a directive': '%YAML 1.1\n---\nversion: 1\nmethods: {}\n',
  'two documents': 'version: 1\nmethods: {}\n---\nversion: 1\nmethods: {}\n',
  'a tab': 'version: 1\nmethods:\n\t/shop.Orders/Hours: public\n',
  'a rule after a line separator in a comment':
    'version: 1\nmethods: {}\n# as above\u2028otherwise: public\n',
  'a rule after NEL in a comment': 'version: 1\nmethods: {}\n# as above\u0085otherwise: public\n',
  'a rule after a carriage return in a comment': 'version: 1\nmethods: {}\n# as above\rotherwise: public\n',
  'a byte order mark in the file': 'version: 1\nmethods: {}\n\ufeffotherwise: public\n',
  'no YAML': 'version: 1\nmethods: {\n',
  'a hundred thousand brackets': `version: 1\nmethods: ${'['.repeat(100_000)}\n`,
  'more than 256 KiB': `version: 1\nmethods: {}\n${'# and so on\n'.repeat(25_000)}`,
};

const json = JSON.stringify;
const GOOD_JSON: Readonly<Record<string, string>> = {
  'JSON of the order service': json({
    version: 1,
    audience: 'orders',
    methods: {
      '/shop.Orders/Hours': 'public',
      '/shop.Orders/List': {},
      '/shop.Orders/Cancel': { roles: ['admin'] },
      '/shop.Orders/Refund': { roles: ['agent'], actors: ['support', 'billing'] },
    },
  }),
  'JSON with escapes and tabs':
    '{\n\t"version": 1,\n\t"methods": {"\\/shop.Orders\\/Cancel": {"roles": ["\\ud83d\\udd11"]}}}',
};

const BAD_JSON: Readonly<Record<string, string>> = {
  'JSON: empty': '',
  'JSON: a list': '[]',
  'JSON: text': '"public"',
  'JSON: version 2': '{"version": 2, "methods": {}}',
  'JSON: a version that is text': '{"version": "1", "methods": {}}',
  'JSON: true for a version': '{"version": true, "methods": {}}',
  'JSON: a member twice': '{"version": 1, "methods": {}, "methods": {"/a.B/C": "public"}}',
  'JSON: a method twice, with an escape':
    '{"version": 1, "methods": {"/a.B/C": {"roles": ["admin"]}, "/a.B/\\u0043": "public"}}',
  'JSON: a rule that is null': '{"version": 1, "methods": {"/a.B/C": null}}',
  'JSON: a rule that is true': '{"version": 1, "methods": {"/a.B/C": true}}',
  'JSON: a role that is a number': '{"version": 1, "methods": {"/a.B/C": {"roles": [1]}}}',
  'JSON: a role that is a lone surrogate': '{"version": 1, "methods": {"/a.B/C": {"roles": ["\\ud800"]}}}',
  'JSON: a misspelt member': '{"version": 1, "methods": {"/a.B/C": {"rols": ["admin"]}}}',
  'JSON: a comment': '{"version": 1, /* none */ "methods": {}}',
  'JSON: a comma at the end': '{"version": 1, "methods": {},}',
  'JSON: two documents': '{"version": 1, "methods": {}} {"version": 1, "methods": {}}',
  'JSON: YAML': 'version: 1\nmethods: {}\n',
  'JSON: a hundred thousand brackets': `{"version": 1, "methods": ${'['.repeat(100_000)}`,
};

const METHODS = [
  '/shop.Orders/Hours',
  '/shop.Orders/List',
  '/shop.Orders/Cancel',
  '/shop.Orders/Export',
  '/shop.Orders/Refund',
  '/grpc.health.v1.Health/Check',
  '/shop.Orders/cancel',
  '/shop.Orders/Cancel/',
  '//shop.Orders/Cancel',
  '/shop.Orders/Canc%65l',
  'constructor',
  '',
];

const CALLERS: readonly (PolicyCaller | null)[] = [
  null,
  { audience: ['orders'], roles: [], actors: [] },
  { audience: ['orders', 'reports'], roles: ['admin', '2nd line', 'agent'], actors: [] },
  { audience: ['reports'], roles: ['admin', '2nd line'], actors: ['support'] },
  { audience: ['orders'], roles: ['agent'], actors: ['support'] },
  { audience: ['orders'], roles: ['agent'], actors: ['shop', 'support'] },
  { audience: ['orders'], roles: ['agent'], actors: ['billing', 'shop', null] },
  { audience: ['orders'], roles: ['agent'], actors: [null, 'support'] },
  {
    audience: ['orders'],
    roles: ['\u{1f511}', 'Admin', 'no', '1', "it's", '\u00e9', 'public'],
    actors: ['Support'],
  },
];

const NOW_SECONDS = 1_800_000_000;

/** Policy files, good and bad, and the verdicts of the good ones. */
export async function policyVectors(): Promise<PolicyVectors> {
  const files: PolicyFileVector[] = [];
  for (const [format, good, bad] of [
    ['yaml', GOOD, BAD],
    ['json', GOOD_JSON, BAD_JSON],
  ] as const) {
    for (const [name, text] of Object.entries(good)) {
      const policy = await readPolicy(text, format);
      const verdicts = METHODS.map((method) => [
        method,
        CALLERS.map((caller) => verdictOf(policy, method, caller)),
      ]);
      files.push({ name, format, text, verdicts: Object.fromEntries(verdicts) as Record<string, string[]> });
    }
    for (const [name, text] of Object.entries(bad)) {
      await requireInvalid(name, text, format);
      files.push({ name, format, text: recipeOf(text), verdicts: null });
    }
  }
  return { callers: CALLERS, files };
}

/** What an interceptor answers to a caller with a valid token, or without a token. */
function verdictOf(policy: MethodPolicy, method: string, caller: PolicyCaller | null): string {
  const rule = ruleOf(policy, method);
  if (rule === null) return 'METHOD_NOT_LISTED';
  if (rule === 'public') return 'public';
  if (caller === null) return 'CREDENTIALS_MISSING';
  return unmetBy(rule, claimsOf(caller), NOW_SECONDS)?.reason ?? 'allowed';
}

function claimsOf({ audience, roles, actors }: PolicyCaller): VerifiedClaims {
  const actor = actors.reduceRight<VerifiedClaims['actor']>(
    (before, name, index) => ({ subject: `service-${index}`, name, actor: before }),
    null,
  );
  return { audience, roles, actor, acr: null, authenticatedAtSeconds: null } as unknown as VerifiedClaims;
}

async function requireInvalid(name: string, text: string, format: 'yaml' | 'json'): Promise<void> {
  try {
    await readPolicy(text, format);
  } catch (error) {
    if (error instanceof InvalidPolicy) return;
    throw error;
  }
  throw new Error(`the policy '${name}' is read without a fault`);
}

/** Long runs of one text are not written out. */
function recipeOf(text: string): PolicyFileVector['text'] {
  const fill = ['[', '# and so on\n'].find((part) => text.includes(part.repeat(1000)));
  if (fill === undefined) return text;
  const start = text.indexOf(fill.repeat(1000));
  let end = start;
  while (text.startsWith(fill, end)) end += fill.length;
  return { head: text.slice(0, start), fill, count: (end - start) / fill.length, tail: text.slice(end) };
}
