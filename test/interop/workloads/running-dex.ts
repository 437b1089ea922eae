import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Authority, writeIssued } from '../../support/certificates.ts';
import { freePort } from '../running-postgres.ts';
import { toolPath } from '../tool.ts';
import { askJson } from './https-json.ts';
import { startProgram } from './started-program.ts';

/** `password`, hashed with bcrypt. */
const PASSWORD_HASH = '$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W';

export interface RunningDex {
  readonly issuer: string;
  /** Logs a user in (`ann` or `ben`) through a client (`pipeline` or `elsewhere`). */
  idTokenOf(user: string, client: string): Promise<string>;
  /** Its keys are in memory only. */
  restartWithNewKeys(): Promise<void>;
  stop(): Promise<void>;
}

export async function startDex(folder: string, authority: Authority): Promise<RunningDex> {
  const port = await freePort();
  const issuer = `https://127.0.0.1:${port}/dex`;
  const { cert, key } = writeIssued(folder, 'dex', authority.issue({ dns: ['localhost'] }));
  const clients = ['pipeline', 'elsewhere'].map((id) => ({ id, name: id, secret: `secret of ${id}` }));
  const users = ['ann', 'ben'].map((username) => ({
    username,
    email: `${username}@example.com`,
    userID: `id-of-${username}`,
    hash: PASSWORD_HASH,
  }));
  const configFile = join(folder, 'dex.json');
  writeFileSync(
    configFile,
    JSON.stringify({
      issuer,
      storage: { type: 'memory' },
      web: { https: `127.0.0.1:${port}`, tlsCert: cert, tlsKey: key },
      oauth2: { passwordConnector: 'local' },
      enablePasswordDB: true,
      staticPasswords: users,
      staticClients: clients,
    }),
  );
  const discovery = `${issuer}/.well-known/openid-configuration`;
  const isReady = async () => (await askJson(discovery, authority.cert)).status === 200;
  const start = () => startProgram(toolPath('dex'), ['serve', configFile], isReady);
  let program = await start();
  return {
    issuer,
    async idTokenOf(user, client) {
      const form = new URLSearchParams({
        grant_type: 'password',
        client_id: client,
        client_secret: `secret of ${client}`,
        username: `${user}@example.com`,
        password: 'password',
        scope: 'openid',
      });
      const { body } = await askJson(`${issuer}/token`, authority.cert, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: form.toString(),
      });
      if (typeof body['id_token'] !== 'string') throw new Error(JSON.stringify(body));
      return body['id_token'];
    },
    async restartWithNewKeys() {
      await program.stop();
      program = await start();
    },
    stop: () => program.stop(),
  };
}
