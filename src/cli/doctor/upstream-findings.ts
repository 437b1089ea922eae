import { status } from '@grpc/grpc-js';

import { channelCredentials, channelOptions } from '../../client/channel.ts';
import { type Upstreams, upstreamsFault } from '../../compose/sidecar/sidecar.ts';
import { credentialOf, describeLoss, upstreamOf } from '../../compose/sidecar/upstream.ts';
import type { Settings } from '../../config/load-settings.ts';
import { errorText } from '../../domain/error-text.ts';
import { TrustServiceClient } from '../../generated/postern/v1/trust.ts';
import { RelayPath } from '../../trust/relay-path.ts';
import { RelayedStream } from '../../trust/relayed-stream.ts';
import { type SourceEvent, StreamTrustSource } from '../../trust/stream-trust-source.ts';
import type { StreamEnd } from '../../trust/watch-trust-call.ts';
import { TrustBundle } from '../../trust/trust-bundle.ts';
import { exitCodes } from '../exit-codes.ts';
import { faultOf, type Finding } from './finding.ts';

const LOOK_EVERY_MS = 20;

/**
 * Opens the stream of a sidecar or relay and waits until it would be ready. What a ring of relays sends is as good as any
 * other stream to this process, which is none of them; only the relay itself finds the ring.
 */
export async function upstreamFindings(
  settings: Settings,
  upstreams: Upstreams,
  limitMs: number,
): Promise<Finding[]> {
  const fault = upstreamsFault(settings, upstreams);
  if (fault !== null)
    return [{ check: 'upstream', verdict: 'fault', ...fault, exitCode: exitCodes.wrongUse }];
  try {
    return [await streamFinding(settings, upstreams, limitMs)];
  } catch (error) {
    // A file of POSTERN_UPSTREAM_CA, CERT or KEY that cannot be used.
    return [faultOf('upstream', error)];
  }
}

async function streamFinding(
  settings: Settings,
  { trust: address, tokens }: Upstreams,
  limitMs: number,
): Promise<Finding> {
  const upstream = upstreamOf(settings, address);
  const client = new TrustServiceClient(address, channelCredentials(upstream), channelOptions(upstream));
  const bundle = new TrustBundle();
  let onFault: (finding: Finding) => void;
  const fault = new Promise<Finding>((resolve) => (onFault = resolve));
  const report = (event: SourceEvent) => {
    if (event.kind === 'disconnected') onFault(lossFinding(event.end, settings));
    if (event.kind === 'unusable') onFault(unusable(`what ${address} sends: ${errorText(event.error)}`));
  };
  const relay = settings.relay ? { path: new RelayPath(), stream: new RelayedStream(bundle) } : null;
  const credential = credentialOf(settings, upstreamOf(settings, tokens));
  const source = new StreamTrustSource({ client, bundle, credential, report, relay });
  source.start();
  // Not `whenLoaded`, whose timer would keep the command running after a fault.
  let onLooked: (finding: Finding) => void;
  const looked = new Promise<Finding>((resolve) => (onLooked = resolve));
  const look = () => onLooked(loadedFinding(bundle, settings, address, limitMs));
  const timeout = setTimeout(look, limitMs);
  const looking = setInterval(() => bundle.loaded && look(), LOOK_EVERY_MS);
  try {
    return await Promise.race([fault, looked]);
  } finally {
    clearTimeout(timeout);
    clearInterval(looking);
    source.stop();
    client.close();
  }
}

function loadedFinding(bundle: TrustBundle, settings: Settings, address: string, limitMs: number): Finding {
  if (!bundle.loaded) return unusable(`${address} sent no keys and revocations within ${limitMs / 1000} s`);
  const ageSeconds = bundle.ageMs / 1000;
  const sent = `${address} sends keys and revocations (${bundle.revocationCount}), which are ${ageSeconds.toFixed(1)} s old`;
  if (ageSeconds <= settings.maxStalenessSeconds) return { check: 'upstream', verdict: 'ok', message: sent };
  return {
    check: 'upstream',
    verdict: 'fault',
    message: `${sent}, more than POSTERN_MAX_STALENESS`,
    advice: 'The upstream cannot reach its database, or its own upstream: run postern doctor there.',
    exitCode: exitCodes.unavailable,
  };
}

function unusable(message: string): Finding {
  const advice = 'Run postern doctor where the upstream runs.';
  return { check: 'upstream', verdict: 'fault', message, advice, exitCode: exitCodes.unavailable };
}

function lossFinding(end: StreamEnd, settings: Settings): Finding {
  const [message = '', ...advice] = describeLoss(end, settings).split('; ');
  const exitCode = end.code === status.UNAVAILABLE ? exitCodes.unavailable : exitCodes.refused;
  return {
    check: 'upstream',
    verdict: 'fault',
    message,
    advice:
      advice.length > 0 ? advice.join('; ') : 'Check --upstream, the network, and that the upstream runs.',
    exitCode,
  };
}
