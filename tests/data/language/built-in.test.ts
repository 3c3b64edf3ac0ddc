import { describe, expect, it } from "vitest";
import { excerptsOf } from "../../../lib/data/language/built-in.js";
import {
  builtInIdentifier,
  identifyLanguage,
  languageCode,
  languageIdentifier,
} from "../../../lib/data/language/index.js";

const SENTENCES: Record<string, string> = {
  en: "The train to the north leaves at seven in the morning, and nobody knows when it will come back.",
  de: "Der Zug nach Norden fährt um sieben Uhr morgens ab, und niemand weiß, wann er zurückkommt.",
  fr: "Le train pour le nord part à sept heures du matin, et personne ne sait quand il reviendra.",
  es: "El tren hacia el norte sale a las siete de la mañana y nadie sabe cuándo volverá.",
  it: "Il treno per il nord parte alle sette del mattino e nessuno sa quando tornerà indietro.",
  nl: "De trein naar het noorden vertrekt om zeven uur 's ochtends en niemand weet wanneer hij terugkomt.",
  pl: "Pociąg na północ odjeżdża o siódmej rano i nikt nie wie, kiedy wróci z powrotem.",
  ru: "Поезд на север отправляется в семь часов утра, и никто не знает, когда он вернётся.",
  el: "Το τρένο για τον βορρά φεύγει στις επτά το πρωί και κανείς δεν ξέρει πότε θα γυρίσει.",
  ja: "北へ向かう列車は朝七時に出発しますが、いつ戻ってくるのか誰も知りません。",
  ko: "북쪽으로 가는 기차는 아침 일곱 시에 떠나지만 언제 돌아올지는 아무도 모릅니다.",
  zh: "开往北方的火车早上七点出发，没有人知道它什么时候回来。",
  ar: "يغادر القطار المتجه إلى الشمال في الساعة السابعة صباحا ولا أحد يعرف متى سيعود.",
  tr: "Kuzeye giden tren sabah saat yedide kalkıyor ve ne zaman döneceğini kimse bilmiyor.",
};

describe("the built-in identifier", () => {
  it("knows languages, with scores above FineWeb's threshold", async () => {
    const found = await identifyLanguage(Object.values(SENTENCES));
    expect(found.map(({ language }) => language)).toEqual(Object.keys(SENTENCES));
    for (const { score } of found) {
      expect(score).toBeGreaterThan(0.65);
      expect(score).toBeLessThanOrEqual(1);
    }
  });

  it("is not sure of what is no language it knows", async () => {
    const texts = [
      "",
      "   \n",
      "1234 5678, 12.5 % (2024-01-01)",
      "👍👍 😀",
      "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore.",
      "Habari ya asubuhi, jina langu ni Juma na ninatoka Tanzania. Ninapenda kusoma vitabu.",
      "qsdk wxlmp zzrt vbnq kfdj pqowei zmxn qwhd xcvb",
    ];
    const found = await identifyLanguage(texts);
    expect(found.slice(0, 4)).toEqual(Array.from({ length: 4 }, () => ({ language: "und", score: 0 })));
    for (const { score } of found.slice(4)) expect(score).toBeLessThan(0.65);
  });

  it("gives the same for any number of threads and any batch", async () => {
    const texts = Array.from({ length: 300 }, (_, i) => Object.values(SENTENCES)[i % 14].slice(i % 30));
    const one = await builtInIdentifier({ threads: 1 }).identify(texts);
    expect(await builtInIdentifier({ threads: 3 }).identify(texts)).toEqual(one);
    expect(await builtInIdentifier().identify(texts.slice(50, 60))).toEqual(one.slice(50, 60));
    expect(await builtInIdentifier().identify([])).toEqual([]);
    // Several callers at once.
    const both = await Promise.all([identifyLanguage(texts), identifyLanguage(texts)]);
    expect(both).toEqual([one, one]);
  });

  it("looks at beginning, middle and end of long texts", async () => {
    const menu = "Home | Login | About us | Contact | Privacy policy | Terms of use | Newsletter. ";
    const article = `${menu.repeat(4)}${SENTENCES.de.repeat(40)}`;
    expect((await identifyLanguage([article]))[0].language).toBe("de");
    expect(excerptsOf("x".repeat(400))).toEqual(["x".repeat(400)]);
    const long = Array.from({ length: 2000 }, (_, i) => String.fromCharCode(65 + (i % 26))).join("");
    expect(excerptsOf(long)).toEqual([long.slice(0, 200), long.slice(900, 1100), long.slice(1800)]);
  });

  it("does not hold the event loop", async () => {
    const texts = Array.from({ length: 3000 }, (_, i) => Object.values(SENTENCES)[i % 14].repeat(8));
    let ticks = 0;
    const timer = setInterval(() => {
      ticks++;
    }, 1);
    await identifyLanguage(texts);
    clearInterval(timer);
    // Work in one piece would leave no room for any, however busy the machine.
    expect(ticks).toBeGreaterThan(20);
  });

  it("is the default by name", async () => {
    expect((await languageIdentifier()).name).toBe("built-in");
    expect((await languageIdentifier("built-in", { threads: 1 })).name).toBe("built-in");
  });
});

describe("language codes", () => {
  it("have two letters where ISO 639-1 has them", () => {
    const codes: [string, string][] = [
      ["en", "en"],
      ["eng", "en"],
      ["eng_Latn", "en"],
      ["EN-us", "en"],
      ["zho_Hans", "zh"],
      ["cmn", "zh"],
      ["arb_Arab", "ar"],
      ["ceb", "ceb"],
      ["als", "als"],
      ["als_Latn", "sq"],
      ["hq", "hq"],
      ["high quality", "high quality"],
      ["constructor", "constructor"],
    ];
    for (const [label, code] of codes) expect(languageCode(label), label).toBe(code);
  });
});
