// Starts the baseline servers. Like the service, they print one line of JSON when they listen.
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

/** A method whose requests are not decoded and whose responses are bytes. */
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
