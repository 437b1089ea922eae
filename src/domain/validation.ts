import { type FieldViolation, Rejected } from './rejection.ts';

/** Returns the violations of a value, none when it is valid. A description never contains the value. */
export type FieldRule<Value> = (value: Value, field: string) => readonly FieldViolation[];

/**
 * One rule for every field of a message, so that a field added to the contract without a rule is a type error.
 * The keys are those of the generated message; violations name the field as the proto file spells it.
 */
export type FieldRules<Message> = {
  readonly [Field in keyof Message]-?: FieldRule<Message[Field]>;
};

export interface TextLimits {
  /** Length in UTF-8 bytes. */
  readonly minBytes: number;
  readonly maxBytes: number;
  /** `pattern` must match the whole text. `description` completes the sentence "must be …". */
  readonly form?: { readonly pattern: RegExp; readonly description: string };
}

/**
 * PostgreSQL cannot store NUL, line breaks can forge log lines, and escape sequences can rewrite a terminal. U+2028 and
 * U+2029 are line breaks outside `Cc`.
 */
const CONTROL_CHARACTER = /[\p{Cc}\u2028\u2029]/u;

/**
 * Text within `limits`, without control characters and lone surrogates. Lone surrogates become U+FFFD in UTF-8, so
 * different texts would collide. A text that is too long is not checked further.
 */
export function text(limits: TextLimits): FieldRule<string> {
  return (value, field) => {
    const bytes = Buffer.byteLength(value, 'utf8');
    if (bytes > limits.maxBytes) return violation(field, `must be at most ${limits.maxBytes} bytes long`);
    return [
      ...(bytes < limits.minBytes ? violation(field, tooShort(limits.minBytes)) : []),
      ...(CONTROL_CHARACTER.test(value) ? violation(field, 'must not contain control characters') : []),
      ...(!value.isWellFormed() ? violation(field, 'must be well-formed Unicode') : []),
      ...(limits.form !== undefined && bytes >= limits.minBytes && !matchesWhole(limits.form.pattern, value)
        ? violation(field, `must be ${limits.form.description}`)
        : []),
    ];
  };
}

/**
 * A UUID in lower case with hyphens. No other spelling is accepted, because revocations compare ids as text: another
 * spelling of the same id would be revoked in the database but not in memory.
 */
export const uuid: FieldRule<string> = (value, field) =>
  isUuid(value) ? [] : violation(field, 'must be a UUID in lower case with hyphens');

/** A UUID that one thing may have as its id: not the nil or the max UUID (RFC 9562 section 5.9), which mean "none". */
export const idToGive: FieldRule<string> = (value, field) =>
  /^(0|f)\1{7}(-\1{4}){3}-\1{12}$/.test(value)
    ? violation(field, 'must not be the nil or the max UUID, which stand for no id')
    : uuid(value, field);

export function isUuid(value: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value);
}

/** One of a closed list. */
export function oneOf(names: readonly string[]): FieldRule<string> {
  return (value, field) =>
    names.includes(value) ? [] : violation(field, `must be one of ${names.join(', ')}`);
}

/** Empty, which means "not set" in proto3, or valid by `rule`. */
export function optional(rule: FieldRule<string>): FieldRule<string> {
  return (value, field) => (value === '' ? [] : rule(value, field));
}

/** Undefined, or valid by `rule`. Unlike `optional`, an empty value is checked. */
export function ifDefined<Value>(rule: FieldRule<Value>): FieldRule<Value | undefined> {
  return (value, field) => (value === undefined ? [] : rule(value, field));
}

/** A list of at most `maxItems`, each valid by `rule`. A longer list is not checked further. */
export function each<Item>(rule: FieldRule<Item>, limits: { maxItems: number }): FieldRule<readonly Item[]> {
  return (items, field) =>
    items.length > limits.maxItems
      ? violation(field, `must have at most ${limits.maxItems} items`)
      : items.flatMap((item, index) => rule(item, `${field}[${index}]`));
}

/** A nested message, which may be absent. */
export function nested<Message extends object>(
  rules: FieldRules<Message>,
): FieldRule<Message | null | undefined> {
  return (value, field) =>
    value === undefined || value === null ? [] : violationsIn(rules, value, `${field}.`);
}

/** A whole number from `min` to `max`, inclusive. */
export function wholeNumber(limits: { min: number; max: number }): FieldRule<number> {
  return (value, field) =>
    Number.isInteger(value) && value >= limits.min && value <= limits.max
      ? []
      : violation(field, `must be a whole number from ${limits.min} to ${limits.max}`);
}

/** For a field whose type is restriction enough (bool, enum) or that the operation checks itself, such as a token. */
export const unrestricted: FieldRule<unknown> = () => [];

/** All violations in `message`, in the order of `rules`. `prefix` is the path of a nested message, with its dot. */
export function violationsIn<Message extends object>(
  rules: FieldRules<Message>,
  message: Message,
  prefix = '',
): readonly FieldViolation[] {
  return (Object.keys(rules) as (keyof Message & string)[]).flatMap((field) =>
    rules[field](message[field], prefix + protoName(field)),
  );
}

/** @throws Rejected `field-invalid` with all violations in `message` */
export function requireValid<Message extends object>(rules: FieldRules<Message>, message: Message): void {
  const violations = violationsIn(rules, message);
  if (violations.length > 0) throw new Rejected({ kind: 'field-invalid', violations });
}

function violation(field: string, description: string): readonly FieldViolation[] {
  return [{ field, description }];
}

function tooShort(minBytes: number): string {
  return minBytes === 1 ? 'must not be empty' : `must be at least ${minBytes} bytes long`;
}

function matchesWhole(pattern: RegExp, value: string): boolean {
  return pattern.exec(value)?.[0] === value;
}

/** `userAgent` → `user_agent`: callers know the names of the proto file, not those of the generated code. */
function protoName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
