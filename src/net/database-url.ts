/** The meaning of `sslmode` in libpq (PostgreSQL manual, "SSL Support", table of the modes). */
export type SslMode = 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';

export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** How connections to the database are encrypted. Files are paths; they are read at each connection. */
export interface DatabaseTls {
  readonly mode: SslMode;
  /** The file with the authorities, `system` for those that Node.js trusts, undefined for no verification. */
  readonly rootCert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly passphrase: string | undefined;
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  /** Whether TLS begins without the request of the PostgreSQL protocol. */
  readonly direct: boolean;
}

export interface DatabaseHost {
  /** A name, an address, or the folder of a unix socket. */
  readonly host: string;
  readonly port: number;
}

/** What a `postgres://` URL says. Of user, password and database the driver knows the defaults. */
export interface DatabaseTarget {
  readonly hosts: readonly [DatabaseHost, ...DatabaseHost[]];
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  readonly applicationName: string | undefined;
  /** Command-line options for the session (`-c search_path=app`). */
  readonly options: string | undefined;
  readonly tls: DatabaseTls;
}

/** Why a URL cannot be used. The message completes "DATABASE_URL …" and never has text of the URL's values. */
export class DatabaseUrlFault extends Error {
  /** A parameter that libpq does not know. It may be a part of a password, so it must not be printed. */
  readonly unknownParameter: string | undefined;

  constructor(message: string, unknownParameter?: string) {
    super(message);
    this.name = 'DatabaseUrlFault';
    this.unknownParameter = unknownParameter;
  }
}

const SSL_MODES: readonly SslMode[] = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'];
const TLS_VERSIONS: readonly TlsVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
const DEFAULT_PORT = 5432;

/** The parameters that Postern does as libpq does. */
const SUPPORTED = [
  ...['host', 'port', 'user', 'password', 'dbname', 'application_name', 'options', 'target_session_attrs'],
  ...['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword', 'sslnegotiation'],
  ...['ssl_min_protocol_version', 'ssl_max_protocol_version'],
] as const;
type Supported = (typeof SUPPORTED)[number];

/** Parameters of which these values are what Postern does anyway. Any other value asks for what it cannot do. */
const ONLY_AS_IT_IS: Readonly<Record<string, RegExp>> = {
  channel_binding: /^(disable|prefer)$/,
  gssencmode: /^(disable|prefer)$/,
  sslcompression: /^0$/,
  sslsni: /^1$/,
  sslcertmode: /^allow$/,
  client_encoding: /^(auto|utf-?8)$/i,
  load_balance_hosts: /^disable$/,
};

/** Postern has time limits and keep-alives of its own, which are stricter, and a name of its own. */
const WITHOUT_EFFECT = [
  ...['connect_timeout', 'keepalives', 'keepalives_idle', 'keepalives_interval', 'keepalives_count'],
  ...['tcp_user_timeout', 'fallback_application_name'],
];

/** As in libpq: `sslmode=` may be a substitution that failed, and must not become the default. */
const NEVER_EMPTY = ['sslmode', 'sslnegotiation', 'target_session_attrs', 'channel_binding', 'gssencmode'];

/** Parameters of libpq that Postern does not have, most of them because its driver does not. */
const NOT_SUPPORTED = [
  ...['hostaddr', 'service', 'servicefile', 'passfile', 'require_auth', 'replication', 'requirepeer'],
  ...['sslcrl', 'sslcrldir', 'sslkeylogfile', 'krbsrvname', 'gsslib', 'gssdelegation', 'scram_client_key'],
  ...['scram_server_key', 'min_protocol_version', 'max_protocol_version', 'oauth_issuer', 'oauth_client_id'],
  ...['oauth_client_secret', 'oauth_scope'],
];

/** For the suggestion after a misspelt name. */
export const databaseUrlParameters: readonly string[] = [
  ...SUPPORTED,
  ...Object.keys(ONLY_AS_IT_IS),
  ...WITHOUT_EFFECT,
  ...NOT_SUPPORTED,
];

/** The variables that libpq reads for what the URL does not say. Those of parameters that are not supported are refused. */
const VARIABLES: Readonly<Record<string, string>> = {
  host: 'PGHOST',
  hostaddr: 'PGHOSTADDR',
  port: 'PGPORT',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  dbname: 'PGDATABASE',
  service: 'PGSERVICE',
  application_name: 'PGAPPNAME',
  options: 'PGOPTIONS',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  sslnegotiation: 'PGSSLNEGOTIATION',
  ssl_min_protocol_version: 'PGSSLMINPROTOCOLVERSION',
  ssl_max_protocol_version: 'PGSSLMAXPROTOCOLVERSION',
  target_session_attrs: 'PGTARGETSESSIONATTRS',
  channel_binding: 'PGCHANNELBINDING',
  gssencmode: 'PGGSSENCMODE',
  require_auth: 'PGREQUIREAUTH',
  requirepeer: 'PGREQUIREPEER',
  sslcrl: 'PGSSLCRL',
  sslcrldir: 'PGSSLCRLDIR',
  sslcertmode: 'PGSSLCERTMODE',
};

