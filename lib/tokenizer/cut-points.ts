/**
 * Cutting long texts into pieces that can be encoded one by one without changing any id. A tokenizer may look across a
 * cut (regular expressions look ahead, merges join neighbours), so cuts are searched where words begin and are then
 * tried out: a cut stands only when encoding both sides of its surroundings apart gives what encoding them together gives.
 */

/** Length aimed at for one piece, in UTF-16 code units. */
const PIECE = 1 << 16;
/** Text on each side of a cut that is encoded to try it out. */
const CONTEXT = 512;
/** How far before the wanted end of a piece a cut may lie. */
const SEARCH = 4096;
/** Cuts tried of each sort before the piece is made longer. */
const TRIES = 4;

/** Moves a position off the middle of a surrogate pair. */
function wholeCharacter(text: string, position: number): number {
  const code = text.charCodeAt(position);
  const before = text.charCodeAt(position - 1);
  return code >= 0xdc00 && code < 0xe000 && before >= 0xd800 && before < 0xdc00 ? position - 1 : position;
}

/**
 * Pieces of about a million code units for tokenizers that encode each character by itself. Never cuts a surrogate
 * pair or an occurrence of a special token.
 */
export function* codePointPieces(
  text: string,
  specials: readonly string[],
  length = 1 << 20,
): Iterable<string> {
  const longest = Math.max(0, ...specials.map((special) => special.length));
  let start = 0;
  while (text.length - start > length) {
    let end = wholeCharacter(text, start + length);
    const cutsSpecial = (at: number) => {
      const around = text.slice(Math.max(start, at - longest + 1), at + longest - 1);
      return specials.some((special) => around.includes(special));
    };
    while (end < text.length && (cutsSpecial(end) || wholeCharacter(text, end) !== end)) end++;
    yield text.slice(start, end);
    start = end;
  }
  if (start < text.length) yield text.slice(start);
}

/** Places where popular tokenizers start a new token, the safest sort first. Each matches at the first code unit after the cut. */
const SORTS: readonly RegExp[] = [
  /(?<=\p{L}) (?=\p{L})/gu, // a space between two words
  /(?<=[\p{L}\p{N}])\n(?=[\p{L}\p{N}])/gu, // a line end between two words
  /(?<=\S)\s/gu, // any white space after anything else
  /(?<=[。．！？、，])\p{L}/gu, // after punctuation of scripts that write no spaces
];

/** Positions in [from, to) where a cut may be tried, best first. */
function candidates(text: string, from: number, to: number): number[] {
  const part = text.slice(from - 2, to + 2);
  const found: number[] = [];
  for (const sort of SORTS) {
    const positions: number[] = [];
    for (const match of part.matchAll(sort)) {
      const position = from - 2 + match.index;
      if (position >= from && position < to) positions.push(position);
    }
    found.push(...positions.slice(-TRIES));
  }
  return found;
}

/** Whether encoding the surroundings of a cut in two parts gives the same ids as in one. */
function cutHolds(text: string, at: number, encode: (text: string) => ArrayLike<number>): boolean {
  const from = wholeCharacter(text, Math.max(0, at - CONTEXT));
  const to = wholeCharacter(text, Math.min(text.length, at + CONTEXT));
  const together = encode(text.slice(from, to));
  const before = encode(text.slice(from, at));
  const after = encode(text.slice(at, to));
  if (before.length + after.length !== together.length) return false;
  for (let i = 0; i < together.length; i++) {
    const id = i < before.length ? before[i] : after[i - before.length];
    if (id !== together[i]) return false;
  }
  return true;
}

/**
 * Pieces whose encodings, joined, are the encoding of the whole text. Where no cut holds (for example because the
 * tokenizer puts a prefix before every text), the rest of the text is one piece: slower, never different.
 * @param encode the plain encoding of a short text, without special tokens added.
 * @param length length aimed at for one piece, in UTF-16 code units.
 */
export function* safePieces(
  text: string,
  encode: (text: string) => ArrayLike<number>,
  length = PIECE,
): Iterable<string> {
  let start = 0;
  let end = length;
  let failures = 0;
  // After this many pieces' worth of text without any cut that holds, the tokenizer is one that allows none.
  while (failures < 8 && text.length - end > 0) {
    const from = Math.max(start + 2, end - SEARCH);
    const cut = candidates(text, from, end).find((at) => cutHolds(text, at, encode));
    if (cut === undefined) {
      failures++;
      end += length;
      continue;
    }
    yield text.slice(start, cut);
    failures = 0;
    start = cut;
    end = cut + length;
  }
  if (start < text.length) yield text.slice(start);
}
