import type { Node, ParsedNode } from 'yaml';

import { parseStrictJson, type JsonValue } from '../tokens/verify/strict-json.ts';
import type { MethodPolicy } from './method-policy.ts';
import { InvalidPolicy, type PolicyNode, policyOf } from './policy-document.ts';

export const MAX_POLICY_BYTES = 256 * 1024;

/** JSON is read by its own grammar and needs no YAML library. */
export type PolicyFormat = 'yaml' | 'json';

export function policyFormatOf(path: string): PolicyFormat {
  return /\.json$/i.test(path) ? 'json' : 'yaml';
}

/**
 * Reads the text of a policy file.
 *
 * @throws InvalidPolicy with every fault
 * @throws Error for YAML when the package `yaml` is absent, which is optional for users of `postern-auth`
 */
export async function readPolicy(text: string, format: PolicyFormat): Promise<MethodPolicy> {
  if (Buffer.byteLength(text) > MAX_POLICY_BYTES)
    throw new InvalidPolicy([`the file is larger than ${MAX_POLICY_BYTES / 1024} KiB; it is not a policy`]);
  return policyOf(format === 'json' ? jsonDocument(text) : await yamlDocument(text));
}

function jsonDocument(text: string): PolicyNode {
  const document = parseStrictJson(text);
  if (document === null)
    throw new InvalidPolicy(['the file is not one JSON object with distinct members (RFC 8259)']);
  return jsonNode(document);
}

function jsonNode(value: JsonValue): PolicyNode {
  const line = null;
  if (typeof value === 'string') return { kind: 'text', text: value, line };
  if (typeof value !== 'object' || value === null) return { kind: 'word', text: String(value), line };
  if (Array.isArray(value)) return { kind: 'list', items: (value as JsonValue[]).map(jsonNode), line };
  const entries = Object.entries(value as Readonly<Record<string, JsonValue>>);
  return {
    kind: 'map',
    entries: entries.map(([name, member]) => [{ kind: 'text', text: name, line }, jsonNode(member)]),
    line,
  };
}

/**
 * Characters with another meaning in YAML 1.1 than in 1.2, or that hide text from a reader of the file: after a U+2028
 * in a comment a parser of YAML 1.1 goes on reading rules.
 */
const UNUSABLE = /[^\P{Cc}\n]|[\u2028\u2029\ufeff]/u;
/** Unquoted words that parsers of YAML 1.1 or 1.2 take for null, a boolean, a number, a time or a merge key. */
const AMBIGUOUS = /^(?:|~|null|true|false|yes|no|on|off|y|n|=|<<|[-+]?\.?[0-9].*|[-+]?\.(?:inf|nan))$/i;

/** Far more than the five levels of a policy, and few enough for any stack. */
const MAX_DEPTH = 100;
const DEEP_INDENTATION = new RegExp(`^[ ?:-]{${MAX_DEPTH * 2}}`, 'm');

/** The part of YAML that every parser reads alike: mappings, lists and text, without anchors, tags and directives. */
async function yamlDocument(source: string): Promise<PolicyNode> {
  const text = source.replaceAll('\r\n', '\n');
  const unusable = UNUSABLE.exec(text);
  if (unusable !== null) {
    const line = text.slice(0, unusable.index).split('\n').length;
    const name = unusable[0] === '\t' ? 'a tab' : 'a control character';
    throw new InvalidPolicy([
      `line ${line}: the file has ${name}; use spaces, and no other control characters`,
    ]);
  }
  if (/^%/m.test(text)) throw new InvalidPolicy(['the file has a YAML directive; remove the line with %']);
  const { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument } = await loadYaml();
  if (isDeep(text, new Lexer().lex(text))) throw new InvalidPolicy(['the file is nested too deeply']);
  const lines = new LineCounter();
  const options = { schema: 'failsafe', lineCounter: lines, prettyErrors: false } as const;
  const document = parseDocument(text, options);
  const lineOf = (offset: number) => lines.linePos(offset).line;
  if (document.errors.length > 0) {
    throw new InvalidPolicy(
      document.errors.slice(0, 5).map(({ message, pos: [at] }) => `line ${lineOf(at)}: ${message}`),
    );
  }

  const nodeOf = (node: Node | ParsedNode | null): PolicyNode => {
    const line = lineOf(node?.range?.[0] ?? 0);
    if (node === null) return { kind: 'word', text: '', line };
    if (isAlias(node) || node.anchor !== undefined)
      throw new InvalidPolicy([`line ${line}: the file has an anchor or an alias; write the value out`]);
    if (node.tag !== undefined)
      throw new InvalidPolicy([`line ${line}: the file has a tag; remove ${JSON.stringify(node.tag)}`]);
    if (isSeq<Node>(node)) return { kind: 'list', items: node.items.map(nodeOf), line };
    if (isMap<Node, Node | null>(node))
      return { kind: 'map', entries: node.items.map(({ key, value }) => [nodeOf(key), nodeOf(value)]), line };
    const scalar = isScalar<string | null>(node) ? (node.value ?? '') : '';
    const isWord = isScalar(node) && node.type === 'PLAIN' && AMBIGUOUS.test(scalar);
    return { kind: isWord ? 'word' : 'text', text: scalar, line };
  };
  return nodeOf(document.contents);
}

/**
 * Whether the text is nested so deeply that the parser, which calls itself for each level, could use up the stack. V8 ends the
 * whole process when a regular expression is compiled there.
 */
function isDeep(text: string, lexemes: Iterable<string>): boolean {
  // Outside of brackets each level is further to the right.
  if (DEEP_INDENTATION.test(text)) return true;
  let depth = 0;
  for (const lexeme of lexemes) {
    if (lexeme === '[' || lexeme === '{') depth += 1;
    else if (lexeme === ']' || lexeme === '}') depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

async function loadYaml(): Promise<typeof import('./yaml-library.ts')> {
  try {
    return await import('./yaml-library.ts');
  } catch (error) {
    const what = 'a policy file in YAML needs the package yaml, which cannot be loaded';
    const advice = 'run npm install yaml, or write the policy as JSON in a file whose name ends in .json';
    throw new Error(`${what}; ${advice}`, { cause: error });
  }
}
