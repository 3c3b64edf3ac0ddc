/**
 * The oracle of byte-pair encoding in plain TypeScript, written for reading: training on counted words, and encoding of one
 * piece. Slow, with the ids and the order of merges that Hugging Face's trainer gives.
 */

export interface OracleSettings {
  vocabSize: number;
  minFrequency?: number;
  specialTokens?: readonly string[];
  initialAlphabet?: readonly string[];
  limitAlphabet?: number;
  maxTokenLength?: number;
  continuingSubwordPrefix?: string;
}

export interface OracleVocabulary {
  tokens: string[];
  /** Pairs of tokens, best first. */
  merges: [string, string][];
}

/** A pair that waits to be merged in some words; its count may be out of date. */
interface Waiting {
  left: number;
  right: number;
  count: number;
  words: Set<number>;
  step: number;
}

const byCodePoint = (a: string, b: string) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number);

/** Trains on words (as the vocabulary spells them) and how often each occurs. */
export function trainOracle(
  counted: ReadonlyMap<string, number>,
  settings: OracleSettings,
): OracleVocabulary {
  const { vocabSize, minFrequency = 0, maxTokenLength = Number.POSITIVE_INFINITY } = settings;
  const prefix = settings.continuingSubwordPrefix ?? "";
  const tokens: string[] = [];
  const ids = new Map<string, number>();
  const add = (token: string) => {
    if (!ids.has(token)) ids.set(token, tokens.push(token) - 1);
    return ids.get(token) as number;
  };
  for (const token of settings.specialTokens ?? []) add(token);
  for (const character of alphabet(counted, settings)) add(character);

  // Words as ids; characters outside the alphabet are left out.
  const spelled = [...counted].map(([word, count]) => ({
    count,
    symbols: [...word].map((c, i) => ({ known: ids.has(c), token: i === 0 ? c : prefix + c })),
  }));
  const known = spelled.map(({ symbols }) => symbols.filter((symbol) => symbol.known));
  const placed = new Set(known.flatMap((symbols) => symbols.map((symbol) => symbol.token)));
  for (const token of [...placed].sort(byBytes)) add(token);
  const words = known.map((symbols) => symbols.map(({ token }) => ids.get(token) as number));
  const lengths = tokens.map(() => 1);

  const counts = new Map<string, number>();
  let waiting: Waiting[] = [];
  let fresh = new Map<string, Waiting>();
  const change = (left: number, right: number, word: number, by: number, step: number) => {
    const key = `${left} ${right}`;
    counts.set(key, (counts.get(key) ?? 0) + by * spelled[word].count);
    if (by < 0) return;
    const entry = fresh.get(key) ?? { left, right, count: 0, words: new Set(), step };
    entry.words.add(word);
    fresh.set(key, entry);
  };
  const queue = () => {
    for (const [key, entry] of fresh) {
      entry.count = counts.get(key) as number;
      if (entry.count > 0) waiting.push(entry);
    }
    fresh = new Map();
  };
  words.forEach((symbols, word) => {
    for (let i = 0; i + 1 < symbols.length; i++) change(symbols[i], symbols[i + 1], word, 1, 0);
  });
  queue();

  const merges: [string, string][] = [];
  while (tokens.length < vocabSize && waiting.length > 0) {
    const top = waiting.reduce((best, entry) => (before(entry, best) ? entry : best));
    const now = counts.get(`${top.left} ${top.right}`) as number;
    if (top.count !== now) {
      top.count = now;
      continue;
    }
    if (top.count < 1 || top.count < minFrequency) break;
    waiting = waiting.filter((entry) => entry !== top);
    const { left, right } = top;
    const tail = tokens[right];
    const made = add(tokens[left] + (tail.startsWith(prefix) ? tail.slice(prefix.length) : tail));
    lengths[made] = lengths[left] + lengths[right];
    merges.push([tokens[left], tokens[right]]);
    for (const word of top.words) {
      const symbols = words[word];
      for (let i = 0; i + 1 < symbols.length; i++) {
        if (symbols[i] !== left || symbols[i + 1] !== right) continue;
        const [previous, next] = [symbols[i - 1], symbols[i + 2]];
        symbols.splice(i, 2, made);
        const step = merges.length;
        if (previous !== undefined) {
          change(previous, left, word, -1, step);
          if (lengths[previous] + lengths[made] < maxTokenLength) change(previous, made, word, 1, step);
        }
        if (next !== undefined) {
          change(right, next, word, -1, step);
          if (lengths[next] + lengths[made] < maxTokenLength) change(made, next, word, 1, step);
        }
      }
    }
    queue();
  }
  // A pair that was merged twice has its later rank only.
  const last = new Map(merges.map(([a, b], rank) => [`${ids.get(a)} ${ids.get(b)}`, rank]));
  return {
    tokens,
    merges: merges.filter(([a, b], rank) => last.get(`${ids.get(a)} ${ids.get(b)}`) === rank),
  };
}

/** The most frequent first, then the smaller ids, then the later entry. */
function before(a: Waiting, b: Waiting): boolean {
  if (a.count !== b.count) return a.count > b.count;
  if (a.left !== b.left) return a.left < b.left;
  if (a.right !== b.right) return a.right < b.right;
  return a.step > b.step;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function alphabet(counted: ReadonlyMap<string, number>, settings: OracleSettings): string[] {
  const seen = new Map<string, number>();
  for (const [word, count] of counted) {
    for (const character of word) seen.set(character, (seen.get(character) ?? 0) + count);
  }
  for (const character of settings.initialAlphabet ?? []) seen.set(character, Number.POSITIVE_INFINITY);
  const kept = [...seen].sort((a, b) => b[1] - a[1] || byCodePoint(a[0], b[0]));
  return kept
    .slice(0, settings.limitAlphabet)
    .map(([character]) => character)
    .sort(byCodePoint);
}

/** Ids of one piece: of all adjacent pairs the one of lowest rank is merged first, the leftmost of equals. */
export function encodeOracle(symbols: readonly string[], vocabulary: OracleVocabulary): number[] {
  const ids = new Map(vocabulary.tokens.map((token, id) => [token, id]));
  const ranks = new Map(vocabulary.merges.map(([a, b], rank) => [JSON.stringify([a, b]), rank]));
  const parts = [...symbols];
  for (;;) {
    let best = Number.POSITIVE_INFINITY;
    let at = -1;
    for (let i = 0; i + 1 < parts.length; i++) {
      const rank = ranks.get(JSON.stringify([parts[i], parts[i + 1]]));
      if (rank !== undefined && rank < best) {
        best = rank;
        at = i;
      }
    }
    if (at < 0) return parts.map((part) => ids.get(part) as number);
    parts.splice(at, 2, parts[at] + parts[at + 1]);
  }
}
