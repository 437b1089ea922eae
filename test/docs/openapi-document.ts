import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromBinary,
  ScalarType,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { stringify } from 'yaml';

import { methodTable } from '../../src/rpc/method-table.ts';

type Schema = Readonly<Record<string, unknown>>;

const SERVICES = ['postern.v1.AuthService', 'postern.v1.AdminService'];
const SCALARS: Partial<Record<ScalarType, Schema>> = {
  [ScalarType.STRING]: { type: 'string' },
  [ScalarType.BYTES]: { type: 'string', format: 'byte' },
  [ScalarType.BOOL]: { type: 'boolean' },
  [ScalarType.INT32]: { type: 'integer', format: 'int32' },
  [ScalarType.UINT32]: { type: 'integer', minimum: 0 },
  [ScalarType.DOUBLE]: { type: 'number' },
  // ProtoJSON writes 64-bit numbers as text, which JavaScript's numbers could not hold.
  [ScalarType.INT64]: { type: 'string', format: 'int64' },
  [ScalarType.UINT64]: { type: 'string', format: 'uint64' },
};
/** The JSON forms of the messages of Google that the contract uses. */
const WELL_KNOWN: Readonly<Record<string, Schema>> = {
  'google.protobuf.Timestamp': { type: 'string', format: 'date-time' },
  'google.protobuf.Duration': { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]{1,9})?s$' },
  'google.protobuf.Struct': { type: 'object' },
};

/** The OpenAPI document of the unary RPCs that are served over HTTP, from the descriptors and comments of the contract. */
export function openApiDocument(descriptorSet: Uint8Array): string {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptorSet));
  const schemas = new Schemas();
  const methods = SERVICES.flatMap((name) => registry.getService(name)?.methods ?? []);
  const paths = Object.fromEntries(
    methods
      .filter(({ methodKind }) => methodKind === 'unary')
      .map((method) => [`/${method.parent.typeName}/${method.name}`, pathOf(method, schemas)]),
  );
  const document = {
    openapi: '3.1.0',
    info: {
      title: 'Postern over HTTP',
      version: 'v1',
      description:
        'Generated from proto/postern/v1. Every RPC is a POST with JSON in the Connect protocol; docs/http.md describes it.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: 'http://127.0.0.1:8080' }],
    paths,
    components: {
      securitySchemes: { accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      schemas: { ...schemas.all(), Refusal: refusal },
    },
  };
  return stringify(document, { lineWidth: 120, aliasDuplicateObjects: false });
}

function pathOf(method: DescMethod, schemas: Schemas): Schema {
  const rule = methodTable[`/${method.parent.typeName}/${method.name}`];
  if (!rule) throw new Error(`the method table has no ${method.name}`);
  const [summary = '', ...rest] = commentOf(method).split('\n\n');
  const json = (schema: Schema) => ({ 'application/json': { schema } });
  return {
    post: {
      operationId: method.name,
      tags: [method.parent.name],
      summary,
      ...(rest.length > 0 && { description: rest.join('\n\n') }),
      // VerifyToken takes its token in the request as well.
      security: rule.access === 'public' ? [{}, { accessToken: [] }] : [{ accessToken: [] }],
      requestBody: { required: true, content: json(schemas.refTo(method.input)) },
      responses: {
        200: { description: 'OK', content: json(schemas.refTo(method.output)) },
        default: {
          description: 'A refusal, with the HTTP status of its code',
          content: json({ $ref: '#/components/schemas/Refusal' }),
        },
      },
    },
  };
}

/** The schemas of the messages and enums that are referred to. */
class Schemas {
  readonly #known = new Map<string, Schema>();

  refTo(type: DescMessage | DescEnum): Schema {
    const wellKnown = WELL_KNOWN[type.typeName];
    if (wellKnown) return wellKnown;
    const name = type.typeName.replace('postern.v1.', '');
    if (!this.#known.has(name)) {
      // First, because a message may contain itself.
      this.#known.set(name, {});
      this.#known.set(name, type.kind === 'enum' ? enumSchema(type) : this.#messageSchema(type));
    }
    return { $ref: `#/components/schemas/${name}` };
  }

  all(): Schema {
    return Object.fromEntries([...this.#known].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #messageSchema(message: DescMessage): Schema {
    return {
      type: 'object',
      ...described(message),
      properties: Object.fromEntries(
        message.fields.map((field) => [field.jsonName, { ...this.#fieldSchema(field), ...described(field) }]),
      ),
      additionalProperties: false,
    };
  }

  #fieldSchema(field: DescField): Schema {
    if (field.fieldKind === 'map') return { type: 'object', additionalProperties: this.#valueSchema(field) };
    const schema = this.#valueSchema(field);
    return field.fieldKind === 'list' ? { type: 'array', items: schema } : schema;
  }

  #valueSchema(field: DescField): Schema {
    if (field.message) return this.refTo(field.message);
    if (field.enum) return this.refTo(field.enum);
    const schema = SCALARS[field.scalar];
    if (!schema) throw new Error(`${String(field)} has a type that this document has no form for`);
    return schema;
  }
}

function enumSchema(type: DescEnum): Schema {
  return { type: 'string', ...described(type), enum: type.values.map(({ name }) => name) };
}

function described(element: Described): Schema {
  const description = commentOf(element);
  return description === '' ? {} : { description };
}

type Described = DescMessage | DescEnum | DescField | DescMethod;

/** The place of an element in its file, as the source information of descriptor.proto numbers it. */
function placeOf(element: Described): number[] {
  switch (element.kind) {
    case 'rpc': {
      const { parent } = element;
      return [6, parent.file.proto.service.indexOf(parent.proto), 2, parent.methods.indexOf(element)];
    }
    case 'field':
      return [...placeOf(element.parent), 2, element.parent.fields.indexOf(element)];
    case 'message':
      if (element.parent)
        return [...placeOf(element.parent), 3, element.parent.nestedMessages.indexOf(element)];
      return [4, element.file.proto.messageType.indexOf(element.proto)];
    case 'enum':
      if (element.parent) return [...placeOf(element.parent), 4, element.parent.nestedEnums.indexOf(element)];
      return [5, element.file.proto.enumType.indexOf(element.proto)];
  }
}

/** The comment above an element, without the line breaks inside its paragraphs. */
function commentOf(element: Described): string {
  const { file } = element.kind === 'rpc' || element.kind === 'field' ? element.parent : element;
  const place = placeOf(element).join(' ');
  const location = file.proto.sourceCodeInfo?.location.find(({ path }) => path.join(' ') === place);
  return (location?.leadingComments ?? '')
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim().replace(/\s*\n\s*/g, ' '))
    .join('\n\n');
}

const refusal: Schema = {
  type: 'object',
  required: ['code', 'message'],
  properties: {
    code: { type: 'string', description: 'The status of gRPC in snake case.', examples: ['unauthenticated'] },
    message: { type: 'string', description: 'One line for a person, which says what to do.' },
    details: {
      type: 'array',
      items: {
        type: 'object',
        required: ['type', 'value'],
        properties: {
          type: { type: 'string', examples: ['google.rpc.ErrorInfo'] },
          value: { type: 'string', description: 'The detail in binary form, as base64 without padding.' },
          debug: {
            type: 'object',
            description: 'The detail as JSON: of an ErrorInfo its `reason`, a name of postern.v1.Reason.',
          },
        },
      },
    },
  },
};
