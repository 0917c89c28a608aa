import { setupServer } from 'msw/node';

/** Stands where the server would; each test gives it a World. */
export const server = setupServer();
