import { isRpIdImpossible, passkeySettingsOf } from './passkey-origins.ts';
import { leaveRoomForRoles, MAX_ISSUER_AND_AUDIENCE_BYTES } from '../domain/roles.ts';
import { listenerRules } from './listener-rules.ts';
import type { Rule, SettingsRead } from './setting-rule.ts';

const legacyClaimSettings = [
  'POSTERN_LEGACY_HS256_SUBJECT',
  'POSTERN_LEGACY_HS256_ISSUER',
  'POSTERN_LEGACY_HS256_AUDIENCE',
];

const rules: readonly Rule[] = [
  {
    // K07: without the master key, signing keys can be neither opened nor sealed.
    reads: ['masterKey'],
    for: ['serve', 'keys'],
    isBroken: ({ masterKey }, { production }) => production && masterKey === null,
    fault: 'POSTERN_MASTER_KEY is required with DATABASE_URL; make one with: openssl rand -base64 32',
  },
  {
    reads: ['masterKey', 'masterKeyPrevious'],
    isBroken: ({ masterKey, masterKeyPrevious: previous }) =>
      previous !== null && (masterKey === null || masterKey.base64().equals(previous.base64())),
    fault:
      'POSTERN_MASTER_KEY_PREVIOUS needs a different key in POSTERN_MASTER_KEY; set the new key in POSTERN_MASTER_KEY and the old one in POSTERN_MASTER_KEY_PREVIOUS',
  },
  {
    // T26: with a long issuer and audience, the token of a user with many roles would exceed the size limit of tokens.
    // Without this rule, the fault would show only when that user logs in.
    reads: ['issuer', 'audiences'],
    isBroken: ({ issuer, audiences }) => !leaveRoomForRoles(issuer, audiences),
    fault:
      `POSTERN_ISSUER and the longest name of POSTERN_AUDIENCE may have ${MAX_ISSUER_AND_AUDIENCE_BYTES} bytes together; ` +
      'shorten one, because tokens need room for roles',
  },
  {
    // Otherwise no token for the API could be issued and AdminService could not be called. A sidecar gets the audiences
    // from its upstream.
    reads: ['audiences', 'apiAudience'],
    for: ['serve', 'keys', 'command'],
    isBroken: ({ audiences, apiAudience }) => apiAudience !== null && !audiences.includes(apiAudience),
    fault:
      'POSTERN_API_AUDIENCE must be one of POSTERN_AUDIENCE; add it to POSTERN_AUDIENCE, or use a name that is listed there',
  },
  {
    reads: ['algorithm', 'secret'],
    for: ['serve', 'keys'],
    isBroken: ({ algorithm, secret }) => algorithm === 'HS256' && secret === null,
    fault: 'POSTERN_SECRET is required with POSTERN_ALGORITHM=HS256; make one with: openssl rand -hex 32',
  },
  {
    reads: ['algorithm', 'secret'],
    isBroken: ({ algorithm, secret }) => algorithm !== 'HS256' && secret !== null,
    fault:
      'POSTERN_SECRET is used only with POSTERN_ALGORITHM=HS256; remove it, or set POSTERN_ALGORITHM=HS256',
  },
  {
    reads: ['legacySecret', 'legacyUntilMs'],
    isBroken: ({ legacySecret, legacyUntilMs }) => (legacySecret === null) !== (legacyUntilMs === null),
    fault: 'POSTERN_LEGACY_HS256_SECRET and POSTERN_LEGACY_HS256_UNTIL go together; set both or neither',
  },
  {
    reads: ['legacySecret', 'legacyUntilMs', 'legacySubjectClaims', 'legacyIssuers', 'legacyAudiences'],
    isBroken: ({ legacySecret, legacyUntilMs }, { environment }) =>
      legacySecret === null &&
      legacyUntilMs === null &&
      legacyClaimSettings.some((name) => environment[name]),
    fault: `${legacyClaimSettings.join(', ')} are used only with POSTERN_LEGACY_HS256_SECRET and POSTERN_LEGACY_HS256_UNTIL; set these, or remove those`,
  },
  {
    reads: ['algorithm', 'legacySecret'],
    isBroken: ({ algorithm, legacySecret }) => algorithm === 'HS256' && legacySecret !== null,
    fault: 'POSTERN_LEGACY_HS256_SECRET cannot be used with POSTERN_ALGORITHM=HS256; remove one',
  },
  {
    reads: ['keyRotationSeconds', 'jwksMaxAgeSeconds'],
    isBroken: ({ keyRotationSeconds, jwksMaxAgeSeconds }) => keyRotationSeconds < jwksMaxAgeSeconds,
    fault:
      'POSTERN_KEY_ROTATION must be at least POSTERN_JWKS_MAX_AGE, because a new key is published for that long before it signs',
  },
  {
    reads: ['clientId', 'clientSecret'],
    isBroken: ({ clientId, clientSecret }) => (clientId === null) !== (clientSecret === null),
    fault: 'POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET go together; set both or neither',
  },
  {
    reads: ['clientId', 'clientSecret', 'tokenFile'],
    isBroken: ({ clientId, clientSecret, tokenFile }) =>
      tokenFile !== null && (clientId !== null || clientSecret !== null),
    fault:
      'POSTERN_TOKEN_FILE cannot be used with POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET: it replaces them; remove one or the others',
  },
  {
    reads: ['tokenFile', 'tokenServiceAccount'],
    isBroken: ({ tokenFile, tokenServiceAccount }) => tokenFile === null && tokenServiceAccount !== null,
    fault: 'POSTERN_TOKEN_SERVICE_ACCOUNT is used only with POSTERN_TOKEN_FILE; set it as well, or remove it',
  },
  {
    reads: ['relay'],
    for: ['serve'],
    isBroken: ({ relay }) => relay,
    fault:
      'POSTERN_RELAY=on is for a sidecar: the service itself serves WatchTrust in any case; remove it here',
  },
  {
    reads: ['tlsCert', 'tlsKey'],
    isBroken: ({ tlsCert, tlsKey }) => (tlsCert === null) !== (tlsKey === null),
    fault: 'POSTERN_TLS_CERT and POSTERN_TLS_KEY go together; set both or neither',
  },
  {
    reads: ['tlsCert', 'tlsKey', 'tlsClientCa'],
    isBroken: ({ tlsCert, tlsKey, tlsClientCa }) =>
      tlsClientCa !== null && tlsCert === null && tlsKey === null,
    fault: 'POSTERN_TLS_CLIENT_CA needs TLS; also set POSTERN_TLS_CERT and POSTERN_TLS_KEY',
  },
  {
    reads: ['tlsClientCa', 'tlsServiceIdentities', 'tlsAdminIdentities'],
    isBroken: ({ tlsClientCa, tlsServiceIdentities, tlsAdminIdentities }) =>
      tlsClientCa === null && tlsServiceIdentities.length + tlsAdminIdentities.length > 0,
    fault:
      'POSTERN_TLS_SERVICE_IDENTITIES and POSTERN_TLS_ADMIN_IDENTITIES need POSTERN_TLS_CLIENT_CA, ' +
      'the CA certificates that client certificates are verified with; set it as well',
  },
  {
    reads: ['upstreamCert', 'upstreamKey'],
    isBroken: ({ upstreamCert, upstreamKey }) => (upstreamCert === null) !== (upstreamKey === null),
    fault: 'POSTERN_UPSTREAM_CERT and POSTERN_UPSTREAM_KEY go together; set both or neither',
  },
  {
    reads: ['upstreamCa', 'upstreamCert'],
    isBroken: ({ upstreamCa, upstreamCert }) => upstreamCa === null && upstreamCert !== null,
    fault: 'POSTERN_UPSTREAM_CERT needs TLS to the upstream; set POSTERN_UPSTREAM_CA to a file, or to system',
  },
  {
    reads: ['socketMode', 'socketGroup'],
    isBroken: ({ socketMode, socketGroup }) =>
      socketGroup !== null && socketMode !== null && (socketMode & 0o070) === 0,
    fault:
      'POSTERN_SOCKET_GROUP has no effect, because POSTERN_SOCKET_MODE does not let the group connect; ' +
      'set POSTERN_SOCKET_MODE=0660, or remove one',
  },
  {
    reads: ['issuer', 'passkeyOrigins', 'passkeyRpId'],
    for: ['serve'],
    isBroken: isRpIdImpossible,
    fault:
      'POSTERN_PASSKEY_RP_ID, by default the host of the first origin, must be the host of every origin in POSTERN_PASSKEY_ORIGINS ' +
      'or a domain above it, such as example.com for https://login.example.com; correct one of them',
  },
  {
    reads: ['issuer', 'passkeyOrigins', 'passkeyRpId'],
    for: ['serve'],
    isBroken: (values) => values.passkeyRpId !== null && 'disabledBecause' in passkeySettingsOf(values),
    fault:
      'POSTERN_PASSKEY_RP_ID has no effect, because there is no origin for passkeys; set POSTERN_PASSKEY_ORIGINS, or remove it',
  },
  ...listenerRules,
  {
    // N07: with this variable, the gRPC library sends the text of internal errors to callers.
    reads: [],
    for: ['serve'],
    isBroken: (_values, { production, environment }) =>
      production && !['', 'false'].includes(environment['GRPC_NODE_DEBUG_SEND_ERROR_DETAILS'] ?? ''),
    fault:
      'GRPC_NODE_DEBUG_SEND_ERROR_DETAILS makes the gRPC library send internal errors to callers; remove it in production',
  },
];

/** One line for each broken rule. */
export function brokenSettingRules(read: SettingsRead): string[] {
  return rules
    .filter((rule) => rule.for?.includes(read.purpose) ?? true)
    .filter((rule) => !rule.reads.some((key) => read.faulty.has(key)))
    .filter((rule) => rule.isBroken(read.values, read))
    .map((rule) => rule.fault);
}
