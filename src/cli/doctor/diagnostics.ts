import { createServer } from 'node:net';

import { listenAddresses } from '../../config/listen-addresses.ts';
import {
  loadSettings,
  type Settings,
  SettingsError,
  type SettingsPurpose,
} from '../../config/load-settings.ts';
import type { Upstreams } from '../../compose/sidecar/sidecar.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import { formatListenAddress, type ListenAddress } from '../../net/listen-address.ts';
import { bindWithMode, formatMode, groupRefused, mayGiveTo, OWNER_ONLY } from '../../net/unix-socket.ts';
import type { Database } from '../../database/database.ts';
import { dataDirectoryFault, holdsCluster } from '../../database/embedded/data-directory.ts';
import { embeddedPackageFault } from '../../database/embedded/locate-binaries.ts';
import { readSchemaState, requireSchema } from '../../database/migrate.ts';
import { type OpenedDatabase, openDatabase } from '../../database/open-database.ts';
import { detectPooling } from '../../database/connection/pooler-detection.ts';
import { apiKeyFindings } from './api-key-findings.ts';
import { certificateFindings } from './certificate-findings.ts';
import { clockFinding } from './clock-finding.ts';
import { administratorFindings, consoleFindings } from './console-findings.ts';
import { exitCodes } from '../exit-codes.ts';
import { faultOf, type Finding, settingsFaults } from './finding.ts';
import { policyFindings, tokenFileFindings } from './file-findings.ts';
import { grantFindings } from './grant-findings.ts';
import { issuerFindings } from './issuer-findings.ts';
import { keyFindings } from './key-findings.ts';
import { legacyFindings } from './legacy-findings.ts';
import { partitionFindings } from './partition-findings.ts';
import { poolingFindings } from './pooler-findings.ts';
import { readServerSettings, serverFindings } from './server-findings.ts';
import { passkeyFinding, secondFactorFindings } from './second-factor-findings.ts';
import { serviceKeyFindings } from './service-key-findings.ts';
import { telemetryFindings } from './telemetry-findings.ts';
import { tokenRoomFindings } from './token-room-finding.ts';
import { upstreamFindings } from './upstream-findings.ts';

const LIMIT_MS = 5_000;
const MIN_NODE_MAJOR = 22;

/** Checks everything that `serve` needs. Changes nothing. */
export async function runDiagnostics(): Promise<Finding[]> {
  const settings = settingsFor('serve');
  if ('faults' in settings) return settingsFaults(settings);
  return [
    {
      check: 'settings',
      verdict: 'ok',
      message: settings.production
        ? 'production mode (DATABASE_URL is set)'
        : 'embedded mode (DATABASE_URL is not set)',
    },
    ...settings.warnings.map((message): Finding => ({ check: 'settings', verdict: 'warning', message })),
    { check: 'settings', verdict: 'ok', message: `served over HTTP: ${servedOverHttp(settings).join(', ')}` },
    passkeyFinding(settings),
    ...consoleFindings(settings),
    ...legacyFindings(settings, Date.now()),
    runtimeFinding(),
    { check: 'runtime', verdict: 'ok', message: settings.sizing },
    ...certificateFindings(settings),
    ...(await policyFindings(settings)),
    ...(await tokenFileFindings(settings)),
    ...(await telemetryFindings(settings)),
    ...(await databaseFindings(settings)),
    ...(await portFindings(settings)),
    ...socketFindings(settings),
  ];
}

/** Checks everything that `sidecar --upstream` needs. Changes nothing. */
export async function runSidecarDiagnostics(upstreams: Upstreams): Promise<Finding[]> {
  const settings = settingsFor('sidecar');
  if ('faults' in settings) return settingsFaults(settings);
  const role = settings.relay ? 'a relay (POSTERN_RELAY=on)' : 'a sidecar';
  return [
    { check: 'settings', verdict: 'ok', message: role },
    ...settings.warnings.map((message): Finding => ({ check: 'settings', verdict: 'warning', message })),
    runtimeFinding(),
    ...certificateFindings(settings),
    ...(await policyFindings(settings)),
    ...(await tokenFileFindings(settings)),
    ...(await telemetryFindings(settings)),
    ...(await upstreamFindings(settings, upstreams, LIMIT_MS)),
    ...(await portFindings(settings)),
    ...socketFindings(settings),
  ];
}

function settingsFor(purpose: SettingsPurpose): Settings | SettingsError {
  try {
    return loadSettings(undefined, { for: purpose });
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error;
  }
}

function servedOverHttp({ httpRpc, adminListen, oauth, passwordDoor }: Settings): string[] {
  const hasAdmin = httpRpc === 'admin' && adminListen === null;
  return [
    'key set, health and metrics',
    ...(httpRpc === 'off' ? [] : [hasAdmin ? 'AuthService and AdminService' : 'AuthService']),
    ...(oauth ? ['the OAuth endpoints'] : []),
    ...(passwordDoor ? ['/login and /token'] : []),
  ];
}

function runtimeFinding(): Finding {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= MIN_NODE_MAJOR)
    return { check: 'runtime', verdict: 'ok', message: `Node ${node}` };
  return {
    check: 'runtime',
    verdict: 'warning',
    message: `Node ${node} has reached its end of life`,
    advice: 'Use Node 24 or later.',
  };
}

