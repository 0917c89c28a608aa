import { Button, Menu } from '@mantine/core';
import { Panel } from '@/components/ui/Page';
import { Tag, type Tone } from '@/components/ui/Tag';
import type { Model, ModelVersion } from '@/lib/api/types';
import { bytes, count, dateTime, sentence } from '@/lib/format';
import { useMay } from '@/lib/session';
import { useStageVersion } from './api/stage_version';
import classes from './models.module.css';

const stageTones: Record<ModelVersion['stage'], Tone> = { staging: 'act', production: 'good', archived: 'quiet' };
const stages: ModelVersion['stage'][] = ['staging', 'production', 'archived'];

function Stage({ version }: { version: ModelVersion }) {
  const mayChange = useMay('operator');
  const stage = useStageVersion(version);
  const tag = <Tag tone={stageTones[version.stage]}>{sentence(version.stage)}</Tag>;
  if (!mayChange) return tag;
  return (
    <Menu position="bottom-start">
      <Menu.Target>
        <button type="button" className={classes.stage} aria-label={`Stage of ${version.name} ${version.version}: ${version.stage}`}>
          {tag}
        </button>
      </Menu.Target>
      <Menu.Dropdown>
        {stages.map((each) => (
          <Menu.Item key={each} disabled={each === version.stage} onClick={() => stage.mutate(each)}>
            {sentence(each)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function Version({ version, onRollOut }: { version: ModelVersion; onRollOut: () => void }) {
  const mayChange = useMay('operator');
  return (
    <tr>
      <td data-label="Version">
        <span className={classes.version}>{version.version}</span>
        <span className={classes.digest} title={`bundle ${version.bundle}`}>
          {version.bundle.slice(0, 12)}
        </span>
        {version.lineage.taught_by.length > 0 && (
          <div className={classes.quiet}>taught by {version.lineage.taught_by.join(', ')}</div>
        )}
      </td>
      <td data-label="Stage">
        <Stage version={version} />
      </td>
      <td data-label="Running on">
        {count(version.running_on)} {version.running_on === 1 ? 'device' : 'devices'}
      </td>
      <td data-label="Signed by">
        {version.signed ? (
          <span className={classes.digest} title={version.publisher}>
            {version.publisher.slice(0, 16)}
          </span>
        ) : (
          <Tag tone="warn">Waiting for signature</Tag>
        )}
      </td>
      <td data-label="Size">{bytes(version.bytes)}</td>
      <td data-label="Added">{dateTime(version.created_at)}</td>
      <td data-label="" className={classes.act}>
        {mayChange && (
          <Button size="xs" variant="light" disabled={!version.signed} onClick={onRollOut} aria-label={`Roll out ${version.name} ${version.version}`}>
            Roll out
          </Button>
        )}
      </td>
    </tr>
  );
}

export function ModelPanel({ model, onRollOut }: { model: Model; onRollOut: (version: ModelVersion) => void }) {
  const labels = model.versions[0]?.labels ?? [];
  return (
    <Panel
      title={model.name}
      note={`family ${model.model_family}${labels.length > 0 ? ` · ${labels.length} classes` : ''}`}
      flush
    >
      <div className={classes.scroll}>
        <table className={classes.table}>
          <thead>
            <tr>
              <th scope="col">Version</th>
              <th scope="col">Stage</th>
              <th scope="col">Running on</th>
              <th scope="col">Signed by</th>
              <th scope="col">Size</th>
              <th scope="col">Added</th>
              <th aria-label="Actions" />
            </tr>
          </thead>
          <tbody>
            {model.versions.map((version) => (
              <Version key={version.version} version={version} onRollOut={() => onRollOut(version)} />
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
