/** The main text of web pages: what stays, what goes, and pages that are broken in every way. */
import { describe, expect, it } from "vitest";
import { extractText } from "../../../lib/data/index.js";
import { pageBlocks, pageBlocksInSteps } from "../../../lib/data/readers/html-blocks.js";
import { ARTICLE, CODE, FORM_PAGE, FORUM, LANGUAGES, OLD, prose, TABLES } from "./pages.js";
import { failure, put, read, temporaryFiles, texts } from "./reading.js";

temporaryFiles();

const count = (text: string, word: string) => text.split(word).length - 1;

describe("main text", () => {
  const pages = {
    article: ARTICLE,
    forum: FORUM,
    code: CODE,
    tables: TABLES,
    old: OLD,
    form: FORM_PAGE,
    ...LANGUAGES,
  };
  it.each(Object.entries(pages))("of a page: %s", (_, html) => {
    const { text } = extractText(html);
    expect(count(text, "DROP"), text).toBe(0);
    expect(count(text, "KEEP"), text).toBe(count(html, "KEEP"));
  });

  it("keeps the order and the shape of what it takes", () => {
    const { text, title, language } = extractText(ARTICLE);
    expect(title).toBe("The bridge | Valley News");
    expect(language).toBe("en");
    expect(text.startsWith("KEEP The bridge that moved\n\nKEEP ")).toBe(true);
    expect(text).toContain("- KEEP first of the lessons that were learned from it\n- KEEP second");
    expect(text).toContain("A link inside and on it goes.");
  });

  it("keeps the lines of code and drops their numbers", () => {
    const { text } = extractText(CODE);
    expect(text).toContain(
      'function arch(stones) {\n  if (stones < 3) {\n    throw new Error("KEEP too few");\n  }\n\n  return',
    );
    expect(text).toContain("let a = arch(7);\nprint(a) // KEEP output");
    expect(text).not.toContain("1\n2");
    expect(text).toContain("KEEP The arch library\n");
  });

  it("writes a table's rows as lines", () => {
    expect(extractText(TABLES).text).toContain(
      "KEEP Name | Length | Year\nKEEP Bridge 1 | 17 m | 1810\nKEEP Bridge 2",
    );
  });

  it("gives nothing for a page without text", () => {
    for (const html of [
      "",
      "   ",
      "<html><body></body></html>",
      "<nav><a href=x>Home</a></nav>",
      "<p>Short.</p>",
    ]) {
      expect(extractText(html).text).toBe("");
    }
  });

  it("takes everything that is seen when all is wanted", () => {
    const { text } = extractText(ARTICLE, "all");
    expect(text).toContain("DROP Most read");
    expect(text).toContain("DROP About us");
    expect(text).not.toContain("var DROP");
    expect(count(text, "KEEP")).toBe(count(ARTICLE, "KEEP"));
  });

  it("numbers ordered lists and indents inner ones", () => {
    const html = `<article><p>${prose(1)}</p><ol start="3"><li>third of all<li>fourth of all<ul><li>inner one</ul><li>fifth of all</ol><p>${prose(2)}</p></article>`;
    expect(extractText(html).text).toContain(
      "3. third of all\n4. fourth of all\n  - inner one\n5. fifth of all",
    );
  });

  it("is the same in steps as at once", async () => {
    for (const html of [ARTICLE.repeat(40), FORUM.repeat(60), `<p>${"x &amp; y ".repeat(60_000)}`]) {
      expect(await pageBlocksInSteps(html, async () => {})).toEqual(pageBlocks(html));
    }
  });
});

