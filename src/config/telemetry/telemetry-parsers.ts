import { InvalidSetting, type SettingParser } from '../setting-parsers.ts';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

export interface Sampler {
  readonly kind: (typeof SAMPLERS)[number];
  /** Of the traces that begin here, for the kinds with `traceidratio`. */
  readonly ratio: number;
}

/** The longest delay that a timer of Node.js can have. */
const MAX_MS = 2 ** 31 - 1;

/** The URL at which an OpenTelemetry collector receives OTLP. */
export const endpoint: SettingParser<string> = (text) => {
  if (!/^https?:\/\/[^/\\][\x21-\x7e]*$/.test(text) || !URL.canParse(text) || /[?#@]/.test(text))
    throw new InvalidSetting('must be an http or https URL, such as http://127.0.0.1:4318');
  return text;
};

export const protocol: SettingParser<'http/protobuf' | 'http/json' | 'grpc'> = (text) => {
  if (text !== 'http/protobuf' && text !== 'http/json' && text !== 'grpc')
    throw new InvalidSetting('must be one of http/protobuf, http/json, grpc');
  return text;
};

/** Whether to compress by gzip. */
export const compression: SettingParser<boolean> = (text) => {
  if (text !== 'gzip' && text !== 'none') throw new InvalidSetting('must be one of gzip, none');
  return text === 'gzip';
};

export const milliseconds: SettingParser<number> = (text) => {
  if (!/^\d{1,10}$/.test(text) || Number(text) < 1 || Number(text) > MAX_MS)
    throw new InvalidSetting(`must be a whole number of milliseconds from 1 to ${MAX_MS}, without a unit`);
  return Number(text);
};

export const positive: SettingParser<number> = (text) => {
  if (!/^\d{1,6}$/.test(text) || Number(text) < 1 || Number(text) > 100_000)
    throw new InvalidSetting('must be a whole number from 1 to 100000');
  return Number(text);
};

/** OpenTelemetry counts anything but `true` as false; a misspelt value is a fault here. */
export const flag: SettingParser<boolean> = (text) => {
  if (/^true$/i.test(text)) return true;
  if (/^false$/i.test(text)) return false;
  throw new InvalidSetting('must be true or false');
};

export const serviceName: SettingParser<string> = (text) => {
  if (text.length > 255 || hasControlCharacter(text))
    throw new InvalidSetting('must be at most 255 characters, without control characters');
  return text;
};

/** `name=value` pairs separated by commas, with percent-encoded values, as in W3C Baggage. */
export const resourceAttributes: SettingParser<Readonly<Record<string, string>>> = (text) =>
  pairs(text, (name) => name !== '' && !hasControlCharacter(name), 'environment=production,team=login');

/**
 * Names and values that HTTP and gRPC both can send: any other would be refused by the library that sends it, in a message with
 * the value. The fault has no part of the text: values are often credentials.
 */
export const headers: SettingParser<Readonly<Record<string, string>>> = (text) => {
  const read = Object.entries(pairs(text, isHeaderName, 'api-key=SECRET'));
  if (!read.every(([, content]) => /^[\x20-\x7e]*$/.test(content)))
    throw new InvalidSetting('has a value with characters that no header can have; use those of ASCII');
  return Object.fromEntries(read.map(([name, content]) => [name.toLowerCase(), content]));
};

/** gRPC has values of names that end with `-bin` in another form. */
function isHeaderName(name: string): boolean {
  return /^[\w.-]+$/.test(name) && !/-bin$/i.test(name);
}

function pairs(
  text: string,
  isName: (name: string) => boolean,
  example: string,
): Readonly<Record<string, string>> {
  const entries = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part, index) => {
      const end = part.indexOf('=');
      const name = decoded(part.slice(0, Math.max(0, end)).trim());
      const content = decoded(part.slice(end + 1).trim());
      if (end < 1 || name === null || content === null || !isName(name) || hasControlCharacter(content))
        throw new InvalidSetting(
          `has a pair that cannot be read, number ${index + 1}; write NAME=VALUE pairs separated by commas, such as ${example}, ` +
            'with a comma in a value as %2C and a percent sign as %25',
        );
      return [name, content] as const;
    });
  return Object.fromEntries(entries);
}

/** Null where a percent sign begins no byte, or the bytes are no UTF-8. */
function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text);
}

/** The names of exporters, separated by commas. True when one of those that are true is named. */
export function exporters(choices: Readonly<Record<string, boolean>>): SettingParser<boolean> {
  return (text) => {
    const names = text.split(',').map((name) => name.trim());
    if (!names.every((name) => Object.hasOwn(choices, name)))
      throw new InvalidSetting(`must be one of ${Object.keys(choices).join(', ')}`);
    if (names.includes('none') && names.length > 1)
      throw new InvalidSetting('has none beside an exporter; remove one');
    return names.some((name) => choices[name]);
  };
}

export const samplerKind: SettingParser<Sampler['kind']> = (text) => {
  const kind = SAMPLERS.find((name) => name === text);
  if (kind === undefined) throw new InvalidSetting(`must be one of ${SAMPLERS.join(', ')}`);
  return kind;
};

/** The argument of a sampler. */
export function ratio(kind: Sampler['kind']): SettingParser<number> {
  return (text) => {
    if (!kind.endsWith('traceidratio'))
      throw new InvalidSetting(
        'is used only with OTEL_TRACES_SAMPLER=traceidratio or parentbased_traceidratio; set one of them, or remove it',
      );
    if (!/^(?:0|1|[01]?\.\d+|[01]\.0*)$/.test(text) || Number(text) > 1)
      throw new InvalidSetting('must be a number from 0 to 1, such as 0.1');
    return Number(text);
  };
}

/** Whether `traceparent` is read. Baggage is not: nothing that a caller sends is put into a span. */
export const propagators: SettingParser<boolean> = (text) => {
  const names = text.split(',').map((name) => name.trim());
  if (!names.every((name) => ['tracecontext', 'baggage', 'none'].includes(name)))
    throw new InvalidSetting('must be tracecontext, baggage or none; Postern reads no other header');
  return names.includes('tracecontext');
};

/** The list has words for other instrumentations, too; they are ignored as the specification says. */
export const writesOldAttributes: SettingParser<boolean> = (text) =>
  text
    .split(',')
    .map((word) => word.trim())
    .includes('rpc/dup');

/** A choice of the specification of which Postern has one. */
export function only(choice: string): SettingParser<null> {
  return (text) => {
    if (text.toLowerCase() !== choice)
      throw new InvalidSetting(`must be ${choice}, which is all that Postern does`);
    return null;
  };
}

/** For commands that send nothing: they may run as a user who must not read the file. */
export const anyPath: SettingParser<string> = (text) => text;

export function readableFile(readFile: (path: string) => string): SettingParser<string> {
  return (text) => {
    try {
      readFile(text);
    } catch {
      throw new InvalidSetting("names a file that cannot be read; check the path and the file's permissions");
    }
    return text;
  };
}
