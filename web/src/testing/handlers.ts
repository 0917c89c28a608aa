// Answers as the server does, from a World. For tests and `npm run mock` only.

import { http, HttpResponse } from 'msw';
import type { DriftEventDetail, OrderRequest, RolloutRequest, Verdicts } from '../lib/api/types';
import type { World } from './world';

const api = '*/api/v1';

export function fault(status: number, code: string, message: string) {
  return HttpResponse.json({ error: { code, message } }, { status });
}

function summaryOf(event: DriftEventDetail) {
  const { samples: _samples, more_samples: _more, adaptations: _adaptations, reference_row_mean: _mean, reference_row_sd: _sd, ...summary } = event;
  return summary;
}

function picture(id: string): string {
  const digit = (id.codePointAt(id.length - 1) ?? 0) % 10;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120"><defs><radialGradient id="g" cx=".3" cy=".3"><stop stop-color="#b9b2a2"/><stop offset="1" stop-color="#5d5850"/></radialGradient></defs><rect width="160" height="120" fill="url(#g)"/><text x="80" y="88" font-family="serif" font-style="italic" font-size="84" text-anchor="middle" fill="#2a2622" transform="rotate(${(digit - 5) * 2} 80 60)">${digit}</text><circle cx="60" cy="44" r="13" fill="#3b372f" opacity=".55"/><circle cx="112" cy="80" r="9" fill="#3b372f" opacity=".5"/></svg>`;
}

