// The words of the REST API. Generated from docs/api/openapi.yaml, so screen and server agree.

import type { components } from './schema';

type Schemas = components['schemas'];

export type Session = Schemas['Session'];
export type Role = Schemas['Role'];
export type Overview = Schemas['Overview'];
export type Device = Schemas['Device'];
export type Mode = Schemas['Mode'];
export type DriftState = Device['drift_state'];
export type MetricPoint = Schemas['MetricPoints']['points'][number];
export type TimelineEntry = Schemas['TimelineEntry'];
export type TimelineKind = TimelineEntry['kind'];
export type DriftEvent = Schemas['DriftEvent'];
export type DriftEventDetail = Schemas['DriftEventDetail'];
export type EventVerdict = Schemas['EventVerdict'];
export type Sample = Schemas['Sample'];
export type Adaptation = Schemas['Adaptation'];
export type AdaptationOrder = Schemas['AdaptationOrder'];
export type OrderRequest = Schemas['OrderRequest'];
export type Judgement = Schemas['Judgement'];
export type Transition = Schemas['Transition'];
export type LearnedVersion = Schemas['LearnedVersion'];
export type Verdicts = Schemas['Verdicts'];
export type Model = Schemas['Model'];
export type ModelVersion = Schemas['ModelVersion'];
export type Rollout = Schemas['Rollout'];
export type RolloutDevice = Rollout['devices'][number];
export type RolloutRequest = Schemas['RolloutRequest'];
