// The minimum that a grpc-js server does: it ignores the request and responds with bytes from its command line.
// node bench/servers/bare.mjs PATH ANSWER_IN_BASE64 [ADDRESS]
import { listen, rawMethod } from './listen.mjs';

const [path, answer, address] = process.argv.slice(2);
const bytes = Buffer.from(answer, 'base64');
listen(
  (server) =>
    server.addService({ call: rawMethod(path) }, { call: (_call, callback) => callback(null, bytes) }),
  address,
);
