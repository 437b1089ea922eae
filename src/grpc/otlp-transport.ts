import {
  Client,
  compressionAlgorithms,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';

import type { OtlpSettings, Signal } from '../config/telemetry/telemetry-settings.ts';
import { tlsPems } from '../net/tls/pem-files.ts';

const METHODS: Readonly<Record<Signal, string>> = {
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
};

/** The codes after which the specification of OTLP lets an exporter try again. */
const RETRYABLE: readonly status[] = [
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
];

/** Sends encoded requests of OTLP over gRPC. */
export function otlpGrpcTransport(otlp: OtlpSettings, signal: Signal) {
  const { protocol, hostname, port } = new URL(otlp.url);
  const isSecure = protocol === 'https:';
  const { ca, cert, key } = tlsPems(otlp);
  const client = new Client(
    `${hostname}:${port === '' ? (isSecure ? 443 : 80) : port}`,
    isSecure ? credentials.createSsl(ca, key, cert) : credentials.createInsecure(),
    { 'grpc.default_compression_algorithm': compressionAlgorithms[otlp.gzip ? 'gzip' : 'identity'] },
  );
  const metadata = new Metadata();
  for (const [name, content] of Object.entries(otlp.headers)) metadata.set(name, content);
  const asIs = (bytes: Buffer) => bytes;
  return {
    send: (data: Uint8Array, timeoutMs: number) =>
      new Promise<
        | { status: 'success'; data?: Uint8Array }
        | { status: 'failure'; error: Error }
        | { status: 'retryable'; error?: Error }
      >((resolve) => {
        const deadline = Date.now() + timeoutMs;
        const done = (error: ServiceError | null, answer?: Buffer) => {
          if (!error) resolve({ status: 'success', ...(answer && { data: answer }) });
          else
            resolve({
              status: RETRYABLE.includes(error.code) ? 'retryable' : 'failure',
              error: new Error(reasonOf(error)),
            });
        };
        client.makeUnaryRequest(METHODS[signal], asIs, asIs, Buffer.from(data), metadata, { deadline }, done);
      }),
    shutdown: () => client.close(),
  };
}

/** The code, and why there is no connection: grpc-js has that among its words, in an error without a code. */
function reasonOf({ code, details }: ServiceError): string {
  const cause =
    /^No connection established\. Last error: (?:Error: )?([^\n]{1,200}?)(?: \(|\. Resolution note|\\n|$)/.exec(
      details,
    );
  return cause === null ? status[code] : `${status[code]} (${cause[1]})`;
}
