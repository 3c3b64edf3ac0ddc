/**
 * How much a text looks like sentences: the share of its words that are function words (articles, prepositions, pronouns,
 * auxiliary verbs), which running text is full of and menus are not. For scripts that write no spaces it is the share of
 * their most frequent grammatical characters. The lists are the commonest such words of each language.
 */
const LISTS: Readonly<Record<string, string>> = {
  en: "the of and to in a is that it for was on are as with be by this at from or have an they which one you had not but his were we all her she there would their him been has when who will more no if out so said what up its about into than them can only other new some could time these two may then do first any my now such like our over me even most after also did many before must through back where much your way well down should because each just those how too little good very make world still own see here between both being under never know same another while last might us off come since against go came right used take three",
  de: "der die das und in zu den von mit ist des sich auf für nicht ein eine dem als auch es an er hat aus bei sie nach wird einer um am sind noch wie einem über einen so zum war haben nur oder aber vor zur bis mehr durch man sein wurde wenn kann ihre dass ich wir werden diese dieser hatte ihr keine seine was unter vom schon alle gegen sehr hier doch dann da wo im ihn uns ihm",
  fr: "de la le et les des en un une du est que dans qui pour au par sur pas plus avec ne se sont ce il elle aux cette ou son sa ses nous vous je mais été être comme tout fait leur on ont était même aussi si deux entre bien sans y peut ces dont après encore où très leurs lui moins avant depuis toute autres ainsi quand",
  es: "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si sin sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque qué sólo han yo hay vez puede todos así nos ni parte tiene él uno donde bien",
  pt: "de a o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao ele das tem à seu sua ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois sem mesmo aos ter seus quem nas me esse eles estão você tinha foram essa num nem suas",
  it: "di e il la che in a un per è non una del sono le con si da i della come più al dei ma nel alla ha lo anche gli delle o se dal suo sua questo dalla essere era stato ho ci cui fra tra su sul nella molto quando ancora dopo solo tutto perché così dove lui loro sia ai due prima",
  nl: "de van het een en in is dat op te zijn met voor die niet aan er om ook als dan maar bij uit nog door naar over ze zich hij ik was wordt deze worden heeft we kan of je hebben tot zo dit wel veel had al mijn geen wat meer werd haar hun men moet onder tegen zou",
  pl: "w i na z do się nie to jest że o od za jak po przez co dla ale czy tak był tym jego przy może ich oraz tego być są która który które było tylko już jej lub pod bardzo ma ze jako także gdy aby jednak bez tej go mi nad roku",
  cs: "a v na se je to že s z do o i k ve pro za by jako jsou ale po jak od při který která které byl bylo byla také nebo co tak jeho být aby si až podle už než jsem ze ke její jen více však než mezi",
  sv: "och i att det som en på är av för med den till inte har de om ett var men sig så från vi kan när man nu vid även efter eller hade då ut upp där ska skulle under bara han hon jag mycket många sin finns blir mot",
  da: "og i at det er en til af på som med for den der de ikke har et om var fra men sig han kan så eller ved blev også efter ud hvor når man være nu sin vi jeg havde over skal mere denne hun",
  no: "og i det er en på til som av at for med har de den ikke et om var fra men seg han kan så eller ved ble også etter ut hvor når man være nå sin vi jeg hadde over skal mer denne hun",
  fi: "ja on ei että oli se hän mutta ovat kun niin myös kuin tai jos joka jotka sen ole mukaan vain siitä ovat olla hänen voi jo sitä nyt ollut minä sekä kaikki mitä tämä siellä vielä jossa kanssa ennen",
  hu: "a az és hogy nem is egy ez de meg volt csak már van mint azt ha még el ezt vagy ki fel lehet minden majd után akkor kell úgy nagyon pedig én sem le mert így aki ami között azonban lett illetve",
  ro: "de și în a la cu o pe care nu un din că se pentru mai este au sau ce fi prin al ca ale lui sunt dar fost ai dintre după sa lor acest fără când foarte pot era unei ei si cei doar",
  tr: "ve bir bu da de için ile olarak çok daha olan gibi kadar en ne var sonra o ki ama mi ise her diye değil ya olduğu ancak oldu göre ben iki şey yok hem zaman olduğunu tarafından",
  ru: "и в не на что я с он как это по но к у из за от так же для о все было был его бы то а мы вы она или их если при только уже ещё еще когда которые который где чтобы этого может быть до после более также есть ее её меня нет без под",
  uk: "і в на не що з до та як у за це від по але про для й він його є вони було або при так все був її які який ще вже тільки коли щоб також може бути після їх цього були під",
  el: "και το η της να του την ο που με για τα στο από τη είναι των σε τον οι δεν στην θα ότι ως μια αλλά μας ένα αυτό τους στη τις ή αν πως όπως κατά μετά πολύ έχει",
  ar: "في من على أن إلى التي عن الذي هذا هذه لا ما كان مع أو كما بعد قد هو ذلك بين كل لم وقد هي إن ثم عند حتى كانت إذا أي و لكن قبل غير به له لها فيه",
  he: "של את על לא זה הוא כי עם גם או אל היא אם כל יותר היה מה בין אני רק לפי זו אך כך יש הם אבל ידי לו אחד ב הזה אין בו",
  fa: "و در به از که این را با است برای آن یک خود تا کرد بر هم نیز شده می شد ما اما یا باید وی بود او هر های اند دو اگر",
  hi: "के में की है और का को से पर ने कि यह हैं एक भी इस नहीं था तो कर लिए हो गया जो ही किया वह थे अपने कहा थी या साथ बाद तक उन",
  id: "yang dan di dengan untuk dari pada ini itu dalam tidak adalah akan juga ke oleh sebagai karena mereka dapat telah ada atau lebih bisa saya kami sudah oleh anda seperti saat hanya banyak secara tersebut",
  vi: "và của là có cho các trong được với không một người những đã này khi để về từ ra đến tại như cũng đó nhiều vào sẽ hơn thì phải trên theo năm lại làm nhưng còn sau việc rất",
};

