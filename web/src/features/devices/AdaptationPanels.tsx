import { Button } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { AdaptationCard } from '@/components/adaptation/AdaptationCard';
import classes from '@/components/adaptation/adaptation.module.css';
import { TransitionList } from '@/components/adaptation/TransitionList';
import { EmptyFace, Face } from '@/components/ui/Face';
import { Panel } from '@/components/ui/Page';
import { viewOf } from '@/lib/view';
import { useWhyNotJudged } from '@/lib/why_not_judged';
import { adaptationsQuery } from './api/list_adaptations';
import { transitionsQuery } from './api/list_transitions';

/** What a device did about drift and with labels, newest first; and how its state machine went. */
export function AdaptationPanels({ deviceId }: { deviceId: string }) {
  const adaptations = viewOf(useQuery(adaptationsQuery(deviceId)), (page) => page.items.length === 0);
  const transitions = useInfiniteQuery(transitionsQuery(deviceId));
  const steps = useMemo(() => transitions.data?.pages.flatMap((page) => page.items) ?? [], [transitions.data]);
  const whyNot = useWhyNotJudged();

  return (
    <>
      <Panel title="Adaptation" flush>
        <Face
          view={adaptations}
          what="the adaptations"
          empty={{ icon: 'adaptation', title: 'Nothing was adapted yet', text: 'The device answers by its bundle as it came.' }}
        >
          {(page) => (
            <div className={classes.cards}>
              {page.items.slice(0, 1).map((each) => (
                <AdaptationCard key={each.adaptation_id} adaptation={each} whyNotJudged={whyNot} />
              ))}
              {page.items.length > 1 && (
                <details className={classes.earlier}>
                  <summary>Earlier reports ({page.items.length - 1})</summary>
                  {page.items.slice(1).map((each) => (
                    <AdaptationCard key={each.adaptation_id} adaptation={each} whyNotJudged={whyNot} />
                  ))}
                </details>
              )}
            </div>
          )}
        </Face>
      </Panel>
      <Panel title="How it went from state to state" flush>
        <Face view={viewOf(transitions)} what="the steps">
          {() =>
            steps.length === 0 ? (
              <EmptyFace icon="overview" title="It has not left its first state" />
            ) : (
              <>
                <TransitionList transitions={steps} />
                {transitions.hasNextPage && (
                  <div className={classes.more}>
                    <Button size="xs" variant="default" loading={transitions.isFetchingNextPage} onClick={() => void transitions.fetchNextPage()}>
                      Show earlier
                    </Button>
                  </div>
                )}
              </>
            )
          }
        </Face>
      </Panel>
    </>
  );
}
