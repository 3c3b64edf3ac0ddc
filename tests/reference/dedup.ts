/**
 * Oracle of deduplication, written for reading: folding by JavaScript's own Unicode functions, MinHash in big integers, clusters
 * and repeated passages by comparing everything with everything.
 */

const MASK = (1n << 64n) - 1n;
const PRIME = (1n << 61n) - 1n;
const [P1, P2, P3, P4, P5] = [
  0x9e3779b185ebca87n,
  0xc2b2ae3d27d4eb4fn,
  0x165667b19e3779f9n,
  0x85ebca77c2b2ae63n,
  0x27d4eb2f165667c5n,
];

const rotate = (value: bigint, bits: bigint) => ((value << bits) | (value >> (64n - bits))) & MASK;
const times = (a: bigint, b: bigint) => (a * b) & MASK;

/** XXH64 with seed 0. */
export function xxh64(text: string): bigint {
  const bytes = Buffer.from(text);
  const round = (lane: bigint, input: bigint) => times(rotate((lane + times(input, P2)) & MASK, 31n), P1);
  let at = 0;
  let hash = P5;
  if (bytes.length >= 32) {
    let lanes = [(P1 + P2) & MASK, P2, 0n, (MASK + 1n - P1) & MASK];
    for (; at + 32 <= bytes.length; at += 32) {
      const from = at;
      lanes = lanes.map((lane, i) => round(lane, bytes.readBigUInt64LE(from + 8 * i)));
    }
    hash = [1n, 7n, 12n, 18n].reduce((sum, bits, i) => (sum + rotate(lanes[i], bits)) & MASK, 0n);
    for (const lane of lanes) hash = (times(hash ^ round(0n, lane), P1) + P4) & MASK;
  }
  hash = (hash + BigInt(bytes.length)) & MASK;
  for (; at + 8 <= bytes.length; at += 8) {
    hash = (times(rotate(hash ^ round(0n, bytes.readBigUInt64LE(at)), 27n), P1) + P4) & MASK;
  }
  if (at + 4 <= bytes.length) {
    hash = (times(rotate(hash ^ times(BigInt(bytes.readUInt32LE(at)), P1), 23n), P2) + P3) & MASK;
    at += 4;
  }
  for (; at < bytes.length; at++) hash = times(rotate(hash ^ times(BigInt(bytes[at]), P5), 11n), P1);
  hash = times(hash ^ (hash >> 33n), P2);
  hash = times(hash ^ (hash >> 29n), P3);
  return hash ^ (hash >> 32n);
}

/** MT19937, 32 bits at a time, seeded as numpy's RandomState is. */
function* mersenneTwister(seed: number): Generator<number> {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  for (;;) {
    for (let i = 0; i < 624; i++) {
      const mixed = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
    }
    for (let i = 0; i < 624; i++) {
      let value = state[i];
      value ^= value >>> 11;
      value ^= (value << 7) & 0x9d2c5680;
      value ^= (value << 15) & 0xefc60000;
      yield (value ^ (value >>> 18)) >>> 0;
    }
  }
}

/** Coefficients of the hash functions: numpy's randint(1, 2^61 − 1), then randint(0, 2^61 − 1), by masked rejection. */
export function hashFunctions(count: number, seed: number): { a: bigint[]; b: bigint[] } {
  const draws = mersenneTwister(seed);
  const next = () => BigInt(draws.next().value as number);
  const below = (low: bigint) => {
    for (;;) {
      const high = next();
      const value = ((high << 32n) | next()) & PRIME;
      if (value <= PRIME - 1n - low) return low + value;
    }
  };
  const a = Array.from({ length: count }, () => below(1n));
  return { a, b: Array.from({ length: count }, () => below(0n)) };
}

const PUNCTUATION = new Set(
  "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~«´»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～",
);
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Bopomofo}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Yi}ー]/u;

/** The words of a text as near-duplicate search sees them. */
export function foldWords(text: string, words: "spaced" | "scripts" = "scripts"): string[] {
  const numbered = text.toLowerCase().replace(/\p{Nd}+([.,،٫⎖⎗⎘]\p{Nd}+)?/gu, "0");
  const spaced = Array.from(numbered, (c) => {
    const blank = PUNCTUATION.has(c) || /[\p{Cc}\s]/u.test(c);
    if (blank) return " ";
    const plain = c.normalize("NFD").replace(/\p{Mn}/gu, "");
    return words === "scripts" && UNSPACED.test(c) && plain !== "" ? ` ${plain} ` : plain;
  });
  return spaced
    .join("")
    .split(" ")
    .filter((word) => word !== "");
}

/** The values of all hash functions; undefined for a text with fewer words than a shingle. */
export function signature(
  text: string,
  options: { shingle: number; functions: number; seed: number },
): bigint[] | undefined {
  const words = foldWords(text);
  const { a, b } = hashFunctions(options.functions, options.seed);
  let least: bigint[] | undefined;
  for (let i = 0; i + options.shingle <= words.length; i++) {
    const x = xxh64(words.slice(i, i + options.shingle).join(" "));
    const values = a.map((factor, j) => ((factor * x + b[j]) & MASK) % PRIME);
    const before = least ?? values;
    least = values.map((value, j) => [value, before[j]].sort((x, y) => Number(x - y))[0]);
  }
  return least;
}

/** For each document the first one that it is connected with. */
export function clusters(count: number, alike: (a: number, b: number) => boolean): number[] {
  const first = Array.from({ length: count }, (_, i) => i);
  for (let changed = true; changed; ) {
    changed = false;
    for (let a = 0; a < count; a++) {
      for (let b = a + 1; b < count; b++) {
        const least = Math.min(first[a], first[b]);
        if (first[a] !== first[b] && alike(a, b)) {
          first[a] = least;
          first[b] = least;
          changed = true;
        }
      }
    }
  }
  return first;
}

/** For each document, which of its bytes are in a window that equals an earlier one that ends before it begins. */
export function repeatedBytes(documents: readonly Uint8Array[], length: number): boolean[][] {
  const first = new Map<string, { document: number; at: number }>();
  return documents.map((bytes, document) => {
    const repeated = new Array<boolean>(bytes.length).fill(false);
    for (let at = 0; at + length <= bytes.length; at++) {
      const window = Buffer.from(bytes.subarray(at, at + length)).toString("latin1");
      const before = first.get(window);
      if (before === undefined) first.set(window, { document, at });
      else if (before.document < document || before.at + length <= at) repeated.fill(true, at, at + length);
    }
    return repeated;
  });
}
