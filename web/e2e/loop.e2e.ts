// One person walks the loop in a real browser, on a server with devices that drift: sign in, look,
// label with the keyboard, roll a version out. Nothing is mocked.
//
//   TINYSPHERE_URL       where the dashboard is
//   TINYSPHERE_USER, TINYSPHERE_PASSWORD   an operator
//   E2E_LABELS           JSON file: sample index -> true label; or device name -> such a map
//   E2E_EVENTS           how many open drift events to answer (1)
//   E2E_ROLLOUT          "name version" to roll out; without it the newest version of each model
//   E2E_NO_ROLLOUT=1     stop after the labels
//   E2E_SCREENSHOTS      folder for a picture of each page
//   E2E_TIMEOUT_S        how long to wait for what devices have to do (240)
//   CHROMIUM             the browser (/usr/bin/chromium)

import { mkdirSync, readFileSync } from 'node:fs';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

function needed(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set; the head of loop.e2e.ts says what it is`);
  return value;
}

type Answers = Record<string, string | number>;

function answersFor(file: string, device: string): Answers {
  const all = JSON.parse(readFileSync(file, 'utf8')) as Record<string, Answers | string | number>;
  const own = all[device];
  return typeof own === 'object' ? own : (all as Answers);
}

interface Sample {
  index: number;
}
interface Event {
  event_id: string;
  device_name: string;
  state: 'open' | 'answered';
  samples: Sample[];
  samples_labelled: number;
  feedback: { state: string } | null;
}

const url = needed('TINYSPHERE_URL').replace(/\/$/, '');
const devicesMs = Number(process.env.E2E_TIMEOUT_S ?? 240) * 1000;
let browser: Browser;
let page: Page;
const faults: string[] = [];

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  // The demo's certificate is signed by itself.
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 } });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => faults.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content.Security.Policy/i.test(message.text())) faults.push(message.text());
  });
});
afterAll(() => browser?.close());

async function picture(name: string) {
  const folder = process.env.E2E_SCREENSHOTS;
  if (folder === undefined || folder === '') return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

/** Asks the API with the browser's own session. */
async function get<T>(path: string): Promise<T> {
  const answer = await page.context().request.get(`${url}/api/v1${path}`);
  expect(answer.status(), path).toBe(200);
  return (await answer.json()) as T;
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + devicesMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${devicesMs / 1000} s for ${what}`);
    await page.waitForTimeout(500);
  }
}

const link = (name: string) => page.getByRole('navigation', { name: 'Main' }).first().getByRole('link', { name });

async function labelOneEvent(done: Set<string>): Promise<void> {
  const event = await until('a drift event with samples', async () => {
    const list = await get<{ items: Event[] }>('/drift-events?state=open&limit=100');
    for (const each of list.items) {
      if (done.has(each.event_id)) continue;
      const whole = await get<Event>(`/drift-events/${each.event_id}`);
      if (whole.samples.length > 0) return whole;
    }
    return undefined;
  });
  done.add(event.event_id);
  const answers = answersFor(needed('E2E_LABELS'), event.device_name);

  await link('Drift Hub').click();
  await page.locator(`a[href="/drift/${event.event_id}"]`).first().click();
  await page.getByRole('progressbar', { name: 'Samples labelled' }).waitFor();
  await picture(`event-${event.device_name}`);

  // By keys alone: the sample in view says which it is, and the key is its label.
  for (let turn = 0; turn < event.samples.length; turn += 1) {
    const current = page.locator('button[aria-current="true"][aria-label^="Sample "]');
    const name = (await current.getAttribute('aria-label')) ?? '';
    const index = /^Sample (\d+),/.exec(name)?.[1];
    if (index === undefined || !name.endsWith('no label')) break;
    const label = answers[index];
    expect(label, `the label of sample ${index} of ${event.device_name}`).toBeDefined();
    await page.keyboard.press(String(label));
    await page.getByRole('button', { name: `Sample ${index}, label ${label}`, exact: true }).waitFor();
  }
  await page.getByText(`${event.samples.length} of ${event.samples.length} labelled`).waitFor();
  await picture(`labelled-${event.device_name}`);
  await page.keyboard.press('Control+Enter');
  await page.getByText(/labels? sent\./).first().waitFor();
  const answered = await get<Event>(`/drift-events/${event.event_id}`);
  expect(answered.state).toBe('answered');
  expect(answered.samples_labelled).toBe(event.samples.length);
}

test('a person walks the loop from signing in to a roll-out', async () => {
  await page.goto(url);
  await page.getByRole('textbox', { name: 'Name' }).fill(needed('TINYSPHERE_USER'));
  await page.getByRole('textbox', { name: 'Password' }).fill(needed('TINYSPHERE_PASSWORD'));
  await page.getByRole('button', { name: 'Sign in' }).click();

  // Overview: the fleet is there and live.
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.getByText('Live', { exact: true }).first().waitFor();
  await page.getByRole('group', { name: 'Devices online' }).waitFor();
  await picture('overview');

  // Drift Hub: answer what waits.
  const done = new Set<string>();
  for (let left = Number(process.env.E2E_EVENTS ?? 1); left > 0; left -= 1) await labelOneEvent(done);

  // A device's timeline says that labels came, and the feedback that they were applied.
  for (const eventId of done) {
    const event = await until('the labels to be applied on the device', async () => {
      const now = await get<Event>(`/drift-events/${eventId}`);
      return now.feedback?.state === 'applied' ? now : undefined;
    });
    await link('Devices').click();
    await page.getByRole('table').getByRole('link', { name: event.device_name, exact: true }).click();
    await page.getByRole('heading', { name: event.device_name }).waitFor();
    const timeline = page.getByRole('region', { name: 'Timeline' });
    await timeline.locator('[title="drift"]').first().waitFor();
    await timeline.locator('[title="adaptation"], [title="feedback"]').first().waitFor();
    // What it did, and how its state machine went there, in the device's own words.
    await page.getByRole('region', { name: 'Adaptation' }).getByRole('article').first().waitFor();
    await page.getByRole('region', { name: 'How it went from state to state' }).getByRole('listitem').first().waitFor();
    await picture(`device-${event.device_name}`);
  }

  if (process.env.E2E_NO_ROLLOUT !== '1') {
    // Models: roll out, and see the devices run it by their own report.
    const models = await get<{ items: { name: string; versions: { version: string }[] }[] }>('/models');
    const wanted = process.env.E2E_ROLLOUT
      ? [process.env.E2E_ROLLOUT]
      : models.items.flatMap((model) => (model.versions[0] ? [`${model.name} ${model.versions[0].version}`] : []));
    expect(wanted.length).toBeGreaterThan(0);
    await link('Models').click();
    for (const version of wanted) {
      await page.getByRole('button', { name: `Roll out ${version}`, exact: true }).click();
      const dialog = page.getByRole('dialog', { name: `Roll out ${version}` });
      await dialog.getByRole('button', { name: /^Roll out to \d+ devices?$/ }).click();
      await dialog.waitFor({ state: 'detached' });
      const rollout = page.getByRole('listitem', { name: `Roll-out of ${version}` }).first();
      await rollout.waitFor();
      await rollout.getByText('Done', { exact: true }).waitFor({ timeout: devicesMs });
    }
    await picture('models');
  }

  expect(faults).toEqual([]);
});
