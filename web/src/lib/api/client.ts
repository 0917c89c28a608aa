// The one way to the server: typed requests, and one kind of error.

import createClient from 'openapi-fetch';
import type { paths } from './schema';

/** What the server (or the road to it) said no with. `status` 0: no answer at all. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export const client = createClient<paths>({
  baseUrl: window.location.origin,
  // Looked up at each call, so that tests can put a mocked network beneath.
  fetch: (request) => globalThis.fetch(request),
  // The server takes a change by cookie only from a page that can set a header, thus not from a
  // form on another site.
  headers: { 'X-Requested-With': 'tinysphere' },
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

function isErrorBody(body: unknown): body is { error: { code: string; message: string } } {
  return (
    typeof body === 'object' && body !== null && 'error' in body &&
    typeof body.error === 'object' && body.error !== null &&
    'message' in body.error && typeof body.error.message === 'string'
  );
}

export function errorOf(status: number, body: unknown): ApiError {
  if (isErrorBody(body)) return new ApiError(status, body.error.code, body.error.message);
  return new ApiError(status, 'unavailable', `The server answered ${status} without saying why.`);
}

/** The answer's data, or an ApiError thrown. */
export async function ask<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, 'unavailable', 'The server cannot be reached.');
  }
  if (!answer.response.ok) throw errorOf(answer.response.status, answer.error);
  return answer.data as T;
}

export function isSignedOut(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}