const URL_PARTS =
  /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#\s]*)(?::(?<password>[^@/?#\s]*))?@)?(?<hosts>[^/?#\s]*)(?:\/(?<dbname>[^?#@\s]*))?(?:\?(?<query>[^#\s]*))?$/;
const HOST_AND_PORT = /^(?<host>\[[0-9A-Fa-f:.%]+\]|[^:[\]@]*)(?::(?<port>\d*))?$/;

/** @throws DatabaseUrlFault */
export function parseDatabaseUrl(url: string): DatabaseTarget {
  const given = givenIn(url);
  const attributes = given.get('target_session_attrs');
  if (attributes !== undefined && attributes !== 'read-write') {
    throw new DatabaseUrlFault(
      'has a target_session_attrs other than read-write; Postern needs the primary, so set read-write or remove it',
    );
  }
  return {
    hosts: hostsOf(given),
    user: given.get('user'),
    password: given.get('password'),
    database: given.get('dbname'),
    applicationName: given.get('application_name'),
    options: given.get('options'),
    tls: tlsOf(given),
  };
}

/**
 * The URL, completed by the variables that libpq reads (`PGSSLMODE` and others) for what it does not say.
 *
 * @throws DatabaseUrlFault
 */
export function withLibpqVariables(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const given = givenIn(url);
  const missing = Object.entries(VARIABLES).filter(
    ([parameter, variable]) => (environment[variable] ?? '') !== '' && !given.has(parameter as Supported),
  );
  if (missing.length === 0) return url;
  const pairs = missing.map(
    ([parameter, variable]) => `${parameter}=${encodeURIComponent(environment[variable] ?? '')}`,
  );
  const separator = url.includes('?') ? (/[?&]$/.test(url) ? '' : '&') : '?';
  const completed = `${url}${separator}${pairs.join('&')}`;
  const fault = faultOf(completed);
  if (fault === null || fault === faultOf(url)) return completed;
  throw new DatabaseUrlFault(`completed by ${missing.map(([, name]) => name).join(', ')} ${fault}`);
}

function faultOf(url: string): string | null {
  try {
    parseDatabaseUrl(url);
    return null;
  } catch (error) {
    if (error instanceof DatabaseUrlFault) return error.message;
    throw error;
  }
}

/** Whether a connection to the host is encrypted if `sslmode` says so: libpq never encrypts on a unix socket. */
export function mayUseTls({ host }: DatabaseHost): boolean {
  return !isSocketFolder(host);
}

function isSocketFolder(host: string): boolean {
  return host.startsWith('/');
}

/** Every parameter with text, from the parts of the URL and its query. As in libpq the query wins. */
function givenIn(url: string): Map<Supported, string> {
  const { hosts = '', query, ...parts } = URL_PARTS.exec(url)?.groups ?? malformed();
  const given = new Map<Supported, string>();
  for (const name of ['user', 'password', 'dbname'] as const) {
    const text = parts[name] ?? '';
    if (text !== '') given.set(name, decoded(text));
  }
  const { names, ports } = hostList(hosts);
  if (names.some((name) => name !== '')) given.set('host', names.join(','));
  if (ports.some((port) => port !== '')) given.set('port', ports.join(','));
  for (const pair of query?.replace(/&$/, '').split('&') ?? []) {
    const [name = '', text = '', ...rest] = pair.split('=');
    if (pair === '' && /^&?$/.test(query ?? '')) continue;
    if (!pair.includes('=') || rest.length > 0)
      throw new DatabaseUrlFault(
        'has a query that is not NAME=VALUE pairs; percent-encode & and = in values',
      );
    const parameter = parameterOf(decoded(name), decoded(text));
    if (parameter !== null) given.set(...parameter);
  }
  return given;
}

function malformed(): never {
  throw new DatabaseUrlFault(
    'must be a postgres:// URL; percent-encode special characters in its password, such as @ : / ? # and spaces',
  );
}

function hostList(text: string): { names: string[]; ports: string[] } {
  const pairs = text.split(',').map((entry) => HOST_AND_PORT.exec(entry)?.groups ?? malformed());
  const names = pairs.map(({ host = '' }) => decoded(host.replace(/^\[(.*)\]$/, '$1')));
  if (names.length > 1 && names.includes('')) {
    throw new DatabaseUrlFault('has several servers, one of which has no host; give each a host');
  }
  return { names, ports: pairs.map(({ port = '' }) => port) };
}