export function handlersOf(world: World) {
  const eventOf = (id: unknown) => world.events.find((event) => event.event_id === id);
  const missing = () => fault(404, 'not_found', 'There is nothing of this name.');
  const steer = (state: 'running' | 'paused' | 'halted') => (id: unknown) => {
    const rollout = world.rollouts.find((each) => each.rollout_id === id);
    if (rollout === undefined) return missing();
    rollout.state = state;
    return HttpResponse.json(rollout);
  };

  return [
    http.get(`${api}/session`, () =>
      world.session === null ? fault(401, 'unauthenticated', 'Sign in first.') : HttpResponse.json(world.session),
    ),
    http.post(`${api}/session`, async ({ request }) => {
      const body = (await request.json()) as { name: string; password: string };
      if (body.password !== 'correct horse') return fault(401, 'unauthenticated', 'Name or password is wrong.');
      world.session = { name: body.name, role: 'admin' };
      return HttpResponse.json(world.session);
    }),
    http.delete(`${api}/session`, () => {
      world.session = null;
      return new HttpResponse(null, { status: 204 });
    }),
    http.post(`${api}/first-admin`, async ({ request }) => {
      const body = (await request.json()) as { link: string; name: string };
      if (body.link !== 'one-time') return fault(403, 'permission_denied', 'This link is not good any more.');
      world.session = { name: body.name, role: 'admin' };
      return HttpResponse.json(world.session);
    }),
    http.get(`${api}/overview`, () => HttpResponse.json(world.overview)),
    http.get(`${api}/devices`, () => HttpResponse.json({ items: world.devices, next: null })),
    http.get(`${api}/devices/:id`, ({ params }) => {
      const device = world.devices.find((each) => each.device_id === params.id);
      return device === undefined ? missing() : HttpResponse.json(device);
    }),
    http.get(`${api}/devices/:id/timeline`, ({ params }) =>
      HttpResponse.json({ items: world.timeline.filter((entry) => entry.device_id === params.id), next: null }),
    ),
    http.get(`${api}/devices/:id/metrics`, () => HttpResponse.json({ points: world.metrics })),
    http.post(`${api}/devices/:id/accept`, ({ params }) => {
      const device = world.devices.find((each) => each.device_id === params.id);
      if (device === undefined) return missing();
      device.state = 'active';
      return HttpResponse.json(device);
    }),
    http.post(`${api}/devices/:id/name`, async ({ params, request }) => {
      const device = world.devices.find((each) => each.device_id === params.id);
      if (device === undefined) return missing();
      device.name = ((await request.json()) as { name: string }).name;
      return HttpResponse.json(device);
    }),
    http.post(`${api}/devices/:id/mode`, async ({ params, request }) => {
      const device = world.devices.find((each) => each.device_id === params.id);
      if (device === undefined) return missing();
      device.desired_mode = ((await request.json()) as { mode: typeof device.desired_mode }).mode;
      return HttpResponse.json(device);
    }),
    http.get(`${api}/drift-events`, ({ request }) => {
      const state = new URL(request.url).searchParams.get('state') ?? 'all';
      const items = world.events.filter((event) => state === 'all' || event.state === state).map(summaryOf);
      return HttpResponse.json({ items, next: null });
    }),
    http.get(`${api}/drift-events/:id`, ({ params }) => {
      const event = eventOf(params.id);
      return event === undefined ? missing() : HttpResponse.json(event);
    }),
    http.post(`${api}/drift-events/:id/verdicts`, async ({ params, request }) => {
      const event = eventOf(params.id);
      if (event === undefined) return missing();
      const body = (await request.json()) as Verdicts;
      world.given.push({ event_id: event.event_id, body });
      for (const { sample_id, label, opens_class } of body.labels) {
        const sample = event.samples.find((each) => each.sample_id === sample_id);
        if (sample) {
          const word = { by: world.session?.name ?? '', label: label ?? '', at: new Date(world.now).toISOString() };
          sample.verdict = label === null ? null : { label, by: word.by, at: word.at, weight: 1, reviewers: [word] };
        }
        if (opens_class && label !== null && !event.labels.includes(label)) {
          event.labels = [...event.labels, label];
          event.opened = [...event.opened, label];
        }
      }
      event.event_verdict = body.event_verdict ?? null;
      event.samples_labelled = event.samples.filter((sample) => sample.verdict !== null).length;
      event.state = 'answered';
      event.feedback = { feedback_id: 'f-9', state: 'pending', applied_at: null };
      return HttpResponse.json({ feedback_id: 'f-9' });
    }),
    http.post(`${api}/drift-events/:id/request-samples`, async ({ params, request }) => {
      const event = eventOf(params.id);
      if (event === undefined) return missing();
      const { samples } = (await request.json()) as { samples: number };
      const { asked, left } = event.more_samples;
      event.more_samples = { asked: asked + samples, is_awaited: true, left: left - samples };
      return HttpResponse.json(event.more_samples);
    }),
    http.get(`${api}/samples/:id/image`, ({ params }) =>
      new HttpResponse(picture(String(params.id)), { headers: { 'Content-Type': 'image/svg+xml' } }),
    ),
    http.get(`${api}/devices/:id/adaptations`, ({ params }) =>
      HttpResponse.json({ items: world.adaptations.filter((each) => each.device_id === params.id), next: null }),
    ),
    http.get(`${api}/devices/:id/transitions`, ({ params }) =>
      HttpResponse.json({ items: world.transitions.filter((each) => each.device_id === params.id), next: null }),
    ),
    http.post(`${api}/devices/:id/adaptations/:sha/order`, async ({ params, request }) => {
      const adaptation = world.adaptations.find((each) => each.adaptation_sha256 === params.sha);
      const { order } = (await request.json()) as OrderRequest;
      if (adaptation === undefined) return missing();
      if (!adaptation.may_be.includes(order)) return fault(409, 'conflict', 'It is not its turn any more.');
      world.ordered.push({ adaptation_sha256: String(params.sha), order });
      adaptation.may_be = [];
      adaptation.awaits = null;
      adaptation.order = { order, by: world.session?.name ?? '', at: new Date(world.now).toISOString(), feedback_id: 'f-10', state: 'pending', outcome: null };
      return HttpResponse.json({ feedback_id: 'f-10' });
    }),
    http.get(`${api}/learned-versions`, () => HttpResponse.json({ items: world.learned, next: null })),
    http.get(`${api}/models`, () => HttpResponse.json({ items: world.models, next: null })),
    http.post(`${api}/bundles`, () =>
      fault(422, 'permission_denied', 'The bundle is not signed. Sign it first: tinylcm bundle sign --key publisher.key digits-1.2.0.tar.zst'),
    ),
    http.get(`${api}/rollouts`, () => HttpResponse.json({ items: world.rollouts, next: null })),
    http.post(`${api}/rollouts`, async ({ request }) => {
      const body = (await request.json()) as RolloutRequest;
      const model = world.models.find((each) => each.name === body.name);
      const version = model?.versions.find((each) => each.version === body.version);
      if (model === undefined || version === undefined) return missing();
      const devices = world.devices.filter((device) =>
        body.devices == null ? device.model_family === model.model_family : body.devices.includes(device.device_id),
      );
      const rollout: World['rollouts'][number] = {
        rollout_id: `r-${world.rollouts.length + 1}`, name: body.name, version: body.version, bundle: version.bundle,
        state: 'running', created_at: new Date(world.now).toISOString(), by: world.session?.name ?? '',
        target: { kind: body.devices == null ? 'model_family' : 'devices' },
        counts: { total: devices.length, pending: devices.length, told: 0, running: 0, failed: 0, skipped: 0 },
        devices: devices.map((device) => ({
          device_id: device.device_id, device_name: device.name, state: 'pending', at: new Date(world.now).toISOString(), detail: null,
        })),
      };
      world.rollouts.unshift(rollout);
      return HttpResponse.json(rollout, { status: 201 });
    }),
    http.post(`${api}/rollouts/:id/pause`, ({ params }) => steer('paused')(params.id)),
    http.post(`${api}/rollouts/:id/resume`, ({ params }) => steer('running')(params.id)),
    http.post(`${api}/rollouts/:id/halt`, ({ params }) => steer('halted')(params.id)),
  ];
}
