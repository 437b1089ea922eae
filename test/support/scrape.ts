/** One scrape of `/metrics`, checked against the grammar of the text format. */
export interface Scrape {
  /** The type of each metric name, from the TYPE lines. */
  readonly types: ReadonlyMap<string, string>;
  readonly samples: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
  }[];
  /** Every name with its labels. */
  readonly series: readonly string[];
  /** The sum of the samples that have these labels; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined;
}

const LINE = /^([a-z_][a-z0-9_]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\+Inf|-?[0-9.e+-]+)$/;

export async function scrape(httpUrl: string): Promise<Scrape> {
  const response = await fetch(`${httpUrl}/metrics`);
  if (response.headers.get('content-type') !== 'text/plain; version=0.0.4; charset=utf-8')
    throw new Error('not the text format');
  return parseScrape(await response.text());
}

/** @throws Error at the first line that violates the format */
function parseScrape(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const types = new Map<string, string>();
  const samples: Scrape['samples'][number][] = [];
  const series: string[] = [];
  for (const line of text.trimEnd().split('\n')) {
    if (/^# HELP [a-z_]+ \S/.test(line)) continue;
    const type = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/.exec(line);
    if (type) {
      if (types.has(type[1] ?? '')) throw new Error(`present twice: ${line}`);
      types.set(type[1] ?? '', type[2] ?? '');
      continue;
    }
    const sample = LINE.exec(line);
    if (!sample) throw new Error(`not a sample: ${line}`);
    const [, name = '', labelText = '', value = ''] = sample;
    const labels = Object.fromEntries(
      [...labelText.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, key = '', text = '']) => [key, text]),
    );
    if (!types.has(familyOf(name, types))) throw new Error(`a sample without a type: ${line}`);
    samples.push({ name, labels, value: value === '+Inf' ? Infinity : Number(value) });
    series.push(`${name}{${labelText}}`);
  }
  if (new Set(series).size !== series.length) throw new Error('a series twice');
  return {
    types,
    samples,
    series,
    value(name, labels = {}) {
      const found = samples.filter(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
      );
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
    },
  };
}

/** The metric that a sample's name belongs to: `x_bucket` to the histogram `x`. */
export function familyOf(name: string, types: ReadonlyMap<string, string>): string {
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return types.get(base) === 'histogram' ? base : name;
}
