// The HTTP of the peers that are in Node.js: the same route and answers as application.py has.
import { createServer } from 'node:http';

// `evaluate(code, session)` gives the value as JSON, or a promise of it. The port is the first argument.
export function serve(evaluate) {
  const server = createServer(async (request, response) => {
    try {
      if (request.method === 'GET') return answer(response, 200, '{"status":"ready"}');
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { code, session } = JSON.parse(Buffer.concat(chunks));
      const value = await evaluate(code, session ?? '');
      answer(response, 200, `{"status":"completed","result_json":${value}}`);
    } catch (error) {
      answer(response, 500, JSON.stringify({ status: 'failed', error: String(error) }));
    }
  });
  server.listen(Number(process.argv[2]), '127.0.0.1');
}

function answer(response, status, body) {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, headers).end(body);
}
