import * as grpc from '@grpc/grpc-js';
import { expect } from '@jest/globals';

import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { invoke, type Outcome } from '../support/test-service.ts';
import { auc } from './auc.ts';

const usersOfClass = 400;
/** Four standard errors above chance at 240 samples: too little to detect who has an account. */
export const inseparable = 0.6;
/** Far beyond chance; how far depends on the load of the machine. */
export const separable = 0.7;

/** Accounts of a class, by its name; none for e-mails without an account. */
export type Classes = Readonly<
  Record<
    string,
    {
      /** Null for users without a password, or without an account. */
      readonly hash: string | null;
      readonly disabled?: boolean;
      readonly factors?: readonly ('totp' | 'passkey')[];
      /** Whether there are no such users. */
      readonly unknown?: true;
      /** What the attacker sends as code. */
      readonly code?: string;
    } | null
  >
>;

export async function databaseWith(classes: Classes): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await addUsers(database, classes);
  return database;
}

export async function addUsers(database: TestDatabase, classes: Classes): Promise<void> {
  for (const [name, user] of Object.entries(classes)) {
    if (user === null || user.unknown) continue;
    await database.query(
      `INSERT INTO users (id, email, password_hash, disabled_at)
       SELECT gen_random_uuid(), $1 || n || '@example.com', $2, CASE WHEN $3 THEN now() END
         FROM generate_series(1, $4::int) AS n`,
      [name, user.hash, user.disabled === true, usersOfClass],
    );
    for (const kind of user.factors ?? []) await addFactors(database, name, kind);
  }
}

async function addFactors(database: TestDatabase, name: string, kind: 'totp' | 'passkey'): Promise<void> {
  await database.query(
    `INSERT INTO factors (id, user_id, kind, name, confirmed_at, sealed_secret, credential_id, cose_key, sign_count,
                          backup_eligible, backed_up, mac)
     SELECT gen_random_uuid(), id, $2, 'phone', now(), CASE WHEN $2 = 'totp' THEN '\\x00'::bytea END,
            p.bytes, p.bytes, length(p.bytes), p.bytes IS NULL, p.bytes IS NULL, p.bytes
     FROM users, LATERAL (SELECT CASE WHEN $2 = 'passkey' THEN uuid_send(id) END AS bytes) AS p
     WHERE email LIKE $1 || '%'`,
    [name, kind],
  );
}

/**
 * An attacker who tells accounts apart by the time and the form of the refusals of logins: he tries each user once, because of
 * the throttle.
 */
export class Attack {
  readonly times = new Map<string, number[]>();
  readonly shapes = new Set<string>();
  readonly #send: Send;
  readonly end: () => void;
  readonly #names: readonly string[];
  readonly #typed: string;
  readonly #classes: Classes;
  #tried = 0;

  constructor({ send, end }: Connection, classes: Classes, typed: string) {
    this.#classes = classes;
    this.#typed = typed;
    this.#send = send;
    this.end = end;
    this.#names = Object.keys(classes);
    for (const name of this.#names) this.times.set(name, []);
  }

  /** One login of each class in every round, in random order, so that load on the machine affects all classes alike. */
  async run(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      this.#tried++;
      for (const { name } of this.#names
        .map((name) => ({ name, at: Math.random() }))
        .sort((a, b) => a.at - b.at)) {
        const { shape, ms } = await this.#login(
          `${name}${this.#tried}@example.com`,
          this.#classes[name]?.code,
        );
        this.shapes.add(shape);
        this.times.get(name)?.push(ms);
      }
    }
  }

  async warmUp(): Promise<void> {
    for (let n = 0; n < 40; n++) await this.#login(`warm${n}@example.com`);
  }

  /** The pool closes a connection, and its plans with it, that was idle for half a minute. */
  async useConnection(lot: number): Promise<void> {
    await this.#login(`between${lot}@example.com`);
  }

  /** The pair of classes that time distinguishes best. */
  worst(): { pair: string; auc: number } {
    const pairs = this.#names.flatMap((a, at) => this.#names.slice(at + 1).map((b) => [a, b] as const));
    const found = pairs.map(([a, b]) => ({
      pair: `${a}, ${b}`,
      auc: auc(this.times.get(a) ?? [], this.times.get(b) ?? []),
    }));
    return found.reduce((worst, next) => (next.auc > worst.auc ? next : worst), { pair: '', auc: 0 });
  }

  async #login(email: string, code = ''): Promise<{ shape: string; ms: number }> {
    const startedMs = performance.now();
    const answer = await this.#send({ email, password: this.#typed, code });
    return { ms: performance.now() - startedMs, shape: answer() };
  }
}

/** Logs in, and returns what to call for everything that the caller sees of the answer. */
type Send = (request: { email: string; password: string; code: string }) => Promise<() => string>;
export interface Connection {
  readonly send: Send;
  readonly end: () => void;
}

export function overGrpc({ grpc: address }: { grpc: string }): Connection {
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const send: Send = async (request) => {
    const outcome = await invoke(client, 'postern.v1.AuthService/Login', request);
    return () => shapeOf(outcome);
  };
  return { send, end: () => client.close() };
}

export function overHttp({ http }: { http: string }): Connection {
  const send: Send = async (request) => {
    const response = await fetch(`http://${http}/postern.v1.AuthService/Login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
    });
    const body = await response.text();
    const { 'x-request-id': requestId, date, ...rest } = Object.fromEntries(response.headers);
    const lengths = [requestId, date].map((value) => String(value).length);
    return () => JSON.stringify([response.status, body, rest, lengths]);
  };
  return { send, end: () => undefined };
}

/** Everything that a caller sees of an answer, except the ids of the call. */
function shapeOf({ code, message, trailers }: Outcome): string {
  const { 'x-request-id': requestId, date, ...rest } = trailers.toHttp2Headers();
  const lengths = [requestId, date].map((value) => String(value).length);
  return JSON.stringify([
    code,
    message,
    Object.entries(rest).map(([name, value]) => [name, String(value)]),
    lengths,
  ]);
}

export async function isInseparable(attacker: Attack, rounds: number): Promise<void> {
  await attacker.run(rounds);
  // With few samples the figure varies by chance; a real difference remains with more of them.
  for (let again = 0; again < 3 && attacker.worst().auc >= inseparable; again++) await attacker.run(rounds);
  const { pair, auc: separation } = attacker.worst();
  attacker.end();
  if (separation >= inseparable) throw new Error(`${pair} differ in time: AUC ${separation}`);
  expect([...attacker.shapes]).toEqual([expect.stringMatching(/^\[(?:16|401),/)]);
}

export async function worstOf(attacker: Attack): Promise<number> {
  for (let again = 0; again < 4 && attacker.worst().auc < separable; again++) await attacker.run(20);
  attacker.end();
  return attacker.worst().auc;
}
