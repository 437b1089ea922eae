// Runs in the browser, bundled by browser.test.ts: calls of connect-web, whose ends the test reads as data.
import { createFileRegistry, type DescService, fromBinary } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';

import type { PageCall, PageEnd } from './browser.test.ts';

async function callFromPage({
  url,
  descriptors,
  protocol,
  method,
  message,
  token,
}: PageCall): Promise<PageEnd> {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, base64Decode(descriptors)));
  const service = registry.getService('postern.v1.AuthService') as DescService;
  const transport =
    protocol === 'grpc-web'
      ? createGrpcWebTransport({ baseUrl: url })
      : createConnectTransport({ baseUrl: url, useBinaryFormat: protocol === 'binary' });
  const client = createClient(service, transport) as Record<string, unknown>;
  const call = client[method] as (message: object, options: object) => Promise<Record<string, unknown>>;
  let requestId: string | null = null;
  try {
    const response = await call(message, {
      headers: {
        'x-request-id': 'from-a-page',
        // As OpenTelemetry in the page adds it.
        traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
      onHeader: (headers: Headers) => (requestId = headers.get('x-request-id')),
    });
    const { accessToken = '', subject = '' } = response as { accessToken?: string; subject?: string };
    return { code: 'OK', reasons: [], requestId, accessToken, subject };
  } catch (error) {
    const refused = ConnectError.from(error);
    const details = refused.findDetails(registry) as unknown as { reason?: string }[];
    return {
      code: Code[refused.code],
      reasons: details.flatMap(({ reason }) => reason ?? []),
      requestId: refused.metadata.get('x-request-id'),
      accessToken: '',
      subject: '',
    };
  }
}

Object.assign(globalThis, { callFromPage });
