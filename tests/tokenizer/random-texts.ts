/** Random texts of the kinds of characters that patterns tell apart, for tests that compare two ways to cut them. */

const POOLS = [
  "abcXYZstmdlvre",
  " \t\n\r",
  "0123456789٣५",
  "'’.,!?/-_()[]{}<>=+*&^%$#@~`|\\\"",
  "\u00a0\u3000\u0085\u2028\u2029\u200b\u200d\ufeff\u2003",
  "éßſıİǅʰªºΣσςЖжאبทก日本語ひらカタ゛゜・ー龥龦가한",
  "\u0301\u0308\u0316\u0345\u093f\u0e31\u20e3\ufe0f\u064b",
  "²½ⅧⅳⒶ①㊀𐄇",
  "👩🏽🇫🇷🎉",
  "\u0000\u0001\u001f\u007f\u009f\ue000\u0378\u3097\u3040",
  "𝒜𐐀𐐨𑄶𞤀",
  " '",
  " ",
  "'sS'LLre",
].map((pool) => [...pool]);

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Texts of one to some dozens of characters from a few of the pools, a few of them from all of Unicode. */
export function randomTexts(count: number, seed: number): string[] {
  const random = randomNumbers(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const texts: string[] = [];
  for (let i = 0; i < count; i++) {
    const chosen = Array.from({ length: 1 + below(5) }, () => POOLS[below(POOLS.length)]);
    let text = "";
    for (let n = [1, 2, 3, 5, 8, 13, 30][below(7)]; n > 0; n--) {
      if (random() < 0.9) {
        const pool = chosen[below(chosen.length)];
        text += pool[below(pool.length)].repeat([1, 1, 1, 2, 3, 7][below(6)]);
      } else {
        const code = random() < 0.5 ? below(0x3000) : below(0x110000);
        text += String.fromCodePoint(code >= 0xd800 && code < 0xe000 ? 0x41 : code);
      }
    }
    texts.push(text);
  }
  return texts;
}
