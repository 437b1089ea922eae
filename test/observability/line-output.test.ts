import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { flushLines, LineOutput } from '../../src/observability/line-output.ts';
import { until } from '../support/wait-for.ts';
import { openPipe, type Pipe } from '../support/pipe.ts';

const about = (lost: number) => `${lost} lost\n`;
/** Distinct lines of 1000 bytes each, so that no page of a pipe ends with one. */
const lineOf = (number: number) => `${`line ${number} `.padEnd(999, '.')}\n`;
const writeLines = (output: LineOutput, from: number, count: number) => {
  for (let number = from; number < from + count; number += 1) output.write(lineOf(number));
};

describe('into a pipe', () => {
  let pipe: Pipe;
  let output: LineOutput;
  beforeEach(() => {
    pipe = openPipe();
    output = new LineOutput(pipe.writer, about);
  });
  afterEach(() => pipe.close());

  async function readOf(done: (text: string) => boolean): Promise<string> {
    let text = '';
    await until(() => {
      text += pipe.read();
      return done(text);
    }, 'all that was written');
    return text;
  }

  test('a line is written at once while there is a reader', () => {
    output.write('one\n');
    expect(pipe.read()).toBe('one\n');
  });

  test('unread lines wait, complete and in order', async () => {
    writeLines(output, 0, 500);
    const text = await readOf((read) => read.includes('line 499 '));
    expect(text).toBe(Array.from({ length: 500 }, (_, number) => lineOf(number)).join(''));
    expect(output.linesLost).toBe(0);
  });

  test('O03 lines beyond the buffer are dropped, counted, and reported after the buffered ones', async () => {
    writeLines(output, 0, 3_000);
    const lost = output.linesLost;
    expect(lost).toBeGreaterThan(1_500);
    expect(lost).toBeLessThan(2_000);
    const text = await readOf((read) => read.includes(' lost\n'));
    const kept = Array.from({ length: 3_000 - lost }, (_, number) => lineOf(number));
    expect(text).toBe([...kept, about(lost)].join(''));
    output.write('after\n');
    expect(pipe.read()).toBe('after\n');
  });

  test('O03 without a reader lines are dropped, and the next line written is preceded by their number', () => {
    pipe.abandon();
    writeLines(output, 0, 3);
    expect(output.linesLost).toBe(3);
    pipe.attend();
    output.write('here\n');
    output.write('there\n');
    expect(pipe.read()).toBe(`here\n${about(3)}there\n`);
    expect(output.linesLost).toBe(3);
  });

  test('O03 a partly written line is ended before the next one', async () => {
    writeLines(output, 0, 128);
    // Makes room for a part of the waiting text, ending within a line; then the reader closes.
    let text = pipe.read(10_000);
    output.flush(0);
    pipe.abandon();
    await until(() => output.linesLost > 0, 'the rest is lost');
    const lost = output.linesLost;
    pipe.attend();
    text += pipe.read();
    output.write('here\n');
    text += pipe.read();
    const [broken = '', ...after] = text.split('\n').slice(128 - lost);
    expect(text.startsWith(Array.from({ length: 128 - lost }, (_, number) => lineOf(number)).join(''))).toBe(
      true,
    );
    expect(lineOf(128 - lost).startsWith(broken)).toBe(true);
    expect(broken.length).toBeGreaterThan(0);
    expect(after).toEqual(['here', `${lost} lost`, '']);
  });

  test('O07 shutdown waits for a stalled reader up to its limit and no longer', () => {
    writeLines(output, 0, 100);
    const startedMs = performance.now();
    flushLines([output, new LineOutput(pipe.writer)], 200);
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThanOrEqual(200);
    expect(tookMs).toBeLessThan(20_000);
  });
});

describe('into a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-lines-'));
  const path = join(folder, 'log');
  afterEach(() => rmSync(path, { force: true }));

  test('O07 everything written before shutdown is in the file', async () => {
    const fd = openSync(path, 'a');
    const output = new LineOutput(fd, about);
    writeLines(output, 0, 300);
    output.flush(200);
    // One chunk is being written by a thread, which Node waits for at exit.
    const lines = () => readFileSync(path, 'utf8').split('\n').slice(0, -1);
    await until(() => lines().length === 300, 'the thread has written its part');
    expect(lines().toSorted()).toEqual(
      Array.from({ length: 300 }, (_, number) => lineOf(number).slice(0, -1)).toSorted(),
    );
    closeSync(fd);
  });

  test('on a full disk lines are dropped and counted', async () => {
    const fd = openSync('/dev/full', 'w');
    const output = new LineOutput(fd, about);
    writeLines(output, 0, 3);
    await until(() => output.linesLost === 3, 'all are lost');
    closeSync(fd);
  });
});