async function databaseFindings(settings: Settings): Promise<Finding[]> {
  if (!settings.production && !holdsCluster(settings.dataDir)) {
    const fault = embeddedPackageFault() ?? dataDirectoryFault(settings.dataDir);
    if (fault) return [faultOf('database', fault)];
    return [
      {
        check: 'database',
        verdict: 'ok',
        message: `there is no data in ${settings.dataDir} yet; the first start creates it`,
      },
    ];
  }
  try {
    const opened = await openExisting(settings);
    const { database, address } = opened;
    try {
      const server = await database.run(budgetOf(LIMIT_MS, Date.now()), readServerSettings);
      return [
        { check: 'database', verdict: 'ok', message: `PostgreSQL ${server.version} responds` },
        ...serverFindings(server),
        await clockFinding(database, LIMIT_MS),
        ...(settings.production ? poolingFindings(await detectPooling(address)) : []),
        ...(await schemaAndKeyFindings(database, settings)),
      ];
    } finally {
      await opened.close();
    }
  } catch (error) {
    return [faultOf('database', error)];
  }
}

function openExisting(settings: Settings): Promise<OpenedDatabase> {
  return openDatabase({
    databaseUrl: settings.databaseUrl,
    dataDir: settings.dataDir,
    ownerKind: 'command',
    createIfMissing: false,
    maxConnections: 1,
    report: () => undefined,
  });
}

async function schemaAndKeyFindings(database: Database, settings: Settings): Promise<Finding[]> {
  try {
    const { applied, known } = await readSchemaState(database);
    if (applied < known) return [oldSchemaFinding(applied, known, settings.migrate === 'auto')];
    if (settings.migrate === 'off') await requireSchema(database, { allowNewer: false });
    const newer = applied > known ? `, newer than this program, which knows ${known}` : '';
    const message = `the schema is at migration ${applied}${newer}`;
    const schema: Finding = { check: 'schema', verdict: 'ok', message };
    const grants = await grantFindings(database, LIMIT_MS);
    return [
      schema,
      ...grants,
      // Without the grants it could fail, and hide which are missing.
      ...(grants.length > 0 ? [] : await partitionFindings(database, LIMIT_MS)),
      ...(await keyFindings(database, settings, LIMIT_MS)),
      ...(await serviceKeyFindings(database, settings, LIMIT_MS)),
      ...(await apiKeyFindings(database, settings, LIMIT_MS)),
      ...(await administratorFindings(database, settings, LIMIT_MS)),
      ...(await secondFactorFindings(database, settings, LIMIT_MS)),
      ...(await issuerFindings(database, settings, LIMIT_MS)),
      ...(await tokenRoomFindings(database, settings, LIMIT_MS)),
    ];
  } catch (error) {
    return [faultOf('schema', error)];
  }
}

function oldSchemaFinding(applied: number, known: number, isMigratedByServe: boolean): Finding {
  const message = `the schema is at migration ${applied} of ${known}`;
  if (isMigratedByServe)
    return { check: 'schema', verdict: 'ok', message: `${message}; serve brings it up to date` };
  return {
    check: 'schema',
    verdict: 'fault',
    message,
    advice: 'Run: postern migrate',
    exitCode: exitCodes.refused,
  };
}

async function portFindings(settings: Settings): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { setting, address } of listenAddresses(settings))
    findings.push(await portFinding(setting, address));
  return findings;
}

async function portFinding(setting: string, address: ListenAddress): Promise<Finding> {
  const text = formatListenAddress(address);
  const fault = await new Promise<string | undefined>((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    const onListening = () => server.close(() => resolve(undefined));
    if (address.kind === 'unix') bindWithMode(OWNER_ONLY, () => server.listen(address.path, onListening));
    else server.listen(address.port, address.host, onListening);
  });
  if (fault === undefined) {
    const isChosenBySystem = address.kind === 'tcp' && address.port === 0;
    const message = isChosenBySystem ? `${text}: the system chooses a free port` : `${text} is free`;
    return { check: 'ports', verdict: 'ok', message };
  }
  if (fault === 'EADDRINUSE') {
    return {
      check: 'ports',
      verdict: 'warning',
      message: `${text} is in use, perhaps by a running Postern`,
      advice: `If another program uses it, stop that program or change ${setting}; otherwise the start ends with exit code ${exitCodes.settings}.`,
    };
  }
  return {
    check: 'ports',
    verdict: 'fault',
    message: `${text} cannot be used (${fault})`,
    advice: /^(ENOTFOUND|EAI_)/.test(fault)
      ? `The name does not resolve: correct ${setting}, or listen on an address.`
      : `Change ${setting}.`,
  };
}

/** Who may connect to the unix sockets, and whether this user may give them to that group. Empty without a unix socket. */
function socketFindings(settings: Settings): Finding[] {
  const { mode, group } = settings.socketAccess;
  const [path] = listenAddresses(settings).flatMap(({ address }) =>
    address.kind === 'unix' ? [address.path] : [],
  );
  if (path === undefined) return [];
  if (group !== null && !mayGiveTo(group)) return [faultOf('ports', groupRefused(path, group))];
  const others = (mode & 0o007) === 0 ? '' : ': every user of this machine may connect';
  const ofGroup = group === null ? '' : ` and the group ${group}`;
  return [
    {
      check: 'ports',
      verdict: 'ok',
      message: `the unix sockets have the mode ${formatMode(mode)}${ofGroup}${others}`,
    },
  ];
}
