// How the servers that Postern is compared with start: as the service does, with one line of JSON.
import { Server, ServerCredentials } from '@grpc/grpc-js';

/**
 * @param {(server: Server) => void} addTo
 * @param {string} address
 */
export function listen(addTo, address = '127.0.0.1:0') {
  const server = new Server();
  addTo(server);
  server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    const grpc = address.startsWith('unix:') ? address : `127.0.0.1:${port}`;
    process.stdout.write(`${JSON.stringify({ event: 'listening', grpc, pid: process.pid })}\n`);
  });
  process.once('SIGTERM', () => process.exit(0));
}

/** Messages as they come, undecoded, and answers that are bytes already. */
export function rawMethod(path) {
  const same = (bytes) => bytes;
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}
