import { Alert, Button, FileButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { AsOf, Face } from '@/components/ui/Face';
import { Icon } from '@/components/ui/Icon';
import { Page, Panel } from '@/components/ui/Page';
import type { ModelVersion } from '@/lib/api/types';
import { useMay } from '@/lib/session';
import { viewOf } from '@/lib/view';
import { useAddBundle } from './api/add_bundle';
import { modelsQuery } from './api/list_models';
import { rolloutsQuery } from './api/list_rollouts';
import { LearnedVersions } from './LearnedVersions';
import { ModelPanel } from './ModelPanel';
import { RolloutCard } from './RolloutCard';
import { RolloutDialog } from './RolloutDialog';
import classes from './models.module.css';

/** The button and what came of it, which lie in different places of the page. */
function useUpload() {
  const add = useAddBundle();
  return {
    button: (
      <FileButton onChange={(file) => file !== null && add.mutate(file)} accept=".zst,.tar.zst,application/zstd">
        {(props) => (
          <Button {...props} size="xs" variant="default" loading={add.isPending} leftSection={<Icon name="upload" size={15} />}>
            Add a signed bundle
          </Button>
        )}
      </FileButton>
    ),
    outcome: add.error ? (
      <Alert color="red" role="alert" variant="light" title="The bundle was not accepted" withCloseButton onClose={add.reset}>
        <div className={classes.reason}>{add.error.message}</div>
      </Alert>
    ) : add.data ? (
      <Alert color="green" role="status" variant="light" withCloseButton onClose={add.reset}>
        {add.data.name} {add.data.version} is registered.
      </Alert>
    ) : null,
  };
}

export function ModelsPage() {
  const [chosen, setChosen] = useState<{ version: ModelVersion; family: string } | null>(null);
  const models = viewOf(useQuery(modelsQuery), (page) => page.items.length === 0);
  const rollouts = viewOf(useQuery(rolloutsQuery), (page) => page.items.length === 0);
  const mayChange = useMay('operator');
  const upload = useUpload();

  return (
    <Page
      title="Models"
      actions={
        <>
          <AsOf view={models} />
          {mayChange && upload.button}
        </>
      }
    >
      <div className={classes.stack}>
        {upload.outcome}
        <Panel title="Roll-outs" flush>
          <Face
            view={rollouts}
            what="the roll-outs"
            empty={{ icon: 'update', title: 'No roll-out yet', text: 'Choose a version below and roll it out.' }}
          >
            {(page) => (
              <ul>
                {page.items.map((rollout) => (
                  <RolloutCard key={rollout.rollout_id} rollout={rollout} />
                ))}
              </ul>
            )}
          </Face>
        </Panel>
        {models.face === 'ready' ? (
          models.data.items.map((model) => (
            <ModelPanel
              key={model.name}
              model={model}
              onRollOut={(version) => setChosen({ version, family: model.model_family })}
            />
          ))
        ) : (
          <Panel title="Versions">
            <Face
              view={models}
              what="the models"
              empty={{
                icon: 'models',
                title: 'No model yet',
                text: (
                  <>
                    Make one with <code>tinylcm bundle make</code>, sign it with <code>tinylcm bundle sign</code>, then add
                    its archive here.
                  </>
                ),
              }}
            >
              {() => null}
            </Face>
          </Panel>
        )}
        <LearnedVersions />
      </div>
      <RolloutDialog chosen={chosen} onClose={() => setChosen(null)} />
    </Page>
  );
}
