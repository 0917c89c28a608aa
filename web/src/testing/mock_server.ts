// `npm run mock`: the dashboard against a World instead of a server, for work on how it looks.

import type { IncomingMessage } from 'node:http';
import { getResponse } from 'msw';
import type { Connect, Plugin } from 'vite';
import { handlersOf } from './handlers.ts';
import { makeWorld } from './world.ts';

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

function answer(): Connect.NextHandleFunction {
  const handlers = handlersOf(makeWorld(Date.now()));
  return (message, response, next) => {
    if (!message.url?.startsWith('/api/')) {
      next();
      return;
    }
    if (message.url.startsWith('/api/v1/events')) {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(': hello\n\n');
      return;
    }
    void (async () => {
      const body = message.method === 'GET' || message.method === 'HEAD' ? null : await bodyOf(message);
      const request = new Request(`http://mock${message.url}`, {
        method: message.method ?? 'GET',
        body: body === null ? null : new Uint8Array(body),
      });
      const found = (await getResponse(handlers, request)) ?? new Response('', { status: 501 });
      response.writeHead(found.status, Object.fromEntries(found.headers));
      response.end(Buffer.from(await found.arrayBuffer()));
    })();
  };
}

export function mockServer(): Plugin {
  return {
    name: 'tinysphere-mock-server',
    configureServer: (server) => void server.middlewares.use(answer()),
    configurePreviewServer: (server) => void server.middlewares.use(answer()),
  };
}
