// A typical hand-written service: the contract loaded by proto-loader, `jsonwebtoken` with a shared secret, and one SELECT
// for each call, so that an ended session is refused.
// node bench/servers/by-hand.mjs DATABASE_URL SECRET
import { fileURLToPath, URL } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import jwt from 'jsonwebtoken';
import pg from 'pg';
import { listen } from './listen.mjs';

const [connectionString, secret] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString, max: 10 });
const includeDirs = ['../../proto', '../../proto/vendor'].map((folder) =>
  fileURLToPath(new URL(folder, import.meta.url)),
);
const { postern } = loadPackageDefinition(loadSync('postern/v1/auth.proto', { includeDirs, keepCase: true }));
const timestamp = (seconds) => ({ seconds, nanos: 0 });

async function verifyToken({ request }, callback) {
  try {
    const claims = jwt.verify(request.access_token, secret, { algorithms: ['HS256'] });
    const { rowCount } = await pool.query('SELECT 1 FROM sessions WHERE id = $1 AND ended_at IS NULL', [
      claims.sid,
    ]);
    if (rowCount === 0) throw new Error('the session has ended');
    callback(null, {
      subject: claims.sub,
      session_id: claims.sid,
      token_id: claims.jti,
      issuer: claims.iss,
      audience: [claims.aud],
      roles: claims.roles,
      issued_at: timestamp(claims.iat),
      expires_at: timestamp(claims.exp),
      subject_type: 'USER',
    });
  } catch (error) {
    callback({ code: 16, details: error.message });
  }
}
listen((server) => server.addService(postern.v1.AuthService.service, { verifyToken }));
