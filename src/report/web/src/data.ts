// What the program puts into the page: the result files as they are (docs/schema), by model.

export interface Report {
  schema: "massact.report";
  schema_version: number;
  massact_version: string;
  created: string;
  command: string;
  models: ModelData[];
  notes: string[];
}

export interface ModelData {
  label: string;
  source: string;
  scan: Scan | null;
  window: Window | null;
  ablate: Ablate | null;
  explain: Explain | null;
  maps: AttentionMap[];
  pictures: Pictures | null;
  registers: Registers | null;
  training: TrainingRecord[];
  missing: Missing[];
}

/** A part that is not in the report, why, and how to get it. */
export interface Missing {
  part: string;
  why: string;
  how: string;
  /** The step that failed to make it ("ablate"); empty: nobody tried. */
  failed_step: string;
}

export interface ModelFacts {
  path: string;
  family: string;
  hash: string;
  layers: number;
  width: number;
}

export interface Machine {
  cpu: string;
  cores: number;
  memory_bytes: number;
  system: string;
}

export interface Origin {
  command: string;
  written: string;
  machine: Machine;
}

export interface ResultFile {
  schema: string;
  schema_version: number;
  massact_version: string;
  model: ModelFacts;
  run?: Record<string, unknown>;
  origin?: Origin;
  warnings?: string[];
}

export interface Scan extends ResultFile {
  quantile_levels: number[];
  layers: ScanLayer[];
  findings: FindingSet;
  automatic: FindingSet | null;
  candidates: FindingSet | null;
}

export interface ScanLayer {
  layer: number;
  top: number[];
  median: number;
  max_abs: number;
  max_over_median: number;
  kurtosis: number;
  strict_count: number;
  largest: TopValue[];
  sequences: { sequence: number; top: number[]; median: number }[];
}

export interface TopValue {
  value: number;
  sequence: number;
  position: number;
  dimension: number;
  token: string;
  position_class: string;
  ratio: number | null;
}

export interface FindingSet {
  rule: string;
  findings: Finding[];
  truncated: number;
}

export interface Finding {
  dimension: number;
  position_class: string;
  label: string;
  first_layer: number;
  last_layer: number;
  peak_layer: number;
  scalars: number;
  mean: number;
  sigma: number;
  cv: number;
  max_abs: number;
  ratio: number | null;
  sequence_share: number;
  token: string;
  token_share: number;
  example: { sequence: number; position: number; token: string; before: string; after: string; value: number };
  values: { sequence: number; position: number; value: number }[];
}

export interface Window extends ResultFile {
  sequence: number;
  tokens: string[];
  position_classes: string[];
  dimensions: { dimension: number; has_finding: boolean }[];
  layers: { layer: number; values: number[][] }[];
  texts: { sequence: number; tokens: string[] }[];
}

export interface Estimate {
  value: number;
  error: number | null;
}

export interface Perplexity {
  convention: string;
  loss: Estimate;
  perplexity: Estimate;
}

export interface Variant {
  name: string;
  kind: string;
  description: string;
  layer: number | null;
  scalars: number;
  measures: {
    perplexities: Perplexity[];
    accuracies: { acc: Estimate }[];
    divergence: { mean_kl: Estimate; top1_agreement: Estimate } | null;
    images?: ImageMeasures | null;
  };
}

export interface ImageMeasures {
  top1: Estimate | null;
  top5: Estimate | null;
  top1_change?: Estimate | null;
  feature_cosine: Estimate | null;
}

export interface Ablate extends ResultFile {
  split: { calibration: string; evaluation: string };
  targets: { rule: string; label: string; layer: number; list: unknown[] } | null;
  selector: string;
  texts: { convention: string; source: string; seq_len: number; bos: boolean; windows: number }[];
  images?: unknown;
  tasks: { name: string; items: number }[];
  variants: Variant[];
  verdicts: string[];
}

export interface ClassSink {
  class: string;
  probability: number;
  logit: number | null;
}

export interface SinkHead {
  head: number;
  first: number[];
  alpha: number[];
  sink: number;
  entropy: number | null;
  classes: ClassSink[];
}

export interface Explain extends ResultFile {
  /** label null: there was nothing to explain. */
  found: { rule: string; label: string | null };
  findings: {
    finding: number;
    dimension: number;
    position_class: string;
    token: string;
    layers: { layer: number; value: number; attention: number; mlp: number }[];
    birth: { layer: number } | null;
    death: { layer: number } | null;
  }[];
  sinks: {
    epsilon: number;
    metric: { k: number; percent: number }[];
    layers: { layer: number; sink: number; classes: ClassSink[]; heads: SinkHead[] }[];
  };
  bias: {
    layer: number;
    share: number | null;
    constant_share: number | null;
    slot_share: number | null;
    heads: { head: number; share: number | null; cosine: number | null }[];
  }[];
  replacement: {
    variants: { name: string; description: string; perplexity: Perplexity; divergence: { mean_kl: Estimate } | null }[];
  } | null;
}

/** One of explain's maps, cut to its first queries. */
export interface AttentionMap {
  layer: number;
  head: number | null;
  sequence: number;
  slot: boolean;
  probabilities: number[][];
}

/** Vectors are by token: class tokens, registers, patches row by row. */
export interface PictureLayer {
  layer: number;
  norms: number[];
  attention: number[] | null;
}

export interface Picture {
  file: string;
  width: number;
  height: number;
  /** A data: URL. */
  image: string;
  layers: PictureLayer[];
}

export interface Pictures extends ResultFile {
  grid: { rows: number; columns: number };
  class_tokens: number;
  registers: number;
  attention_of: string;
  pictures: Picture[];
}

/** A variant of test-time registers, in the patches and in attention. */
export interface OutlierVariant {
  name: string;
  largest_norm: Estimate;
  outliers: Estimate;
  added_norm: Estimate;
  attention: { outliers: Estimate; largest_patch: Estimate; added: Estimate } | null;
}

export interface TestTime {
  rule: { ratio: number | null; norm: number | null };
  calibration_images: number;
  outlier_layer: number;
  last_layer: number;
  queries: string;
  layers: { layer: number; median_norm: number; largest_norm: number; outliers: number; kept: number }[];
  neurons: { layer: number; neuron: number }[];
  variants: OutlierVariant[];
}

export interface Registers extends ResultFile {
  split: { calibration: string; evaluation: string };
  /** Of models without registers of their own. */
  test_time: TestTime | null;
  variants: Variant[];
}

export interface TrainingRecord {
  kind: string;
  step: number;
  loss?: number;
  ratio?: number;
  attention?: number;
}

export function readReport(): Report {
  const text = document.getElementById("massact-data")?.textContent ?? "";
  return JSON.parse(text) as Report;
}

/** The findings to talk about: of the last rule that was tried (as `ScanResult::best`). */
export function bestSet(scan: Scan): FindingSet {
  return scan.candidates ?? scan.automatic ?? scan.findings;
}

/** Whether its tokens are patches of images. */
export function readsImages(model: ModelData): boolean {
  return model.pictures !== null || [model.scan, model.explain].some((file) => Boolean(file?.run?.images)) || Boolean(model.ablate?.images);
}

export function hasMassive(scan: Scan): boolean {
  return bestSet(scan).findings.some((finding) => finding.label === "massive");
}
