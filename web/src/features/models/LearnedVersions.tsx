import { Button, CopyButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Judged } from '@/components/adaptation/JudgementPlot';
import { Face } from '@/components/ui/Face';
import { Facts } from '@/components/ui/Figure';
import { Panel } from '@/components/ui/Page';
import { Tag } from '@/components/ui/Tag';
import { servedInWords } from '@/lib/adaptation_words';
import type { LearnedVersion } from '@/lib/api/types';
import { ago, bytes, count, dateTime } from '@/lib/format';
import { useNow } from '@/lib/now';
import { viewOf } from '@/lib/view';
import { useWhyNotJudged } from '@/lib/why_not_judged';
import { learnedQuery } from './api/list_learned';
import classes from './models.module.css';

function Command({ version }: { version: LearnedVersion }) {
  if (version.command === null) {
    return (
      <p className={classes.quiet}>
        The bundle it stands on ({version.base.bundle.slice(0, 12)}) is not registered here. Add it, and the command to make
        a bundle of the two appears.
      </p>
    );
  }
  const command = version.command;
  return (
    <div className={classes.command}>
      <pre aria-label={`Command for ${version.version}`}>{command}</pre>
      <CopyButton value={command}>
        {({ copied, copy }) => (
          <Button size="compact-xs" variant="default" onClick={copy}>
            {copied ? 'Copied' : 'Copy'}
          </Button>
        )}
      </CopyButton>
    </div>
  );
}

function Learned({ version, whyNot }: { version: LearnedVersion; whyNot: string | null }) {
  const now = useNow();
  const isWaiting = version.state === 'waiting_for_signature';
  const base = version.base.name === null ? version.base.bundle.slice(0, 12) : `${version.base.name} ${version.base.version ?? ''}`;
  return (
    <li className={classes.learned} aria-label={`${version.name} ${version.version}`}>
      <div className={classes.rolloutHead}>
        <strong>
          {version.name} {version.version}
        </strong>
        {isWaiting ? <Tag tone="warn">Waiting for signature</Tag> : <Tag tone="good">Registered as {version.registered_as}</Tag>}
        <span className={classes.quiet}>
          learned on{' '}
          <Link to="/devices/$deviceId" params={{ deviceId: version.device_id }}>
            {version.device_name}
          </Link>
          , <time title={dateTime(version.received_at)}>{ago(version.received_at, now)}</time>
        </span>
      </div>
      <Facts
        facts={[
          ['Stands on', base],
          ['Adds', servedInWords(version.hypothesis, version.challenger)],
          ['Taught by', `${count(version.labels)} labels, ${count(version.vectors)} vectors kept`],
          ...(version.opened.length > 0 ? [['Classes opened', version.opened.join(', ')] as [string, string]] : []),
          ['Size', bytes(version.bytes)],
          ['Adaptation', <code key="sha" title={version.adaptation_sha256}>{version.adaptation_sha256.slice(0, 12)}</code>],
        ]}
      />
      <Judged judgement={version.judgement} whyNot={whyNot} />
      {isWaiting && (
        <>
          <p className={classes.quiet}>
            To give it to other devices, its publisher makes a bundle of it where the key is, and adds that here:{' '}
            <a href={`/artifacts/${version.adaptation_sha256}`} download="adaptation.bin">
              adaptation.bin
            </a>
            {version.base.archive_sha256 !== null && (
              <>
                {', '}
                <a href={`/artifacts/${version.base.archive_sha256}`} download={`${version.base.name ?? 'base'}-${version.base.version ?? ''}.tar.zst`}>
                  the bundle it stands on
                </a>
              </>
            )}
          </p>
          <Command version={version} />
        </>
      )}
    </li>
  );
}

/** What devices learned and sent: nothing of it runs elsewhere before its publisher signed it. */
export function LearnedVersions() {
  const learned = viewOf(useQuery(learnedQuery), (page) => page.items.length === 0);
  const whyNot = useWhyNotJudged();
  return (
    <Panel title="Learned on devices" note="versions that wait for their publisher's signature, and those that have it" flush>
      <Face
        view={learned}
        what="what devices learned"
        empty={{ icon: 'adaptation', title: 'No device has learned anything yet', text: 'Once an adaptation has stood its probation, the device sends it here.' }}
      >
        {(page) => (
          <ul>
            {page.items.map((version) => (
              <Learned key={version.adaptation_sha256} version={version} whyNot={whyNot} />
            ))}
          </ul>
        )}
      </Face>
    </Panel>
  );
}
