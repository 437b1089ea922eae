// printf %s 'the password' | node client.mjs EMAIL [ADDRESS]
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { credentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import { load } from '@grpc/proto-loader';

const [email, address = '127.0.0.1:50051'] = process.argv.slice(2);
const proto = fileURLToPath(new URL('../../proto', import.meta.url));
const definition = await load('postern/v1/auth.proto', {
  includeDirs: [proto],
  keepCase: true,
  longs: Number,
});
const { AuthService } = loadPackageDefinition(definition).postern.v1;
const auth = new AuthService(address, credentials.createInsecure());
const call = (method, request) => promisify(auth[method].bind(auth, request))();

// `text` removes a byte order mark; `echo` and PowerShell also add a line end.
const password = (await text(process.stdin)).replace(/[\r\n]+$/, '');

try {
  const tokens = await call('Login', { email, password });
  const token = await call('VerifyToken', { access_token: tokens.access_token });
  console.log('logged in as', token.subject, 'with roles', token.roles);
  await call('RevokeToken', { token: tokens.refresh_token });
  await call('VerifyToken', { access_token: tokens.access_token });
} catch ({ code, details }) {
  // After the logout, the last call fails with UNAUTHENTICATED.
  console.log(status[code], details);
} finally {
  auth.close();
}
