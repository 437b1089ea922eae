import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';

import { descriptorSetBase64 } from '../generated/descriptor-set.ts';

/**
 * Server reflection v1 and v1alpha over the descriptors that `buf` compiled. Descriptors that are taken from
 * proto-loader's result instead have lost the dependencies between files, and `buf curl` fails on them.
 */
export function addReflection(server: Server): void {
  const fileDescriptorProtos = fileDescriptors(Buffer.from(descriptorSetBase64, 'base64'));
  const all = { fileDescriptorProtos } as unknown as ConstructorParameters<
    typeof ReflectionService
  >[0][string];
  new ReflectionService({ all }).addToServer(server);
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
