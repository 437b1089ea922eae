// The service behind Envoy in this example: it answers with the path and the headers that reached it.
//   node deploy/envoy/upstream.mjs [PORT]
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  // Raw, so that a header that came twice is seen twice.
  const headers = [];
  for (let at = 0; at < request.rawHeaders.length; at += 2) {
    headers.push([request.rawHeaders[at], request.rawHeaders[at + 1]]);
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(`${JSON.stringify({ path: request.url, headers }, null, 1)}\n`);
});
server.listen(Number(process.argv[2] ?? 8000), '127.0.0.1', () => {
  console.log(JSON.stringify({ event: 'listening', port: server.address().port }));
});
