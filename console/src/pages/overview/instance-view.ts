import { html, nothing, type TemplateResult } from 'lit-html';

import { count, time } from '../../ui/format.ts';
import { chartView } from './chart.ts';
import type { Series } from './instances.ts';
import {
  delayWarning,
  judgeDatabase,
  judgeHashQueue,
  type Judgement,
  judgeTrust,
  loginWarning,
} from './judgements.ts';
import { type LoginOutcome, loginOutcomes } from './reading.ts';
import { duration, perSecond } from './units.ts';

/** An instance that has not answered for so long is shown as silent; each of eight behind a load balancer is asked every 16 s. */
const SILENT_MS = 30_000;

const OUTCOME_NAMES: Readonly<Record<LoginOutcome, string>> = {
  ok: 'successful',
  wrongCredentials: 'wrong credentials',
  secondFactorRequired: 'second factor required',
  throttled: 'throttled',
  overloaded: 'overloaded',
  other: 'other',
};

/** One instance: its state, and its charts. @param nowMs monotonic time, ms */
export function instanceView({ latest, latestMs, points }: Series, nowMs: number): TemplateResult {
  const { instanceId, startedAt, version } = latest;
  const ageMs = nowMs - latestMs;
  const timesMs = points.map(({ atMs }) => atMs);
  const shared = { timesMs, least: 1, format: perSecond, isSparse: false, warning: null, none: '–' };
  return html`<section class="instance" aria-labelledby=${`i-${instanceId}`}>
    <div class="heading">
      <h2 id=${`i-${instanceId}`} title=${instanceId}>Instance ${instanceId.slice(0, 8)}</h2>
      <p>
        Postern ${version}, started ${time(startedAt)}
        ${
          ageMs < SILENT_MS
            ? nothing
            : html`<span class="tag warn">no answer for ${duration(ageMs / 1000)}</span>`
        }
      </p>
    </div>
    <div class="cards">
      ${judgedTile('Trust age', 'How old the known keys and revocations are.', judgeTrust(latest.trust))}
      ${judgedTile('Password hashing', '', judgeHashQueue(latest.hashQueue))}
      ${judgedTile('Database', '', judgeDatabase(latest.database))}
      ${tile('Watchers', count(latest.watchers), 'Sidecars and verifiers connected to this instance. Normal: each is connected to one instance.')}
      ${tile('Up for', duration(latest.uptimeMs / 1000), `Refreshes since then: ${count(latest.refreshes)}. Revocations of its own: ${count(latest.revocations)}.`)}
    </div>
    <div class="charts">
      ${chartView({
        ...shared,
        id: `logins-${instanceId}`,
        title: 'Logins a second',
        warning: loginWarning(points.at(-1)?.logins),
        note: 'By outcome. Normal: few wrong credentials, none throttled or overloaded.',
        lines: loginOutcomes.map((outcome) => ({
          name: OUTCOME_NAMES[outcome],
          values: points.map(({ logins }) => logins[outcome]),
        })),
      })}
      ${chartView({
        ...shared,
        id: `delays-${instanceId}`,
        title: 'Revocation delay',
        warning: delayWarning(points.findLast(({ delays }) => delays !== null)?.delays?.p99Ms ?? null),
        note: "From the start of a revocation's transaction until this instance has read it from the database; its own it refuses earlier, once they are committed. Normal below 1\u00a0s.",
        least: 50,
        isSparse: true,
        format: (ms) => duration(ms / 1000),
        none: 'no revocation yet',
        lines: [
          { name: 'p50', values: points.map(({ delays }) => delays?.p50Ms ?? null) },
          { name: 'p99', values: points.map(({ delays }) => delays?.p99Ms ?? null) },
        ],
      })}
      ${chartView({
        ...shared,
        id: `verifications-${instanceId}`,
        title: 'Verifications a second',
        note: 'VerifyToken and the Check of Envoy. Services that verify by themselves, and sidecars, are not counted here. This page verifies its own token every 5 s.',
        lines: [
          { name: 'accepted', values: points.map(({ verified }) => verified) },
          { name: 'refused', values: points.map(({ refused }) => refused) },
        ],
      })}
    </div>
  </section>`;
}

export function tile(title: string, value: string, note: string): TemplateResult {
  return html`<div class="card tile">
    <h3>${title}</h3>
    <p class="value">${value}</p>
    <p class="detail">${note}</p>
  </div>`;
}

function judgedTile(title: string, note: string, { level, word, value, normal }: Judgement): TemplateResult {
  return html`<div class="card tile">
    <h3>${title} <span class="tag ${level}">${word}</span></h3>
    <p class="value">${value}</p>
    <p class="detail">${note} ${normal}</p>
  </div>`;
}