const LANGUAGES = Object.keys(LISTS);
/** Function words with the languages that they belong to, one bit each. */
const WORDS = new Map<string, number>();
for (const [bit, language] of LANGUAGES.entries()) {
  for (const word of LISTS[language].split(" ")) WORDS.set(word, (WORDS.get(word) ?? 0) | (1 << bit));
}
/** Words that are looked at to find out a page's language. */
const SAMPLE_WORDS = 500;
/** Characters of a text that are looked at: what it is shows in its beginning. */
const SAMPLE_LENGTH = 1000;

/** Grammatical characters of Chinese, of Japanese (all its syllables), and endings of Korean and Thai words. */
const CHINESE = /[的了是在不和有我这這也就都而及与與为為之以于於其到说說他她们們会會中上个個]/g;
const JAPANESE = /[\u3041-\u3096]/g;
const KOREAN =
  /(?:은|는|이|가|을|를|의|에|에서|로|으로|와|과|도|다|고|한|하는|있다|했다|했습니다|습니다)(?=[\s.,!?)]|$)/g;
const THAI = /(?:ที่|และ|ใน|การ|เป็น|ของ|ได้|มี|ให้|จะ|ไม่|ว่า|กับ|จาก|ความ)/g;
const DENSE =
  /[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff]/g;
const WORD = /[\p{L}\p{M}]+/gu;
const SENTENCE_END = /[.!?…。！？۔।](?=["'”’»)\]]*(?:\s|$))/g;

/** How many times an expression matches. */
function count(text: string, expression: RegExp): number {
  let found = 0;
  expression.lastIndex = 0;
  while (expression.test(text)) found++;
  return found;
}

/** Length of a text in characters of alphabetic writing: those of Chinese and others say as much as two or three of them. */
export function textWeight(text: string): number {
  return text.length + 1.5 * count(text, DENSE);
}

/** The language whose function words are most frequent in some texts; undefined when none stands out. */
export function functionWordLanguage(texts: Iterable<string>): string | undefined {
  const counts = new Uint32Array(LANGUAGES.length);
  let words = 0;
  for (const text of texts) {
    for (const word of text.slice(0, SAMPLE_LENGTH).toLowerCase().match(WORD) ?? []) {
      words++;
      // Each set bit stands for a language that has the word.
      for (let bits = WORDS.get(word) ?? 0; bits !== 0; bits &= bits - 1)
        counts[31 - Math.clz32(bits & -bits)]++;
    }
    if (words > SAMPLE_WORDS) break;
  }
  const best = counts.indexOf(Math.max(...counts));
  return words > 0 && counts[best] >= 0.1 * words ? LANGUAGES[best] : undefined;
}

/**
 * Share of function words in a text, from 0 to 1; running text has 0.3 to 0.6.
 * @param language as `functionWordLanguage` found it for the page. Without one, a text of several words that ends as a
 *   sentence counts as running text.
 */
export function functionWordShare(text: string, language: string | undefined): number {
  const dense = count(text, DENSE);
  if (dense > 0.3 * text.length) {
    const hits =
      3 * count(text, CHINESE) + count(text, JAPANESE) + 4 * count(text, KOREAN) + 6 * count(text, THAI);
    return Math.min(1, hits / dense);
  }
  const words = text.slice(0, SAMPLE_LENGTH).toLowerCase().match(WORD) ?? [];
  if (words.length === 0) return 0;
  if (language === undefined) return words.length >= 8 && count(text, SENTENCE_END) > 0 ? 0.35 : 0;
  const bit = 1 << LANGUAGES.indexOf(language);
  let found = 0;
  for (const word of words) if (((WORDS.get(word) ?? 0) & bit) !== 0) found++;
  return found / words.length;
}
