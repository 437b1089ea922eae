import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Attributed {
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
}

export interface Span extends Attributed {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly status: { readonly code?: number };
}

interface Metric {
  readonly name: string;
  readonly histogram?: {
    readonly dataPoints: readonly (Attributed & {
      count: number | string;
      bucketCounts: (number | string)[];
    })[];
  };
}

interface Exported {
  readonly resourceSpans?: { resource: Attributed; scopeSpans: { spans: Span[] }[] }[];
  readonly resourceMetrics?: { resource: Attributed; scopeMetrics: { metrics: Metric[] }[] }[];
}

/** A collector for OTLP over HTTP in JSON. */
export class Collector {
  readonly bodies: string[] = [];
  readonly paths = new Set<string | undefined>();
  readonly #server: Server;

  /** @param answer ends the response; without it, everything is accepted */
  constructor(answer: (response: ServerResponse) => void = (response) => response.end('{}')) {
    this.#server = createServer((request, response) => {
      this.paths.add(request.url);
      let body = '';
      request.setEncoding('utf8').on('data', (part: string) => (body += part));
      request.on('end', () => {
        this.bodies.push(body);
        answer(response.setHeader('content-type', 'application/json'));
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get spans(): Span[] {
    return this.#exported.flatMap(({ resourceSpans = [] }) =>
      resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
    );
  }

  /** Those of the last export. */
  get metrics(): Metric[] {
    const last = this.#exported.findLast(({ resourceMetrics }) => resourceMetrics);
    return (last?.resourceMetrics ?? []).flatMap(({ scopeMetrics }) =>
      scopeMetrics.flatMap(({ metrics }) => metrics),
    );
  }

  get resources(): Attributed[] {
    return this.#exported.flatMap(({ resourceSpans = [], resourceMetrics = [] }) =>
      [...resourceSpans, ...resourceMetrics].map(({ resource }) => resource),
    );
  }

  get #exported(): Exported[] {
    return this.bodies.map((body) => JSON.parse(body) as Exported);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export function attributesOf(attributed: Attributed | undefined): Record<string, unknown> {
  return Object.fromEntries(
    (attributed?.attributes ?? []).map(({ key, value }) => [key, Object.values(value)[0]]),
  );
}
