// CLIENT_ID=… CLIENT_SECRET=… node dist/server.js [POSTERN_GRPC_ADDRESS] [LISTEN_ADDRESS]
import { ServerCredentials } from '@grpc/grpc-js';
import { createVerifier } from 'postern-auth';

import { createOrdersServer } from './orders-server.ts';

const [postern = '127.0.0.1:50051', listen = '127.0.0.1:50060'] = process.argv.slice(2);
const { CLIENT_ID: clientId = '', CLIENT_SECRET: clientSecret = '' } = process.env;

// Verifying a token needs no call: one stream brings the keys, the revocations, the issuer and the audiences.
const verifier = createVerifier({
  trust: { upstream: { address: postern }, credential: { clientId, clientSecret } },
  onEvent: (event) => console.error(`postern: ${event.kind}`),
});
// Until the first update arrives, protected methods answer UNAVAILABLE. The server need not wait for it.
const server = createOrdersServer(verifier);
server.bindAsync(listen, ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(JSON.stringify({ event: 'listening', port }));
});

process.once('SIGTERM', () => {
  server.tryShutdown(() => verifier.close());
});
