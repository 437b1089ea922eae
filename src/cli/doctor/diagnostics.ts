import { createServer } from 'node:net';

import { loadSettings, type Settings, SettingsError } from '../../config/load-settings.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import { formatListenAddress, type ListenAddress } from '../../net/listen-address.ts';
import type { Database } from '../../database/database.ts';
import { dataDirectoryFault, holdsCluster } from '../../database/embedded/data-directory.ts';
import { embeddedPackageFault } from '../../database/embedded/locate-binaries.ts';
import { readSchemaState, requireSchema } from '../../database/migrate.ts';
import { type OpenedDatabase, openDatabase } from '../../database/open-database.ts';
import { detectPooling } from '../../database/pooler-detection.ts';
import { openTracing } from '../../observability/tracing/open-tracing.ts';
import { certificateFindings } from './certificate-findings.ts';
import { clockFinding } from './clock-finding.ts';
import { exitCodes } from '../exit-codes.ts';
import { faultOf, type Finding } from './finding.ts';
import { keyFindings } from './key-findings.ts';
import { poolingFindings } from './pooler-findings.ts';

const LIMIT_MS = 5_000;
const OLDEST_SUPPORTED_NODE = 22;

/** Looks at everything that `serve` needs, and changes nothing. */
export async function runDiagnostics(): Promise<Finding[]> {
  let settings: Settings;
  try {
    settings = loadSettings();
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    return error.faults.map((says) => ({ about: 'settings', verdict: 'fault', says }));
  }
  return [
    {
      about: 'settings',
      verdict: 'ok',
      says: settings.production ? 'DATABASE_URL is set: production' : 'embedded mode',
    },
    ...settings.warnings.map((says): Finding => ({ about: 'settings', verdict: 'warning', says })),
    runtime(),
    ...certificateFindings(settings),
    ...(await tracingFindings(settings.traceEndpoint)),
    ...(await storeFindings(settings)),
    await port('POSTERN_GRPC_LISTEN', settings.grpcListen),
    await port('POSTERN_HTTP_LISTEN', settings.httpListen),
  ];
}

function runtime(): Finding {
  const { node } = process.versions;
  if (Number.parseInt(node, 10) >= OLDEST_SUPPORTED_NODE)
    return { about: 'runtime', verdict: 'ok', says: `Node ${node}` };
  return {
    about: 'runtime',
    verdict: 'warning',
    says: `Node ${node} is past its end of life`,
    advice: 'Use Node 24 or later.',
  };
}

/** Whether traces can be made, not whether somebody takes them: a service runs on without its collector. */
async function tracingFindings(endpoint: string | null): Promise<Finding[]> {
  if (endpoint === null) return [];
  try {
    const tracing = await openTracing(endpoint, 'postern');
    await tracing?.stop();
    return [{ about: 'tracing', verdict: 'ok', says: `traces go to ${endpoint}` }];
  } catch (error) {
    return [faultOf('tracing', error)];
  }
}

async function storeFindings(settings: Settings): Promise<Finding[]> {
  if (!settings.production && !holdsCluster(settings.dataDir)) {
    const fault = embeddedPackageFault() ?? dataDirectoryFault(settings.dataDir);
    if (fault) return [faultOf('database', fault)];
    return [
      {
        about: 'database',
        verdict: 'ok',
        says: `there is no data in ${settings.dataDir} yet: the first start makes it`,
      },
    ];
  }
  try {
    const opened = await openForLooking(settings);
    const { database, address } = opened;
    try {
      const { rows } = await database.run(budgetOf(LIMIT_MS, Date.now()), (db) =>
        db.raw<{ rows: { server_version: string }[] }>('SHOW server_version'),
      );
      return [
        { about: 'database', verdict: 'ok', says: `PostgreSQL ${rows[0]?.server_version ?? ''} answers` },
        await clockFinding(database, LIMIT_MS),
        ...(settings.production ? poolingFindings(await detectPooling(address)) : []),
        ...(await schemaAndKeys(database, settings)),
      ];
    } finally {
      await opened.close();
    }
  } catch (error) {
    return [faultOf('database', error)];
  }
}

function openForLooking(settings: Settings): Promise<OpenedDatabase> {
  return openDatabase({
    databaseUrl: settings.databaseUrl,
    dataDir: settings.dataDir,
    holder: 'command',
    mayMake: false,
    maxConnections: 1,
    report: () => undefined,
  });
}

async function schemaAndKeys(database: Database, settings: Settings): Promise<Finding[]> {
  try {
    const { applied, known } = await readSchemaState(database);
    if (applied < known) {
      const says = `the schema is at migration ${applied} of ${known}`;
      if (settings.migrate === 'auto')
        return [{ about: 'schema', verdict: 'ok', says: `${says}: serve brings it up to date` }];
      return [
        {
          about: 'schema',
          verdict: 'fault',
          says,
          advice: 'Run: postern migrate',
          exitCode: exitCodes.refused,
        },
      ];
    }
    if (settings.migrate === 'off') await requireSchema(database, { newer: false });
    const newer = applied > known ? `, newer than this program, which knows ${known}` : '';
    const says = `the schema is at migration ${applied}${newer}`;
    const schema: Finding = { about: 'schema', verdict: 'ok', says };
    return [schema, ...(await keyFindings(database, settings, LIMIT_MS))];
  } catch (error) {
    return [faultOf('schema', error)];
  }
}

async function port(name: string, address: ListenAddress): Promise<Finding> {
  const text = formatListenAddress(address);
  const fault = await new Promise<string | undefined>((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    const listening = () => server.close(() => resolve(undefined));
    if (address.kind === 'unix') server.listen(address.path, listening);
    else server.listen(address.port, address.host, listening);
  });
  if (fault === undefined) return { about: 'ports', verdict: 'ok', says: `${text} is free` };
  if (fault === 'EADDRINUSE') {
    return {
      about: 'ports',
      verdict: 'warning',
      says: `${text} is in use, perhaps by a running Postern`,
      advice: `If it is another program, stop it or set ${name}: serve would end with exit code ${exitCodes.settings}.`,
    };
  }
  return {
    about: 'ports',
    verdict: 'fault',
    says: `${text} cannot be used (${fault})`,
    advice: `Set ${name}.`,
  };
}
