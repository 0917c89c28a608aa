import { Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { AsOf, EmptyFace, Face } from '@/components/ui/Face';
import { Figure, Figures } from '@/components/ui/Figure';
import { Icon } from '@/components/ui/Icon';
import { Page, Panel } from '@/components/ui/Page';
import { DriftStateTag, PresenceTag, Tag } from '@/components/ui/Tag';
import { TimelineList } from '@/components/ui/TimelineList';
import { adaptationText } from '@/lib/adaptation_text';
import type { Device, DriftEvent, Overview } from '@/lib/api/types';
import { devicesQuery } from '@/lib/devices_query';
import { driftEventsQuery } from '@/lib/drift_events_query';
import { ago, bytes, count, countShort, decimal, eventTitle, milliseconds, percent, sigma, UNKNOWN } from '@/lib/format';
import { useNow } from '@/lib/now';
import { overviewQuery } from '@/lib/overview_query';
import { viewOf } from '@/lib/view';
import { Throughput } from './Throughput';
import classes from './overview.module.css';

function AtAGlance({ overview }: { overview: Overview }) {
  const now = useNow();
  const { devices, events, packages, feedback, jobs } = overview;
  const offline = devices.total - devices.online;
  return (
    <Figures>
      <Figure
        label="Devices online"
        value={count(devices.online)}
        of={`of ${count(devices.total)}`}
        tone={offline > 0 ? 'warn' : 'quiet'}
        note={devices.pending > 0 ? `${devices.pending} to accept` : offline > 0 ? `${offline} offline` : 'all reachable'}
      />
      <Figure
        label="Drifting"
        value={count(devices.drifting)}
        tone={devices.drifting > 0 ? 'warn' : 'quiet'}
        note={devices.drifting === 0 ? 'all stable' : 'devices not stable'}
      />
      <Figure
        label="Events to answer"
        value={count(events.open)}
        tone={events.open > 0 ? 'warn' : 'quiet'}
        note={`${count(events.answered)} answered`}
      />
      <Figure label="Labels given" value={count(overview.labels)} note={`${count(feedback.applied)} applied, ${count(feedback.pending)} on their way`} />
      <Figure
        label="Packages"
        value={countShort(packages.stored)}
        note={`${bytes(packages.bytes)}, last ${ago(packages.last_at, now)}`}
      />
      <Figure
        label="Refused or failed"
        value={count(packages.refused + jobs.failed)}
        tone={packages.refused + jobs.failed > 0 ? 'bad' : 'quiet'}
        note={`${count(jobs.waiting)} being read`}
      />
      <Figure label="Roll-outs" value={count(overview.rollouts.active)} note="under way" />
    </Figures>
  );
}

function OpenEvent({ event }: { event: DriftEvent }) {
  const now = useNow();
  return (
    <li className={classes.event}>
      <div className={classes.eventMain}>
        <div className={classes.eventHead}>
          <strong>{event.device_name}</strong>
          <Tag tone="warn">{eventTitle(event.kind)}</Tag>
          <span className={classes.quiet}>
            {sigma(event.severity.sigma)} · {ago(event.received_at, now)}
          </span>
        </div>
        <p className={classes.eventText}>{event.text}</p>
      </div>
      <div className={classes.eventAct}>
        <span className={classes.quiet}>
          {event.samples_labelled} of {event.samples_total} labelled
        </span>
        <Button
          size="xs"
          renderRoot={(props) => <Link {...props} to="/drift/$eventId" params={{ eventId: event.event_id }} />}
          aria-label={`Label the samples of ${event.device_name}`}
        >
          Label samples
        </Button>
      </div>
    </li>
  );
}

function Proposal({ device }: { device: Device }) {
  return (
    <li className={classes.event}>
      <div className={classes.eventMain}>
        <div className={classes.eventHead}>
          <strong>{device.name}</strong>
          <Tag tone="act">Waits for approval</Tag>
        </div>
        <p className={classes.eventText}>It found an adaptation, and serves it only if you say so.</p>
      </div>
      <div className={classes.eventAct}>
        <Button
          size="xs"
          renderRoot={(props) => <Link {...props} to="/devices/$deviceId" params={{ deviceId: device.device_id }} />}
          aria-label={`See what ${device.name} proposes`}
        >
          See it
        </Button>
      </div>
    </li>
  );
}

function DeviceCard({ device }: { device: Device }) {
  const now = useNow();
  const metrics = device.metrics;
  return (
    <li>
      <Link to="/devices/$deviceId" params={{ deviceId: device.device_id }} className={classes.device}>
        <div className={classes.deviceHead}>
          <span className={classes.deviceName}>{device.name}</span>
          {device.state === 'active' && <DriftStateTag state={device.drift_state} />}
        </div>
        <div className={classes.quiet}>
          <PresenceTag device={device} /> · {device.online ? 'seen' : 'last seen'} {ago(device.last_seen, now)}
        </div>
        <dl className={classes.deviceFacts}>
          <div>
            <dt>{metrics?.accuracy_estimated == null ? 'Confidence' : 'Accuracy, est.'}</dt>
            <dd>{percent(metrics?.accuracy_estimated ?? metrics?.confidence_mean)}</dd>
          </div>
          <div>
            <dt>Rate</dt>
            <dd>{metrics?.fps == null ? UNKNOWN : `${decimal(metrics.fps, 1)}/s`}</dd>
          </div>
          <div>
            <dt>Latency p95</dt>
            <dd>{milliseconds(metrics?.latency_ms_p95)}</dd>
          </div>
        </dl>
        <div className={classes.deviceFoot}>
          <span>
            {device.model?.name ?? 'no model reported'} {device.model?.version}
            {!device.in_sync && device.desired !== null && (
              <>
                {' '}
                <Icon name="arrow" size={12} /> {device.desired.version}
              </>
            )}
          </span>
          <span>adaptation: {adaptationText(device)}</span>
        </div>
      </Link>
    </li>
  );
}

export function OverviewPage() {
  const overview = viewOf(useQuery(overviewQuery));
  const events = viewOf(useQuery(driftEventsQuery('open')), (page) => page.items.length === 0);
  const devices = viewOf(useQuery(devicesQuery), (page) => page.items.length === 0);
  const proposals = devices.face === 'ready' ? devices.data.items.filter((device) => device.awaits === 'approval') : [];

  return (
    <Page title="Overview" actions={<AsOf view={overview} />}>
      <div className={classes.stack}>
        {overview.face === 'ready' ? (
          <AtAGlance overview={overview.data} />
        ) : (
          <Panel title="The fleet at a glance">
            <Face view={overview} what="the fleet's figures">
              {() => null}
            </Face>
          </Panel>
        )}

        <div className={classes.columns}>
          <div className={classes.stack}>
            <Panel title="Waiting for you" flush>
              {proposals.length > 0 && (
                <ul className={classes.proposals}>
                  {proposals.map((device) => (
                    <Proposal key={device.device_id} device={device} />
                  ))}
                </ul>
              )}
              {(proposals.length === 0 || events.face !== 'empty') && (
                <Face
                  view={events}
                  what="the open drift events"
                  empty={{ title: 'Nothing waits for you', text: 'When a device notices a change and asks for labels, it appears here.' }}
                >
                  {(page) => (
                    <ul>
                      {page.items.map((event) => (
                        <OpenEvent key={event.event_id} event={event} />
                      ))}
                    </ul>
                  )}
                </Face>
              )}
            </Panel>

            <Panel title="Devices" flush actions={<Link to="/devices">All devices</Link>}>
              <Face
                view={devices}
                what="the devices"
                empty={{
                  icon: 'devices',
                  title: 'No device yet',
                  text: (
                    <>
                      Make an enrolment token with <code>tinysphere token create --kind enroll</code>, then run{' '}
                      <code>tinylcm enroll</code> on the device.
                    </>
                  ),
                }}
              >
                {(page) => (
                  <ul className={classes.devices}>
                    {page.items.slice(0, 12).map((device) => (
                      <DeviceCard key={device.device_id} device={device} />
                    ))}
                  </ul>
                )}
              </Face>
            </Panel>

            <Panel title="The last hour" note="per minute, as the devices report it">
              <Face view={overview} what="the throughput">
                {(data) =>
                  data.throughput.length === 0 ? (
                    <EmptyFace icon="package" title="No package within the last hour" />
                  ) : (
                    <Throughput points={data.throughput} until={data.server_time} />
                  )
                }
              </Face>
            </Panel>
          </div>

          <Panel title="What happened" flush>
            <Face view={overview} what="the feed">
              {(data) =>
                data.recent.length === 0 ? (
                  <EmptyFace icon="overview" title="Nothing has happened yet" />
                ) : (
                  <div className={classes.feed}>
                    <TimelineList entries={data.recent} withDevice />
                  </div>
                )
              }
            </Face>
          </Panel>
        </div>
      </div>
    </Page>
  );
}