/** Null for a parameter that needs nothing to be done. */
function parameterOf(name: string, text: string): [Supported, string] | null {
  // As in libpq, for the URLs of JDBC.
  if (name === 'ssl' && text === 'true') return ['sslmode', 'require'];
  if (text === '' && NEVER_EMPTY.includes(name))
    throw new DatabaseUrlFault(`has ${name} without a value; set one, or remove it`);
  if (WITHOUT_EFFECT.includes(name) || text === '') return knownOrFault(name);
  const supported = SUPPORTED.find((candidate) => candidate === name);
  if (supported !== undefined) return [supported, text];
  if (Object.hasOwn(ONLY_AS_IT_IS, name)) {
    if (ONLY_AS_IT_IS[name]?.test(text) === true) return null;
    throw new DatabaseUrlFault(`asks for a ${name} that Postern cannot do; remove it`);
  }
  knownOrFault(name);
  throw new DatabaseUrlFault(`has the parameter ${name}, which Postern does not support; remove it`);
}

function knownOrFault(name: string): null {
  if (databaseUrlParameters.includes(name)) return null;
  throw new DatabaseUrlFault('has a parameter that libpq does not know', name);
}

function decoded(text: string): string {
  let plain: string;
  try {
    plain = decodeURIComponent(text);
  } catch {
    throw new DatabaseUrlFault(
      'has a % that begins no character in UTF-8; write % as %25, and every other character as its bytes in UTF-8',
    );
  }
  if (plain.includes('\0')) throw new DatabaseUrlFault('has %00, which no name or password may contain');
  return plain;
}

function hostsOf(given: ReadonlyMap<Supported, string>): DatabaseTarget['hosts'] {
  const names = (given.get('host') ?? '').split(',');
  const ports = (given.get('port') ?? '').split(',');
  if (names.length > 1 && names.includes(''))
    throw new DatabaseUrlFault('has several servers, one of which has no host; give each a host');
  if (ports.length > 1 && ports.length !== names.length)
    throw new DatabaseUrlFault(
      'has another number of ports than of hosts; give one port, or one for each host',
    );
  const hosts = names.map((name, index) => ({
    host: name === '' ? 'localhost' : name,
    port: portOf(ports.length === 1 ? ports[0] : ports[index]),
  }));
  return hosts as [DatabaseHost, ...DatabaseHost[]];
}

function portOf(text = ''): number {
  if (text === '') return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535)
    throw new DatabaseUrlFault('has a port that is not a number from 1 to 65535');
  return port;
}

function tlsOf(given: ReadonlyMap<Supported, string>): DatabaseTls {
  const rootCert = given.get('sslrootcert');
  const mode = modeOf(given.get('sslmode'), rootCert);
  const direct = choiceOf(given, 'sslnegotiation', ['postgres', 'direct']) === 'direct';
  if (direct && /^(disable|allow|prefer)$/.test(mode))
    throw new DatabaseUrlFault('has sslnegotiation=direct, which needs sslmode=require or stronger');
  const minVersion = choiceOf(given, 'ssl_min_protocol_version', TLS_VERSIONS);
  const maxVersion = choiceOf(given, 'ssl_max_protocol_version', TLS_VERSIONS);
  // In the modes that do without TLS, a handshake that no version fits would end in plaintext. TLSv1.2 is the default.
  if (maxVersion !== undefined && (minVersion ?? 'TLSv1.2') > maxVersion)
    throw new DatabaseUrlFault(
      'has an ssl_max_protocol_version below ssl_min_protocol_version, which is TLSv1.2 when absent',
    );
  const [cert, key] = [given.get('sslcert'), given.get('sslkey')];
  if ((cert === undefined) !== (key === undefined))
    throw new DatabaseUrlFault('has only one of sslcert and sslkey; set both or neither');
  return {
    mode,
    // libpq would look for ~/.postgresql/root.crt. A service has no home, and the names are verified as well.
    rootCert: mode === 'verify-full' ? (rootCert ?? 'system') : rootCert,
    cert,
    key,
    passphrase: given.get('sslpassword'),
    minVersion,
    maxVersion,
    direct,
  };
}

function modeOf(text: string | undefined, rootCert: string | undefined): SslMode {
  if (text === undefined) return rootCert === 'system' ? 'verify-full' : 'prefer';
  const mode = SSL_MODES.find((candidate) => candidate === text);
  if (mode === undefined)
    throw new DatabaseUrlFault(
      'has an unknown sslmode; use disable, allow, prefer, require, verify-ca or verify-full',
    );
  if (rootCert === 'system' && mode !== 'verify-full') {
    throw new DatabaseUrlFault(
      'has sslrootcert=system, where anybody can get a certificate for another name; use it with sslmode=verify-full',
    );
  }
  if (mode === 'verify-ca' && rootCert === undefined) {
    throw new DatabaseUrlFault(
      'has sslmode=verify-ca without sslrootcert; set sslrootcert to a file with the authorities, or use verify-full',
    );
  }
  return mode;
}

function choiceOf<const T extends string>(
  given: ReadonlyMap<Supported, string>,
  name: Supported,
  choices: readonly T[],
): T | undefined {
  const text = given.get(name);
  if (text === undefined) return undefined;
  const choice = choices.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
  if (choice === undefined) throw new DatabaseUrlFault(`has an unknown ${name}; use ${choices.join(' or ')}`);
  return choice;
}
