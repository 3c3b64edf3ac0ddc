/** Text as it streams: whole characters, stop texts across tokens, spacing that follows from the prompt. */
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { penalised } from "../../lib/generate/penalty.js";
import { TextTail } from "../../lib/generate/text.js";
import { ByteTokenizer, loadTokenizer } from "../../lib/tokenizer/index.js";

const bytes = new ByteTokenizer();

/** Pushes the bytes of a text one by one; the pieces, up to a stop. */
function stream(text: string, stops: string[] = []): { pieces: string[]; stopped: boolean } {
  const tail = new TextTail(bytes, [], stops);
  const pieces: string[] = [];
  for (const id of bytes.encode(text)) {
    const piece = tail.push(id);
    pieces.push(piece.text);
    if (piece.stopped) return { pieces, stopped: true };
  }
  pieces.push(tail.end());
  return { pieces, stopped: false };
}

describe("TextTail", () => {
  it("never gives half a character", () => {
    const text = "añ€😀z";
    const { pieces } = stream(text);
    expect(pieces.join("")).toBe(text);
    for (const piece of pieces) expect(piece).toBe(Buffer.from(piece).toString());
    expect(pieces).toEqual(["a", "", "ñ", "", "", "€", "", "", "", "😀", "z", ""]);
  });

  it("shows a character whose bytes never came as U+FFFD at the end", () => {
    const tail = new TextTail(bytes, [], []);
    expect(tail.push(0xe2).text + tail.push(0x82).text).toBe("");
    expect(tail.end()).toBe("\ufffd");
  });

  it("completes a character that the prompt began", () => {
    const [a, b, c] = bytes.encode("€");
    const tail = new TextTail(bytes, [a, b], []);
    expect(tail.push(c).text).toBe("€");
  });

  it("holds back what may become a stop text, and cuts there", () => {
    expect(stream("one END two", ["END"])).toEqual({
      pieces: ["o", "n", "e", " ", "", "", ""],
      stopped: true,
    });
    expect(stream("one ENE two", ["END"]).pieces.join("")).toBe("one ENE two");
    expect(stream("one EN", ["END"])).toEqual({ pieces: ["o", "n", "e", " ", "", "", "EN"], stopped: false });
    expect(stream("aaab", ["aab"]).pieces.join("")).toBe("a");
    expect(stream("x\n\ny", ["\n\n", "y"]).pieces.join("")).toBe("x");
    expect(stream("smile 😀 on", ["😀"]).pieces.join("")).toBe("smile ");
  });

  it("keeps the space between a prompt and its first generated word", async () => {
    const dir = fileURLToPath(new URL("../golden/tokenizers/llama", import.meta.url));
    const tokenizer = await loadTokenizer(dir);
    const text = "the cat sat on the mat";
    const ids = tokenizer.encode(text);
    for (let cut = 1; cut < ids.length; cut++) {
      const tail = new TextTail(tokenizer, ids.slice(0, cut), []);
      let got = "";
      for (const id of ids.slice(cut)) got += tail.push(id).text;
      got += tail.end();
      expect(text.endsWith(got)).toBe(true);
      expect(tokenizer.decode(ids.slice(0, cut)) + got).toBe(text);
    }
  });
});

describe("penalised", () => {
  it("divides positive and multiplies negative logits of tokens that occurred, once each, row by row", () => {
    const logits = [2, -2, 0, 4, /**/ 1, 1, -1, 8];
    expect([...penalised(logits, [[0, 1, 1], [3]], 2)]).toEqual([1, -4, 0, 4, 1, 1, -1, 4]);
    expect([...penalised([], [], 2)]).toEqual([]);
  });
});
