import type { Settings } from '../config/load-settings.ts';
import { GrpcServer } from '../grpc/grpc-server.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import type { HealthGroup, HealthNames } from '../services/health-service.ts';

/** Its clients are people. */
const MAX_CONNECTIONS = 100;

/** The listener of POSTERN_CHANNELZ_LISTEN. Without the setting it does nothing. */
export class ChannelzListener {
  readonly #settings: Pick<Settings, 'channelzListen' | 'socketAccess'>;
  readonly #server: GrpcServer | null;

  /** @param health that of the gRPC listener, which grpcdebug asks for at the same address */
  constructor(
    settings: Pick<Settings, 'channelzListen' | 'socketAccess'>,
    { health, onFinish }: { health: HealthNames; onFinish: (call: FinishedCall) => void },
  ) {
    this.#settings = settings;
    this.#server =
      settings.channelzListen &&
      new GrpcServer({
        guard: null,
        services: () => undefined,
        channelz: 'served',
        health,
        reflection: false,
        maxConnections: MAX_CONNECTIONS,
        onFinish,
      });
  }

  /** For the other listeners of gRPC in this process. */
  get ofOthers(): 'shown' | undefined {
    return this.#server ? 'shown' : undefined;
  }

  setServing(group: HealthGroup, serving: boolean): void {
    this.#server?.setServing(group, serving);
  }

  async listen(): Promise<void> {
    const { channelzListen, socketAccess } = this.#settings;
    if (channelzListen) await this.#server?.listen(channelzListen, null, socketAccess);
  }

  /** At once, since nothing depends on its calls. */
  async stop(): Promise<void> {
    await this.#server?.stop({ delayMs: 0, graceMs: 0 });
  }
}
