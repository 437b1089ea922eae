// The minimum that a node:http server does: it reads the request, ignores it, and responds with JSON from its command line.
// node bench/servers/bare-http.mjs ANSWER_IN_BASE64
import { createServer } from 'node:http';

const answer = Buffer.from(process.argv[2], 'base64');
const server = createServer((request, response) => {
  request.resume();
  request.once('end', () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': answer.length });
    response.end(answer);
  });
});
server.listen(0, '127.0.0.1', () => {
  const http = `127.0.0.1:${server.address().port}`;
  process.stdout.write(`${JSON.stringify({ event: 'listening', http, pid: process.pid })}\n`);
});
process.once('SIGTERM', () => process.exit(0));
