import { status } from '@grpc/grpc-js';

import type { Upstream } from '../../client/channel.ts';
import { type ServiceCredential, serviceCredential } from '../../client/service-credential.ts';
import { workloadCredential } from '../../client/workload-credential.ts';
import type { Settings } from '../../config/load-settings.ts';
import type { Logger } from '../../observability/log.ts';
import { codeName } from '../../rpc/status-code.ts';
import type { SourceEvent } from '../../trust/stream-trust-source.ts';
import type { StreamEnd } from '../../trust/watch-trust-call.ts';
import { deduplicatedWarning } from '../deduplicated-warning.ts';

/** How a sidecar reaches its upstream. */
export function upstreamOf(settings: Settings, address: string): Upstream {
  const { insecure, upstreamCa, upstreamCert, upstreamKey } = settings;
  if (upstreamCa === null) return { address, insecure };
  const tls = {
    ...(upstreamCa !== 'system' && { caFile: upstreamCa }),
    ...(upstreamCert !== null && { certFile: upstreamCert }),
    ...(upstreamKey !== null && { keyFile: upstreamKey }),
  };
  return { address, insecure, tls };
}

/** The service account of the sidecar; null when the settings name none. */
export function credentialOf(settings: Settings, upstream: Upstream): ServiceCredential | null {
  const { clientId, clientSecret, apiAudience, tokenFile, tokenServiceAccount } = settings;
  const audience = apiAudience === null ? {} : { audience: apiAudience };
  if (tokenFile !== null) {
    const account = tokenServiceAccount === null ? {} : { serviceAccount: tokenServiceAccount };
    return workloadCredential(upstream, { tokenFile, ...account, ...audience });
  }
  if (clientId === null || clientSecret === null) return null;
  return serviceCredential(upstream, {
    clientId,
    clientSecret: clientSecret.reveal(),
    ...audience,
  });
}

/** Logs the events of the trust source. */
export function upstreamLogger(log: Logger, settings: Settings): (event: SourceEvent) => void {
  let warnOfLoss = deduplicatedWarning(log, 'upstream-lost');
  return (event) => {
    if (event.kind === 'connected') {
      log.info('upstream-connected');
      // A later loss is another outage, to be logged at once.
      warnOfLoss = deduplicatedWarning(log, 'upstream-lost');
    } else if (event.kind === 'unusable') log.error({ cause: event.error }, 'upstream-unusable');
    else warnOfLoss(describeLoss(event.end, settings));
  };
}

/** Says why the upstream does not serve this sidecar and, when it refuses the credential, what to set here. */
export function describeLoss({ code, details }: StreamEnd, settings: Settings): string {
  const reason = `${codeName(code)}: ${details}`;
  if (code === status.UNIMPLEMENTED)
    return `${reason}; if --upstream is a relay, which issues no tokens, set --token-upstream to the service`;
  if (code !== status.UNAUTHENTICATED && code !== status.PERMISSION_DENIED) return reason;
  if (settings.tokenFile !== null)
    return `${reason}; check that POSTERN_TOKEN_FILE holds a token for this service, whose identity is bound to a service account there ('postern issuer list', 'postern service bindings')`;
  if (settings.clientId !== null)
    return `${reason}; check POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET, with which this sidecar logs in`;
  if (settings.upstreamCert !== null)
    return `${reason}; list the identity in POSTERN_UPSTREAM_CERT in POSTERN_TLS_SERVICE_IDENTITIES of the service, or set POSTERN_TOKEN_FILE, or POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET, here`;
  return `this sidecar has no credential; set POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET to a service account that 'postern service create NAME' made, or POSTERN_TOKEN_FILE to a token of this workload, or POSTERN_UPSTREAM_CERT and POSTERN_UPSTREAM_KEY to a certificate that the service lists (${reason})`;
}
