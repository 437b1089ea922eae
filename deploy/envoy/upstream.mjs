// The service behind Envoy in this example. It responds with the path and the headers of the request.
//   node deploy/envoy/upstream.mjs [PORT]
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  // Raw headers, so that a duplicate header is visible.
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
