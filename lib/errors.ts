/**
 * Typed errors of the whole package. Every error a user can meet is one of these classes: it carries a stable
 * `code`, a message that names the thing and the fix, and the values involved in `details`.
 */

/** Values that belong to an error: shapes, dtypes, paths, expected and actual values. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/** Base class of all errors thrown by anneal. */
export class AnnealError extends Error {
  /** Stable machine-readable identifier, for example `ERR_SHAPE`. */
  readonly code: string;
  /** The values involved, by name. */
  readonly details: ErrorDetails;

  constructor(code: string, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
    this.details = details;
  }
}

/** A tensor has a shape that the operation cannot take. */
export class ShapeError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_SHAPE", message, details, options);
  }
}

/** A tensor has a dtype that the operation cannot take. */
export class DtypeError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_DTYPE", message, details, options);
  }
}

/** A device is unknown, absent, or tensors of different devices meet in one operation. */
export class DeviceError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_DEVICE", message, details, options);
  }
}

/** A tensor, model or stream was used after it was disposed. */
export class DisposedError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_DISPOSED", message, details, options);
  }
}

/** A device ran out of memory; `details` says what was asked and what is in use, in bytes. */
export class OutOfMemoryError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_OUT_OF_MEMORY", message, details, options);
  }
}

/** A paged cache has no page left for the tokens that were to be appended; nothing was changed. */
export class CacheFullError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_CACHE_FULL", message, details, options);
  }
}

/** A kernel failed while it ran on its device (for example an index outside its table). */
export class KernelError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_KERNEL", message, details, options);
  }
}

/** The native addon or a backend is missing, or does not fit this package's version. */
export class NativeError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_NATIVE", message, details, options);
  }
}

/** Something cannot be recorded for replay, or a recording does not fit what it is replayed with; the message names it and the way around. */
export class CaptureError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_CAPTURE", message, details, options);
  }
}

/** A checkpoint is missing, damaged, or belongs to another configuration. */
export class CheckpointError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_CHECKPOINT", message, details, options);
  }
}

/** An option or configuration field is unknown, of the wrong type, or out of range. */
export class ConfigError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_CONFIG", message, details, options);
  }
}

/** Input text or tokens are missing, empty, too short or not valid. */
export class DataError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_DATA", message, details, options);
  }
}

/** A tokenizer file is invalid, or a tokenizer does not fit the model or the text. */
export class TokenizerError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_TOKENIZER", message, details, options);
  }
}

/** A file does not follow its format (safetensors, token shard, JSON). */
export class FormatError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_FORMAT", message, details, options);
  }
}

/** A repository on the Hugging Face Hub is missing, closed, out of reach, or sent other bytes than it promised. */
export class HubError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_HUB", message, details, options);
  }
}

/** Training stopped because a value is not finite or the loss left its range. */
export class DivergenceError extends AnnealError {
  constructor(message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super("ERR_DIVERGENCE", message, details, options);
  }
}

/** Edit distance between two short names (Damerau–Levenshtein: two neighbours swapped count once), for suggestions. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(row[j - 1] + 1, rows[i - 1][j] + 1, substitution));
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) row[j] = Math.min(row[j], rows[i - 2][j - 2] + 1);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}

/**
 * The candidate closest to `name`, or undefined when none is within `limit` edits (default: a third of the name's length, at least 1). Names that
 * differ only in case, dashes or underscores always match.
 */
export function suggest(
  name: string,
  candidates: Iterable<string>,
  limit = Math.max(1, Math.floor(name.length / 3)),
): string | undefined {
  const plain = (s: string) => s.toLowerCase().replace(/[-_\s.]/g, "");
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const distance = plain(candidate) === plain(name) ? 0 : editDistance(plain(name), plain(candidate));
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return bestDistance <= limit ? best : undefined;
}

/** A sentence ` Did you mean "x"?` for a misspelt name, or an empty string. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const best = suggest(name, candidates);
  return best === undefined ? "" : ` Did you mean "${best}"?`;
}
