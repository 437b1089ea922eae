import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { status as Code } from '@grpc/grpc-js';
import { parser } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';

import { Reason } from '../../src/generated/postern/v1/reason.ts';
import { metricDefinitions } from '../../src/observability/metrics/definitions.ts';
import { methodTable } from '../../src/rpc/method-table.ts';
import { familyOf, type Scrape, scrape } from '../support/scrape.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** Labels that Prometheus adds to every scraped sample. */
const ofPrometheus = ['instance', 'job'];
/** All metrics, including those without a sample here: those of a sidecar and those of TLS. */
const definitions = Object.values(metricDefinitions);

let service: TestService;
let scraped: Scrape;
beforeAll(async () => {
  service = await startTestService();
  scraped = await scrape(service.httpUrl);
});
afterAll(() => service.stop());

interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

interface Query {
  readonly selectors: readonly Selector[];
  /** The labels after `by`, `on` and similar keywords. */
  readonly groupings: readonly string[];
}

/** @throws Error when Prometheus' own grammar rejects the expression */
function readQuery(expression: string): Query {
  const selectors: { metric: string; matchers: Selector['matchers'][number][] }[] = [];
  const groupings: string[] = [];
  const matcher = { label: '', operator: '' };
  parser.parse(expression).iterate({
    enter({ type, from, to, node }) {
      const text = expression.slice(from, to);
      if (type.isError) throw new Error(`not PromQL at ${from}: ${expression}`);
      if (type.name === 'VectorSelector') selectors.push({ metric: '', matchers: [] });
      const selector = selectors.at(-1);
      const parent = node.parent?.name;
      if (type.name === 'Identifier' && selector && parent === 'VectorSelector') selector.metric = text;
      if (type.name === 'LabelName' && parent === 'GroupingLabels') groupings.push(text);
      if (type.name === 'LabelName' && parent === 'UnquotedLabelMatcher') matcher.label = text;
      if (type.name === 'MatchOp') matcher.operator = text;
      if (type.name === 'StringLiteral' && parent === 'UnquotedLabelMatcher')
        selector?.matchers.push({ ...matcher, value: text.slice(1, -1) });
    },
  });
  return { selectors, groupings };
}

/** The metrics and labels of a query that `/metrics` does not have, one line each. */
function faultsOf(expression: string): string[] {
  const { selectors, groupings } = readQuery(expression);
  if (selectors.length === 0) return ['asks for nothing'];
  const used = new Set(ofPrometheus);
  const faults = selectors.flatMap(({ metric, matchers }) => {
    const family = familyOf(metric, scraped.types);
    const definition = definitions.find(({ name }) => name === family);
    const isServed = scraped.types.has(family) || family === metricDefinitions.upstreamConnected.name;
    if (!definition || !isServed) return [`no metric ${metric}`];
    const isPart = family !== metric || definition.type !== 'histogram';
    if (!isPart) return [`${metric} is a histogram: ask for its _bucket, _sum or _count`];
    const labels: readonly string[] = [...definition.labels, ...(metric.endsWith('_bucket') ? ['le'] : [])];
    for (const label of labels) used.add(label);
    return matchers
      .filter(({ label }) => !ofPrometheus.includes(label))
      .flatMap(({ label, value }) => {
        if (!labels.includes(label)) return [`${metric} has no label ${label}`];
        return value
          .split('|')
          .filter((one) => !valuesOf(label).includes(one))
          .map((one) => `${metric} has no ${label} ${one}`);
      });
  });
  return [...faults, ...groupings.filter((label) => !used.has(label)).map((label) => `no label ${label}`)];
}

/** The values that a label can have: those served now, and for calls also those that can still occur. */
function valuesOf(label: string): string[] {
  if (label === 'code') return Object.keys(Code).filter((name) => Number.isNaN(Number(name)));
  if (label === 'method') return Object.keys(methodTable).map((path) => path.slice(1));
  if (label === 'reason') return Object.keys(Reason);
  return scraped.samples.flatMap(({ labels }) => labels[label] ?? []);
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

test('every alert uses existing metrics and labels, and has a summary and a description', () => {
  const { groups } = parse(read('deploy/prometheus/alerts.yml')) as { groups: { rules: Rule[] }[] };
  const rules = groups.flatMap((group) => group.rules);
  expect(rules.length).toBeGreaterThan(10);
  expect(rules.flatMap(({ alert, expr }) => faultsOf(expr).map((fault) => `${alert}: ${fault}`))).toEqual([]);
  for (const { labels, annotations } of rules) {
    expect(['page', 'ticket']).toContain(labels.severity);
    expect(annotations.summary.length * annotations.description.length).toBeGreaterThan(0);
  }
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
});

interface Dashboard {
  readonly panels: {
    readonly id: number;
    readonly title: string;
    readonly targets?: { readonly expr: string }[];
  }[];
  readonly templating: { readonly list: { readonly name: string; readonly query: unknown }[] };
}

test('every panel of the dashboard uses existing metrics and labels', () => {
  const { panels, templating } = JSON.parse(read('deploy/grafana/postern.json')) as Dashboard;
  const targets = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
  expect(targets.length).toBeGreaterThan(20);
  const filled = (expr: string) => expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
  const faults = targets.flatMap(({ title, expr }) =>
    faultsOf(filled(expr)).map((fault) => `${title}: ${fault}`),
  );
  expect(faults).toEqual([]);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const instances = /label_values\((\w+), instance\)/.exec(JSON.stringify(templating.list));
  expect(scraped.types.has(instances?.[1] ?? '')).toBe(true);
});

test.each([
  ['rate(postern_rpc_call_total[5m])', 'no metric postern_rpc_call_total'],
  [
    'postern_rpc_duration_seconds > 1',
    'postern_rpc_duration_seconds is a histogram: ask for its _bucket, _sum or _count',
  ],
  ['postern_logins_total{outcom="ok"}', 'postern_logins_total has no label outcom'],
  ['postern_logins_total{outcome="okay"}', 'postern_logins_total has no outcome okay'],
  ['sum by (kid) (postern_signing_keys)', 'no label kid'],
])('the check finds the fault in %s', (expression, fault) => expect(faultsOf(expression)).toEqual([fault]));

test('the check rejects invalid PromQL', () => {
  expect(() => readQuery('sum by (a (b)')).toThrow('not PromQL');
});
