/** What deduplication found: clusters of documents, of which the first is kept. */
import type { MergedClusters } from "../../native/text/dedup.js";

/** Two documents or more that count as one. */
export interface Cluster {
  /** Number of the document that is kept: the first in the order of input. */
  kept: number;
  /** Numbers of all documents of the cluster, in order; the first is the one that is kept. */
  members: Uint32Array;
}

/** How the clusters were found. */
export interface DedupFacts {
  method: string;
  settings: Record<string, unknown>;
  /** Documents that have keys. */
  keyed: number;
  /** Bytes of UTF-8 text that this process read. */
  bytes: number;
  runs: number;
  /** Bytes of runs on the disk. */
  runBytes: number;
  threads: number;
  seconds: { keys: number; merge: number };
}

/** The verdict on every document. 4 bytes per document, and 4 per member of a cluster. */
export class DedupResult {
  /** Documents in all. */
  readonly documents: number;
  /** Clusters of two documents or more. */
  readonly clusters: number;
  /** Documents that are not kept. */
  readonly removedCount: number;

  constructor(
    /** For each document the first one of its cluster; itself where it is kept. */
    readonly representative: Uint32Array,
    private readonly merged: MergedClusters,
    readonly facts: DedupFacts,
  ) {
    this.documents = representative.length;
    this.clusters = merged.ends.length;
    this.removedCount = merged.members.length - merged.ends.length;
  }

  /** Whether a document is a duplicate of an earlier one. */
  isRemoved(document: number): boolean {
    return this.representative[document] !== document;
  }

  /** Documents that share a key with an earlier one, counted in every bucket. */
  get pairs(): number {
    return this.merged.pairs;
  }

  /** Those of them that their signatures did not confirm. */
  get rejected(): number {
    return this.merged.rejected;
  }

  /** Numbers of all documents that are not kept, in order. */
  removed(): Uint32Array {
    const removed = new Uint32Array(this.removedCount);
    let at = 0;
    for (let document = 0; document < this.documents; document++) {
      if (this.isRemoved(document)) removed[at++] = document;
    }
    return removed;
  }

  /** One cluster; they are in the order of the documents that are kept. */
  cluster(index: number): Cluster {
    const { members, ends } = this.merged;
    const of = members.subarray(index === 0 ? 0 : ends[index - 1], ends[index]);
    return { kept: of[0], members: of };
  }

  /** Documents of a cluster. */
  size(index: number): number {
    const { ends } = this.merged;
    return ends[index] - (index === 0 ? 0 : ends[index - 1]);
  }

  /** Clusters by their size: [documents, clusters] pairs, smallest first. */
  sizes(): [size: number, clusters: number][] {
    const counts = new Map<number, number>();
    for (let index = 0; index < this.clusters; index++) {
      const size = this.size(index);
      counts.set(size, (counts.get(size) ?? 0) + 1);
    }
    return [...counts].sort((a, b) => a[0] - b[0]);
  }

  /** Indices of the largest clusters; of equally large ones the first come first. */
  largest(count: number): number[] {
    let best: number[] = [];
    const order = (a: number, b: number) => this.size(b) - this.size(a) || a - b;
    let least = 0;
    for (let index = 0; index < this.clusters; index++) {
      if (best.length >= count && this.size(index) <= least) continue;
      best.push(index);
      if (best.length >= 4 * count + 64) {
        best = best.sort(order).slice(0, count);
        least = this.size(best[count - 1] ?? 0);
      }
    }
    return best.sort(order).slice(0, count);
  }
}
