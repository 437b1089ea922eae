import { createRequire } from 'node:module';

import type {
  handleBidiStreamingCall,
  MethodDefinition,
  Server,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { contextOf } from './attached-context.ts';
import { statusOfError } from '../rpc/rejection-status.ts';

type Message = object;
type Reflect = handleBidiStreamingCall<Message, Message>;

interface ReflectionMethod {
  readonly definition: MethodDefinition<Message, Message>;
  readonly handler: Reflect;
}

const require = createRequire(import.meta.url);
const PATHS = [
  '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
  '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo',
] as const;

/**
 * Server reflection v1 and v1alpha. The library, which includes protobufjs, and the descriptors are loaded at the first
 * call: they would cost 100 ms and 6 MB at every start.
 *
 * @param hiddenFiles the names of proto files that are left out; no other file may import them
 */
export function addReflection(server: Server, hiddenFiles: readonly string[] = []): void {
  // Resolved at start: when Node cannot find a package while too many files are open, it caches that for the process.
  const library = require.resolve('@grpc/reflection');
  let methods: Map<string, ReflectionMethod> | undefined;
  let loading: Promise<void> | undefined;
  const load = async () => {
    try {
      methods = await loadMethods(library, hiddenFiles);
    } catch (error) {
      // The cause may be temporary, such as too many open files, so the next call tries again.
      loading = undefined;
      throw error;
    }
  };
  const methodAt = (path: string): ReflectionMethod => {
    const method = methods?.get(path);
    if (!method) throw new Error(`the reflection library has no ${path}`);
    return method;
  };
  for (const path of PATHS) {
    const serverReflectionInfo: MethodDefinition<Message, Message> = {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: (request) => methodAt(path).definition.requestSerialize(request),
      requestDeserialize: (bytes) => methodAt(path).definition.requestDeserialize(bytes),
      responseSerialize: (response) => methodAt(path).definition.responseSerialize(response),
      responseDeserialize: (bytes) => methodAt(path).definition.responseDeserialize(bytes),
    };
    // No message is read and decoded before the library's handler listens.
    const handleOnceLoaded: Reflect = (call) => {
      loading ??= load();
      loading
        .then(() => methodAt(path).handler(withBackpressure(call)))
        .catch((error: unknown) => {
          const context = contextOf(call.metadata);
          context.end(statusOfError(error, context));
        });
    };
    server.addService({ serverReflectionInfo }, { serverReflectionInfo: handleOnceLoaded });
  }
}

/**
 * The library answers every request at once. Without backpressure, a caller that reads no answers would fill the
 * memory.
 */
function withBackpressure<Call extends Parameters<Reflect>[0]>(call: Call): Call {
  const write = call.write.bind(call);
  call.write = (answer: Message) => {
    const hasCapacity = write(answer);
    if (!hasCapacity) {
      call.pause();
      call.once('drain', () => call.resume());
    }
    return hasCapacity;
  };
  return call;
}

/**
 * The library's methods by path, for the descriptors that `buf` compiled. Descriptors from proto-loader lack the
 * dependencies between files, and `buf curl` fails on them.
 */
async function loadMethods(
  library: string,
  hiddenFiles: readonly string[],
): Promise<Map<string, ReflectionMethod>> {
  // `require` comes first, because it can be retried. Node caches the error of a failed `import`.
  const { ReflectionService } = require(library) as typeof import('@grpc/reflection');
  const { descriptorSetBase64 } = await import('../generated/descriptor-set.ts');
  const fileDescriptorProtos = fileDescriptors(Buffer.from(descriptorSetBase64, 'base64')).filter(
    (file) => !hiddenFiles.includes(nameOfFile(file)),
  );
  const all = { fileDescriptorProtos } as unknown as ConstructorParameters<
    typeof ReflectionService
  >[0][string];
  const methods = new Map<string, ReflectionMethod>();
  const collector: Pick<Server, 'addService'> = {
    addService(service: ServiceDefinition, implementation: UntypedServiceImplementation) {
      for (const [name, definition] of Object.entries<MethodDefinition<Message, Message>>(service)) {
        methods.set(definition.path, { definition, handler: implementation[name] as Reflect });
      }
    },
  };
  new ReflectionService({ all }).addToServer(collector);
  return methods;
}

/** The serialised files of a FileDescriptorSet, whose only field is `repeated FileDescriptorProto file = 1`. */
function fileDescriptors(descriptorSet: Buffer): Buffer[] {
  const files: Buffer[] = [];
  for (let offset = 0; offset < descriptorSet.length;) {
    const { value, end } = lengthDelimited(descriptorSet, offset);
    files.push(value);
    offset = end;
  }
  return files;
}

/** The name of a file, which its descriptor has as field 1, the first that is written. */
function nameOfFile(fileDescriptor: Buffer): string {
  return lengthDelimited(fileDescriptor, 0).value.toString();
}

/** The value of a field whose tag is one byte, and where the next field begins. */
function lengthDelimited(message: Buffer, start: number): { value: Buffer; end: number } {
  let offset = start + 1;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = message.readUInt8(offset);
    offset += 1;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return { value: message.subarray(offset, offset + length), end: offset + length };
}