describe("broken markup", () => {
  const body = `<p>${prose(1)}</p><p>${prose(2)}</p>`;
  const found = (html: string) => extractText(html).text;

  it.each([
    ["elements that are not closed", `<div><div><p>${prose(1)}<p>${prose(2)}`],
    ["closing tags without openings", `</div></p></table></li>${body}</td></span>`],
    ["crossed elements", `<b><i><p>${prose(1)}</b></p></i><p>${prose(2)}</p>`],
    ["a link around everything that is not closed at once", `<div><a href="x">go</div>${body}`],
    ["a cell's closing tags of outer elements", `<div><table><tr><td></div>${body}</td></tr></table></div>`],
    [
      "a doctype and comments in odd places",
      `<!-- <p>no --><!doctype html><!-->${body}<!-- -- --><![CDATA[no]]>`,
    ],
    ["a tag that the page ends in", `${body}<p class="x`],
    ["an entity that the page ends in", `${body}&am`],
    ["attributes without values and with odd quotes", `<div hidden-not class=a"b id='c>d' x=>${body}`],
    ["null characters", `\u0000<div>\u0000${body}`],
  ])("survives %s", (_, html) => {
    const text = found(html);
    expect(text).toContain(prose(1));
    expect(text).toContain(prose(2).slice(0, 60));
    expect(text).not.toMatch(/\bno\b.*\bno\b|<p|CDATA/);
  });

  it("drops what is in a script or style however it ends", () => {
    expect(found(`${body}<script>if (a</b) document.write("<p>no</p>")`)).not.toContain("no</p>");
    expect(found(`${body}<style>p { no }`)).not.toContain("{ no }");
    expect(found(`<template><p>${prose(5)}</p></template>${body}`)).not.toContain(prose(5));
  });

  it.each([
    ["open elements", "<div>", 37500],
    ["inline elements", "<b><i>", 18750],
    ["links", '<a href="x">', 25_000],
    ["lists", "<ul><li>", 18750],
    ["tables", "<table><tr><td>", 12500],
    ["closing tags", "</div>", 37500],
    ["crossed tags", "<b><p></b>", 12500],
    ["line breaks", "<br>", 37500],
    ["openings of tags", "<", 62500],
    ["openings of comments", "<!-", 37500],
    ["ampersands", "&", 62500],
    ["attributes", "<p a b c d e f ", 1_0000],
    ["headings", "<h1>x", 12500],
    ["rows", "<tr><td>x", 12500],
    ["svg", "<svg><g>", 12500],
  ])("takes linear time for very many %s", (_, piece, times) => {
    const start = performance.now();
    const text = found(`${body}${piece.repeat(times)}`);
    expect(text).toContain(prose(1).slice(0, 60));
    expect(performance.now() - start).toBeLessThan(8000);
  });

  it("goes on with text below the depth that is followed", () => {
    const deep = `${"<div>".repeat(2000)}${body}${"</div>".repeat(2000)}<p>${prose(3)}</p>`;
    expect(found(deep)).toBe([prose(1), prose(2), prose(3)].join("\n\n"));
  });
});

describe("files of web pages", () => {
  const page = (text: string, meta = "") =>
    `<html><head>${meta}<title>Füße</title></head><body><p>${text}</p></body></html>`;
  const text = `${prose(1)} Füße, naïve.`;

  it("gives the text with its title", async () => {
    const path = await put(
      "a.html",
      `<html lang="en"><head><title>Füße &amp; more</title></head><p>${text}</p>`,
    );
    expect(await read(path)).toEqual([
      { text, source: path, metadata: { title: "Füße & more", language: "en" } },
    ]);
    expect(await read(path, { metadata: false })).toEqual([{ text, source: path }]);
  });

  it.each([
    ["UTF-8 without a label", Buffer.from(page(text))],
    ["UTF-8 under a wrong label", Buffer.from(page(text, '<meta charset="iso-8859-1">'))],
    ["UTF-8 with a mark", Buffer.from(`\ufeff${page(text)}`)],
    ["UTF-16 with a mark", Buffer.from(`\ufeff${page(text)}`, "utf16le")],
    ["windows-1252 without a label", Buffer.from(page(text), "latin1")],
    [
      "latin 1 with a label",
      Buffer.from(
        page(text, '<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">'),
        "latin1",
      ),
    ],
    [
      "latin 1 under a label that does not exist",
      Buffer.from(page(text, '<meta charset="none-such">'), "latin1"),
    ],
  ])("decodes %s", async (_, bytes) => {
    const path = await put("charset.html", bytes);
    expect(await read(path)).toMatchObject([{ text, metadata: { title: "Füße" } }]);
  });

  it("decodes what its own label names", async () => {
    const russian = LANGUAGES.ru.replace("<body>", '<head><meta charset="windows-1251"></head><body>');
    const bytes = Buffer.from(
      [...russian].map((c) => {
        const code = c.codePointAt(0) as number;
        return code < 128 ? code : code === 0x451 ? 0xb8 : code === 0x401 ? 0xa8 : code - 0x410 + 0xc0;
      }),
    );
    expect(await texts(await put("ru.html", bytes))).toEqual([extractText(LANGUAGES.ru).text]);
    const japanese = Buffer.concat([
      Buffer.from(`<meta charset=shift_jis><p>${prose(1)} `),
      Buffer.from([0x93, 0xfa, 0x96, 0x7b]),
    ]);
    expect((await texts(await put("ja.htm", japanese)))[0]).toContain("日本");
  });

  it("refuses what is too large for a page", async () => {
    const error = await failure(await put("large.html", page("x".repeat(5000))), { maxRecordBytes: 4096 });
    expect(error.message).toMatch(/large\.html has more than 4096 bytes, too many for a web page/);
  });

  it("says that there is nothing in an empty one", async () => {
    expect((await failure(await put("empty.html", ""))).message).toMatch(/The data is empty/);
  });
});
