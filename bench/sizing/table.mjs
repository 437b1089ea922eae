// The tables of docs/scaling.md from the measured costs: what each thing costs, and what a number of users needs by these costs.
import { formatNumber } from '../format-figures.mjs';

const BEGIN = '<!-- sizing -->';
const END = '<!-- /sizing -->';
const DAY_SECONDS = 86_400;
/** What the second table assumes of a user on a day; docs/scaling.md says the same. */
const PER_USER_AND_DAY = { logins: 1, refreshes: 12, verifications: 200 };
/** The busiest hour has so many times the calls of the mean hour. */
const PEAK = 4;
const POPULATIONS = [100_000, 1_000_000, 10_000_000];

/** @param {import('./table.d.mts').Sizing} sizing */
export function sizingTables(sizing) {
  const { date, cores, node, cpu, loadBefore } = sizing;
  return [
    `${date}; ${cores} cores (${cpu}), Node ${node}, PostgreSQL on the same machine, load average before ${formatNumber(loadBefore)}. Medians, with the lowest and highest sample.`,
    '',
    ...costTable(sizing),
    '',
    ...processTable(sizing),
    '',
    ...demandTable(sizing),
  ].join('\n');
}

function costTable({ login, refresh, idle, verifiers: { ways }, watchers }) {
  const perThousand = ({ cpuMs, postgresMs, walBytes }, diskBytes) => [
    `${seconds(cpuMs)} s`,
    `${seconds(postgresMs)} s`,
    `${megabytes(1_000 * diskBytes)} MB`,
    `${megabytes(1_000 * walBytes.median)} MB`,
  ];
  const verification = (way) => [`${seconds(ways[way])} s`, 'none', 'none', 'none'];
  return table(
    ['what', 'CPU of the process', 'CPU of PostgreSQL', 'disk', 'write-ahead log'],
    [
      ['1,000 logins', ...perThousand(login, login.sessionBytes + login.auditBytes)],
      ['1,000 refreshes', ...perThousand(refresh, refresh.auditBytes)],
      ['1,000 `VerifyToken` at the service, known token', ...verification('service')],
      ['the same, token not seen before', ...verification('service, new token')],
      ['1,000 `VerifyToken` at a sidecar, known token', ...verification('sidecar')],
      ['the same, token not seen before', ...verification('sidecar, new token')],
      ['1,000 verifications in the process (Node.js), known token', ...verification('in process')],
      ['the same, token not seen before', ...verification('in process, new token')],
      [
        `one revocation, sent to ${formatNumber(watchers.watchers)} verifiers`,
        `${seconds(watchers.revocationCpuMs, 0.001)} s`,
        '',
        '',
        '',
      ],
      [
        `heartbeats of ${formatNumber(watchers.watchers)} verifiers, for a second`,
        `${formatNumber((watchers.heartbeatCpuMs * watchers.watchers) / 1_000)} s`,
        'none',
        'none',
        'none',
      ],
      [
        'an idle instance, for a second',
        `${seconds(idle.cpuMs, 0.001)} s`,
        `${seconds(idle.postgresMs, 0.001)} s`,
        'none',
        '',
      ],
    ],
  );
}

function processTable({ login, idle, connections, verifiers, watchers }) {
  return table(
    ['process', 'memory'],
    [
      ['an instance after its start', `${whole(idle.memoryMb)} MB`],
      ['an instance that hashes passwords, at most', `${whole(login.memoryMb)} MB`],
      ['an instance that verifies tokens, at most', `${whole(verifiers.serviceMb)} MB`],
      ['each verifier that watches an instance, more', `${whole(watchers.memoryKib)} KiB`],
      ['a sidecar after its start', `${whole(verifiers.sidecarIdleMb)} MB`],
      ['a sidecar that verifies tokens, at most', `${whole(verifiers.sidecarMb)} MB`],
      ['connections to PostgreSQL of an instance while 32 callers refresh', String(connections)],
    ],
  );
}

function demandTable(sizing) {
  const rows = POPULATIONS.map((users) => {
    const { peak, cores, diskBytes } = demandOf(sizing, users);
    return [
      formatNumber(users),
      ...['logins', 'refreshes', 'verifications'].map((what) => formatNumber(peak[what])),
      ...['logins', 'refreshes', 'verifications', 'postgres'].map((what) => formatNumber(cores[what])),
      `${gigabytes(diskBytes.auditADay)} GB`,
      `${gigabytes(diskBytes.auditOfRefreshesADay)} GB`,
      `${gigabytes(diskBytes.sessions)} GB`,
    ];
  });
  return table(
    [
      'users a day',
      'logins/s at peak',
      'refreshes/s',
      'verifications/s',
      'cores for logins',
      'for refreshes',
      'for verifications by RPC',
      'of PostgreSQL',
      'audit events a day',
      'of that refreshes',
      'sessions of a month',
    ],
    rows,
  );
}

/**
 * What so many users a day need: calls a second and cores in the busiest hour, and disk.
 *
 * @param {import('./table.d.mts').Sizing} sizing
 * @param {number} users
 */
export function demandOf({ login, refresh, verifiers: { ways } }, users) {
  const mean = Object.fromEntries(
    Object.entries(PER_USER_AND_DAY).map(([what, aDay]) => [what, (users * aDay) / DAY_SECONDS]),
  );
  const peak = Object.fromEntries(Object.entries(mean).map(([what, aSecond]) => [what, PEAK * aSecond]));
  const inSeconds = (figure) => figure.median / 1_000;
  const auditOfRefreshesADay = users * PER_USER_AND_DAY.refreshes * refresh.auditBytes;
  return {
    peak,
    cores: {
      logins: peak.logins * inSeconds(login.cpuMs),
      refreshes: peak.refreshes * inSeconds(refresh.cpuMs),
      verifications: peak.verifications * inSeconds(ways.service),
      postgres: peak.logins * inSeconds(login.postgresMs) + peak.refreshes * inSeconds(refresh.postgresMs),
    },
    diskBytes: {
      auditADay: users * PER_USER_AND_DAY.logins * login.auditBytes + auditOfRefreshesADay,
      auditOfRefreshesADay,
      // A session lives for 30 days by default.
      sessions: 30 * users * PER_USER_AND_DAY.logins * login.sessionBytes,
    },
  };
}

/** Replaces the tables between the markers of a page. @throws Error when the page has no markers */
export function withSizing(page, tables) {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`the page has no ${BEGIN} ... ${END}`);
  return `${page.slice(0, from + BEGIN.length)}\n\n${tables}\n\n${page.slice(to)}`;
}

/** The tables between the markers of a page. */
export function sizingOf(page) {
  return page.slice(page.indexOf(BEGIN) + BEGIN.length, page.indexOf(END)).trim();
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}

/** Milliseconds of one call are seconds of a thousand; `factor` converts others. */
function seconds({ median, low, high }, factor = 1) {
  const [middle, lowest, highest] = [median, low, high].map((ms) => significant(ms * factor));
  return lowest === highest ? middle : `${middle} (${lowest} to ${highest})`;
}

/** Two significant digits below 1, since costs go down to microseconds. */
function significant(value) {
  return Math.abs(value) < 1 ? String(Number(value.toPrecision(2))) : formatNumber(value);
}

const whole = (value) => String(Math.round(value));
const megabytes = (bytes) => formatNumber(bytes / 1e6);
const gigabytes = (bytes) => formatNumber(bytes / 1e9);
