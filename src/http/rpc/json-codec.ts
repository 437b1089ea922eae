import {
  createFileRegistry,
  type DescField,
  type DescMessage,
  type FileRegistry,
  fromBinary,
  fromJsonString,
  type Message,
  ScalarType,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

import { descriptorSetBase64 } from '../../generated/descriptor-set.ts';
import { invalidRequest } from './rpc-protocol.ts';

/** Converts the messages of one method between JSON and their binary form. */
export interface MethodJson {
  /**
   * The request as `decode` makes it.
   *
   * @param decode makes the message that the handler takes from the binary form
   * @throws Rejected
   */
  requestFromJson(json: Buffer, decode: (bytes: Buffer) => unknown): unknown;
  responseToJson(bytes: Uint8Array): string;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * ProtoJSON by the descriptors of the contract. This file and what it imports are loaded at the first call with JSON, because
 * they need 10 MB and nobody else does.
 */
export class JsonCodec {
  readonly #registry: FileRegistry;

  constructor(descriptorSet: Uint8Array = Buffer.from(descriptorSetBase64, 'base64')) {
    this.#registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  }

  /** @param path such as `/postern.v1.AuthService/Login` */
  method(path: string): MethodJson {
    const [, service = '', name = ''] = path.split('/');
    const method = this.#registry.getService(service)?.methods.find((candidate) => candidate.name === name);
    if (!method) throw new Error(`the descriptors have no method ${path}`);
    const registry = this.#registry;
    const plainFields = plainFieldsOf(method.input);
    return {
      requestFromJson(json, decode) {
        const message = fromJson(method.input, json, registry);
        return plainFields ? withFields(message, plainFields) : decode(toBytes(method.input, message));
      },
      responseToJson: (bytes) => toJsonString(method.output, fromBinary(method.output, bytes), { registry }),
    };
  }
}

/**
 * Strict: no unknown and no repeated members, and no text with lone surrogates, which would become U+FFFD, so that two
 * different passwords became one.
 */
function fromJson(message: DescMessage, json: Buffer, registry: FileRegistry): Message {
  let text: string;
  try {
    text = utf8.decode(json);
  } catch (cause) {
    throw invalidRequest('', 'the request is not UTF-8', { cause });
  }
  try {
    return fromJsonString(message, text, { registry, ignoreUnknownFields: false });
  } catch (error) {
    throw invalidRequest(fieldOf(error), describe(error, message), { cause: error });
  }
}

function toBytes(message: DescMessage, value: Message): Buffer {
  try {
    return Buffer.from(toBinary(message, value));
  } catch (error) {
    throw invalidRequest(fieldOf(error), describe(error, message), { cause: error });
  }
}

/**
 * The fields of a message that has only text and numbers that may be absent, such as the request of VerifyToken; null for any
 * other message. Decoded, such a message is its fields, so that the way through the binary form, half of the cost, is not
 * needed.
 */
function plainFieldsOf({ fields }: DescMessage): readonly DescField[] | null {
  const { IMPLICIT, EXPLICIT } = FeatureSet_FieldPresence;
  const isPlain = (field: DescField) =>
    field.fieldKind === 'scalar' &&
    ((field.scalar === ScalarType.STRING && field.presence === IMPLICIT) ||
      (field.scalar === ScalarType.UINT32 && field.presence === EXPLICIT));
  return fields.every(isPlain) ? fields : null;
}

function withFields(message: Message, fields: readonly DescField[]): Readonly<Record<string, unknown>> {
  const values = message as Message & Readonly<Record<string, unknown>>;
  const decoded: Record<string, unknown> = {};
  for (const { localName } of fields) decoded[localName] = values[localName];
  return decoded;
}

/** The field that an error of the library names; empty for another error. */
function fieldOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const field =
    typeof cause === 'object' && cause !== null && 'field' in cause && typeof cause.field === 'function'
      ? (cause.field as () => { name?: unknown })()
      : undefined;
  return typeof field?.name === 'string' ? field.name : '';
}

const MAX_NAME_LENGTH = 64;

/** In words of our own: those of the library contain the value of the field, which may be a password. */
function describe(error: unknown, { typeName }: DescMessage): string {
  const words = error instanceof Error ? error.message : '';
  const [, unknownName] = /key "([^"]*)" is unknown$/.exec(words) ?? [];
  if (unknownName !== undefined)
    return `${typeName} has no member "${unknownName.slice(0, MAX_NAME_LENGTH).toWellFormed()}"`;
  if (/set multiple times|duplicate/.test(words)) return 'the member occurs more than once';
  if (words.includes('recursion depth')) return 'the request is nested too deeply';
  if (fieldOf(error) !== '') return 'the value is not of the type of this field';
  return `the request is not the JSON of a ${typeName}`;
}
