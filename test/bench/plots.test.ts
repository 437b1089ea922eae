import { describe, expect, test } from '@jest/globals';

import { allRows, type NamedRow, rowOf } from '../../bench/goals.mjs';
import { curveRow, figureRow, type MeasuredRow, ratioRow } from '../../bench/measured-row.mjs';
import { plotsOf } from '../../bench/plots.mjs';

const whole = { quick: false };
const sample = (calls: number) => ({ calls, seconds: 1, cpuSeconds: 1, p99Ms: 1000 / calls });

function measured(row: NamedRow): MeasuredRow {
  const round = (calls: number) => ({
    baseline: sample(100),
    contender: sample(calls),
    control: sample(100),
  });
  if (row.axis !== undefined) {
    const points = [
      [10_000, 'contender'],
      [100_000, 'control'],
    ] as const;
    return curveRow(row, [round(80), round(120)], whole, points);
  }
  if (row.judgedBy === 'figure') return figureRow(row, [20, 500, 2_000_000], whole);
  return ratioRow(row, [round(90), round(200)], whole);
}

/** The names of all elements, in order; throws for what an XML parser would reject. */
function elementsOf(svg: string): string[] {
  const open: string[] = [];
  const names: string[] = [];
  const rest = svg.replace(
    /<(\/?)([a-z]+)((?: [a-zA-Z0-9-]+="[^"<]*")*)(\/?)>/g,
    (_tag, closing: string, name: string, attributes: string, empty: string) => {
      if (closing) {
        if (open.pop() !== name) throw new Error(`</${name}> closes another element`);
        return '';
      }
      names.push(name);
      const keys = [...attributes.matchAll(/ ([a-zA-Z-]+)=/g)].map(([, key]) => key);
      if (new Set(keys).size < keys.length) throw new Error(`<${name}> has an attribute twice`);
      if (!empty) open.push(name);
      return '';
    },
  );
  if (open.length > 0) throw new Error(`<${open.join('><')}> is never closed`);
  if (/[<>]/.test(rest)) throw new Error(`not an element: ${/.{0,20}[<>].{0,20}/s.exec(rest)?.[0] ?? ''}`);
  if (/&(?!(?:amp|lt|gt|quot);)/.test(svg)) throw new Error('an ampersand that stands for itself');
  return names;
}

describe('the plots', () => {
  const plots = plotsOf(allRows.map(measured));
  const [goals, costs] = plots;

  test('are the goals and the costs', () => {
    expect(plots.map(({ file }) => file)).toEqual(['goals.svg', 'costs.svg']);
  });

  test.each(plots.map((plot) => [plot.file, plot] as const))('%s is well-formed', (_file, { svg, title }) => {
    expect(elementsOf(svg).slice(0, 3)).toEqual(['svg', 'title', 'style']);
    expect(svg).toMatch(/^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 860 \d+"/);
    expect(svg).toContain(`<title>${title}</title>`);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test.each(plots.map((plot) => [plot.file, plot] as const))(
    '%s has colours for dark mode',
    (_file, { svg }) => {
      const [light = '', dark = ''] = (/<style>([^<]*)/.exec(svg)?.[1] ?? '').split(
        'prefers-color-scheme: dark',
      );
      for (const name of [
        'text',
        '.ground',
        '.quiet',
        '.grid',
        '.goal ',
        '.line',
        '.point',
        '.point.short',
      ]) {
        expect(light).toContain(name);
        expect(dark).toContain(name);
      }
      expect(svg).not.toMatch(/ (?:fill|stroke)="/);
    },
  );

  test('draw a mark for every goal, and a bar and a point for each figure', () => {
    const judged = allRows.filter(({ goal }) => goal !== null);
    expect(goals?.svg.match(/class="range/g)).toHaveLength(judged.length);
    expect(goals?.svg.match(/class="point/g)).toHaveLength(judged.length);
    expect(goals?.svg.match(/>goal [≥≤&]/g)).toHaveLength(judged.length);
    expect(goals?.svg.match(/class="goal"/g)).toHaveLength(1);
    expect(costs?.svg.match(/class="goal"/g)).toHaveLength(2);
    expect(costs?.svg).toContain('goal ≤ 1.3');
    expect(costs?.svg).toContain('goal ≥ 0.95');
    expect(costs?.svg.match(/class="point/g)).toHaveLength(4);
  });

  test('draw the point of a missed goal left of the goal line, and of a met goal right of it', () => {
    const [axis] = placesOf(goals?.svg, /<line class="goal" x1="([\d.]+)"/g);
    const place = (row: MeasuredRow) =>
      placesOf(plotsOf([row])[0]?.svg, /<circle class="point[^"]*" cx="([\d.]+)"/g)[0];
    const p99 = rowOf('login-flood', 'login-flood-p99');
    const verify = rowOf('verify-seen');
    const ratio = (calls: number) =>
      ratioRow(verify, [{ baseline: sample(100), contender: sample(calls), control: sample(100) }], whole);
    expect(place(figureRow(p99, [30], whole))).toBeLessThan(axis ?? NaN);
    expect(place(figureRow(p99, [20], whole))).toBeGreaterThan(axis ?? NaN);
    expect(place(ratio(80))).toBeLessThan(axis ?? NaN);
    expect(place(ratio(95))).toBeGreaterThan(axis ?? NaN);
  });
});

test('the check for well-formed plots rejects malformed ones', () => {
  for (const broken of ['<g>', '<g></a>', '<a b="1" b="2"/>', '<t>1 < 2</t>', '<t>a & b</t>', '<t x=1/>'])
    expect(() => elementsOf(broken)).toThrow();
  expect(elementsOf('<g a="1"><t>x &lt; y</t></g>')).toEqual(['g', 't']);
});

function placesOf(svg: string | undefined, pattern: RegExp): number[] {
  return [...(svg ?? '').matchAll(pattern)].map(([, place]) => Number(place));
}
