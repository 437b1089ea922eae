import { longWarmUp, sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { ratioRow } from '../measured-row.mjs';
import { spread } from '../pairs.mjs';
import { openTokenFixture } from '../token-fixture.mjs';

const WRITERS = 32;

/**
 * Each writer waits for the disk at each commit; PostgreSQL commits many of them together, unless they wait for each other.
 * The trigger of other processes is measured beside the service's way.
 */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const open = (notification) => () =>
      startMeasured([benchServer('revocation-writers'), fixture.url, String(WRITERS), notification], {
        pinned: false,
      });
    const start = { baseline: open('silent'), contender: open('after-commit'), trigger: open('trigger') };
    const rounds = await sampleServers(start, write, longWarmUp(plan));
    const row = ratioRow(rowOf('revocation-writes'), rounds, plan, { also: [] });
    const perSecond = ({ calls, seconds }) => calls / seconds;
    const ratios = rounds.map(({ trigger, baseline }) => perSecond(trigger) / perSecond(baseline));
    row.also['by the trigger'] = spread(ratios);
    row.also['revocations per second'] = spread(rounds.map(({ contender }) => perSecond(contender)));
    return [row];
  } finally {
    await fixture.stop();
  }
}

async function write({ http }, seconds) {
  const response = await globalThis.fetch(`http://${http}/?seconds=${String(seconds)}`);
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}
