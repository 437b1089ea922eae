// A ledger of every login, refresh and revoke that was acknowledged to a client. After a fault the service
// must have the same state. A call that was not acknowledged may have taken effect or not, but not partly.

import { setTimeout as pause } from 'node:timers/promises';

const PAUSE_AFTER_REFUSAL_MS = 10;

/** Answers while the database is unavailable; each may be retried. */
const NOT_NOW = new Set(['STORE_UNAVAILABLE', 'SERVER_OVERLOADED', 'CONFLICT', 'TRUST_STALE']);
/** Without a service there is no answer, or none with a reason. */
const NO_SERVICE = new Set(['UNAVAILABLE', 'CANCELLED', 'SHUTTING_DOWN']);

export class Ledger {
  faults = [];
  acknowledged = { logins: 0, refreshes: 0, revokes: 0 };
  refused = {};
  /** How long writes took, ms, and when each ended. */
  writes = [];
  mayLoseService = false;
  #sessions = [];
  #email;
  #password;
  #service;

  /** @param service returns the service to call, which may be another after a restart */
  constructor(service, { email, password }) {
    this.#service = service;
    this.#email = email;
    this.#password = password;
  }

  fault(text) {
    if (this.faults.length < 20) this.faults.push(text);
  }

  /** One client: logs in, refreshes and logs out, with one call at a time. */
  async live(isOver) {
    let session = null;
    while (!isOver()) {
      const die = Math.random();
      if (session === null) session = await this.login();
      else if (die < 0.15) {
        await this.revoke(session);
        session = null;
      } else if (!(await this.refresh(session))) session = null;
    }
  }

  async login() {
    const { verdict, response } = await this.#write('Login', {
      email: this.#email,
      password: this.#password,
    });
    if (verdict !== 'OK') return null;
    this.acknowledged.logins += 1;
    const session = { ...keep(response), generation: 1, ended: false, endMaybe: false };
    this.#sessions.push(session);
    return session;
  }

  /** @returns false when the session is lost to its client */
  async refresh(session) {
    const { verdict, response } = await this.#write('RefreshToken', { refresh_token: session.refreshToken });
    if (verdict !== 'OK') return !verdict.startsWith('REFRESH_TOKEN_');
    this.acknowledged.refreshes += 1;
    const generation = generationOf(response.refresh_token);
    if (generation !== session.generation + 1)
      this.fault(`refresh: ${session.generation} became ${generation}`);
    Object.assign(session, keep(response), { generation });
    return true;
  }

  async revoke(session) {
    session.endMaybe = true;
    const { verdict } = await this.#write('RevokeToken', { token: session.refreshToken });
    if (verdict !== 'OK') return;
    this.acknowledged.revokes += 1;
    session.ended = true;
    const found = await this.#service().call('VerifyToken', { access_token: session.accessToken });
    if (found.verdict === 'OK') this.fault(`a revoked token is good right after the revoke`);
  }

  async #write(method, request) {
    const startMs = performance.now();
    const answer = await this.#service().call(method, request);
    const endMs = performance.now();
    this.writes.push({ method, endMs, tookMs: endMs - startMs, verdict: answer.verdict });
    const { verdict, retry } = answer;
    if (verdict === 'OK') return answer;
    this.refused[verdict] = (this.refused[verdict] ?? 0) + 1;
    await pause(PAUSE_AFTER_REFUSAL_MS);
    if (NOT_NOW.has(verdict)) {
      if (!retry && verdict !== 'CONFLICT') this.fault(`${method}: ${verdict} without RetryInfo`);
    } else if (!(this.mayLoseService && NO_SERVICE.has(verdict))) this.fault(`${method}: ${verdict}`);
    return answer;
  }

  /** Compares the service and the database with the ledger. */
  async settle(query) {
    const rows = await query(
      `SELECT s.id, s.generation, s.ended_at IS NOT NULL AS ended,
              (SELECT count(*)::int FROM audit_events a WHERE a.target_id = s.id::text AND a.action = 'login') AS logins,
              (SELECT count(*)::int FROM audit_events a WHERE a.target_id = s.id::text AND a.action = 'token.refresh') AS refreshes
       FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1`,
      [this.#email],
    );
    const stored = new Map(rows.map((row) => [row.id, row]));
    for (const { id, generation, logins, refreshes } of rows) {
      if (logins !== 1) this.fault(`session ${id}: ${logins} logins in the audit trail`);
      if (refreshes !== generation - 1)
        this.fault(`session ${id}: generation ${generation}, ${refreshes} audited`);
    }
    const left = [...this.#sessions];
    const worker = async () => {
      for (let session = left.pop(); session; session = left.pop()) {
        await this.#settleOne(session, stored.get(session.id));
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    return this.#sessions.length;
  }

  async #settleOne(session, row) {
    const { id, generation, ended, endMaybe } = session;
    if (!row) return this.fault(`session ${id}: an acknowledged login is lost`);
    if (row.generation !== generation && row.generation !== generation + 1) {
      this.fault(`session ${id}: acknowledged generation ${generation}, stored ${row.generation}`);
    }
    const verified = await this.#service().call('VerifyToken', { access_token: session.accessToken });
    const refreshed = await this.#service().call('RefreshToken', { refresh_token: session.refreshToken });
    const found = `${verified.verdict} ${refreshed.verdict}`;
    if (ended && found !== 'TOKEN_REVOKED REFRESH_TOKEN_REVOKED')
      this.fault(`session ${id}: revoked, but ${found}`);
    if (endMaybe) return undefined;
    if (found !== 'OK OK') return this.fault(`session ${id}: alive, but ${found}`);
    // The same successor again and no second one: there is no other live generation.
    const again = await this.#service().call('RefreshToken', { refresh_token: session.refreshToken });
    const isSame = again.response?.refresh_token === refreshed.response.refresh_token;
    if (!isSame) this.fault(`session ${id}: two successors of one token`);
    session.refreshToken = refreshed.response.refresh_token;
    session.generation = generationOf(session.refreshToken);
    return undefined;
  }
}

function keep(response) {
  return {
    id: response.session_id,
    refreshToken: response.refresh_token,
    accessToken: response.access_token,
  };
}

/** Four bytes after the session's sixteen. Their highest bit is the form of the token. */
function generationOf(refreshToken) {
  return Buffer.from(refreshToken.slice('prt_'.length), 'base64url').readUInt32BE(16) & 0x7fff_ffff;
}
