import { formatListenAddress } from '../../src/net/listen-address.ts';
import { GrpcServer } from '../../src/grpc/grpc-server.ts';

export type ListenerOptions = ConstructorParameters<typeof GrpcServer>[0];

export interface BareListener {
  readonly server: GrpcServer;
  readonly address: string;
  stop(): Promise<void>;
}

/** The gRPC listener alone, on a port of its own. It serves health and has no method guard. */
export async function startBareListener(options: Partial<ListenerOptions> = {}): Promise<BareListener> {
  const server = new GrpcServer({
    services: () => undefined,
    guard: null,
    health: { processReady: [''], verificationReady: [] },
    reflection: false,
    onFinish: () => undefined,
    ...options,
  });
  const address = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, null);
  return {
    server,
    address: formatListenAddress(address),
    stop: () => server.stop({ delayMs: 0, graceMs: 100 }),
  };
}
