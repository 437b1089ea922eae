// What a trace costs: CPU time of the service for one VerifyToken of a known token, without telemetry, with traces of which none
// is sampled, and with every call traced. In turns, so that the ratios hold on a busy machine.
//
//   npm run build && node bench/traced-call.mjs [--rounds N] [--seconds N]
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { h2load } from './load/h2load.mjs';
import { openTokenFixture, VERIFY, verifyAnswer, verifyMessage } from './token-fixture.mjs';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '4' } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

/** Takes everything and keeps nothing. */
const collector = createServer((request, response) => {
  request.resume();
  request.on('end', () => response.writeHead(200).end());
});
await new Promise((resolve) => collector.listen(0, '127.0.0.1', resolve));
const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.address().port}` };
const sides = {
  off: {},
  unsampled: { ...endpoint, OTEL_TRACES_SAMPLER: 'always_off' },
  traced: endpoint,
};

const fixture = await openTokenFixture();
const costs = { off: [], unsampled: [], traced: [] };
try {
  for (let round = 0; round < rounds; round++) {
    for (const [side, environment] of Object.entries(sides)) {
      const service = await fixture.serve({ environment });
      const answer = await verifyAnswer(service.grpc, fixture.token);
      const load = (forSeconds) =>
        h2load({
          address: service.grpc,
          path: VERIFY,
          message: verifyMessage(fixture.token),
          seconds: forSeconds,
          answerBytes: answer.length,
        });
      await load(1);
      const before = service.cpuSeconds();
      const { calls } = await load(seconds);
      costs[side].push(((service.cpuSeconds() - before) / calls) * 1e6);
      await service.stop();
    }
    console.error(`  ${round + 1} of ${rounds}`);
  }
} finally {
  await fixture.stop();
  collector.closeAllConnections();
  collector.close();
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const off = median(costs.off);
console.log('| telemetry | CPU a call (µs) | ratio |\n|---|---|---|');
for (const [side, samples] of Object.entries(costs))
  console.log(`| ${side} | ${median(samples).toFixed(0)} | ${(median(samples) / off).toFixed(2)} |`);
