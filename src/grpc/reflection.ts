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
 * Server reflection v1 and v1alpha. Its library, which brings protobufjs, and the descriptors are loaded when somebody
 * asks for the first time: they would cost every start 100 ms and 6 MB.
 */
export function addReflection(server: Server): void {
  // Now: a package that Node does not find while too many files are open is not there for as long as the process lives.
  const library = require.resolve('@grpc/reflection');
  let methods: Map<string, ReflectionMethod> | undefined;
  let loading: Promise<void> | undefined;
  const load = async () => {
    try {
      methods = await loadMethods(library);
    } catch (error) {
      // Perhaps too many files were open: whoever asks next has another try.
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
    // Nothing is read, and so decoded, before the library's handler listens.
    const whenLoaded: Reflect = (call) => {
      loading ??= load();
      loading
        .then(() => methodAt(path).handler(withBackpressure(call)))
        .catch((error: unknown) => {
          const context = contextOf(call.metadata);
          context.end(statusOfError(error, context));
        });
    };
    server.addService({ serverReflectionInfo }, { serverReflectionInfo: whenLoaded });
  }
}

/** The library answers whatever it is asked at once: who asks and reads no answers would fill the memory with them. */
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
 * By path. From the descriptors that `buf` compiled: those that are taken from proto-loader's result instead have lost
 * the dependencies between files, and `buf curl` fails on them.
 */
async function loadMethods(library: string): Promise<Map<string, ReflectionMethod>> {
  // First what can be tried again: of an `import` that failed Node remembers the error.
  const { ReflectionService } = require(library) as typeof import('@grpc/reflection');
  const { descriptorSetBase64 } = await import('../generated/descriptor-set.ts');
  const fileDescriptorProtos = fileDescriptors(Buffer.from(descriptorSetBase64, 'base64'));
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

/** The serialised FileDescriptorProtos of a FileDescriptorSet, which is `repeated FileDescriptorProto file = 1`. */
function fileDescriptors(set: Buffer): Buffer[] {
  const files: Buffer[] = [];
  for (let at = 0; at < set.length;) {
    at += 1; // the tag of field 1, wire type 2
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = set.readUInt8(at);
      at += 1;
      length |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    files.push(set.subarray(at, at + length));
    at += length;
  }
  return files;
}
