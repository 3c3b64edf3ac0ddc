/** Web pages as they are found: text to keep is marked with KEEP, everything around it with DROP. */

/** Sentences of running text; the same number gives the same ones. */
export function prose(seed: number, sentences = 4): string {
  const parts = [
    "The old bridge was closed for most of the winter because the river had risen above its arches",
    "Nobody in the village could remember a year in which so much of the harvest had been lost",
    "She said that they would have to wait until the water was lower before the work could begin",
    "It was not the first time that the people of the valley had been left to themselves",
    "Some of them went to the city and did not come back, but most stayed where they were",
    "When the engineers came at last, they found that the middle pillar had moved by a hand",
    "There is a photograph of that day in the museum, which is open on the first Sunday of every month",
    "After the repair the bridge was wider than before, and carts could pass each other on it",
  ];
  return Array.from({ length: sentences }, (_, i) => `${parts[(seed * 3 + i) % parts.length]}.`).join(" ");
}

const menu = `<nav><ul>${["Home", "News", "Sport", "About us", "Contact"].map((x) => `<li><a href="/${x}">DROP ${x}</a></li>`).join("")}</ul></nav>`;
const foot = `<footer><p>DROP © 2024 Valley News. All rights reserved. <a href="/p">Privacy</a> <a href="/t">Terms</a></p></footer>`;

/** A newspaper article with everything that newspapers put around one. */
export const ARTICLE = `<!DOCTYPE html><html lang="en"><head><title>The bridge | Valley News</title>
<meta property="og:title" content="The bridge"><style>.DROP{}</style><script>var DROP = "<p>DROP</p>";</script></head><body>
<header><div class="logo">DROP Valley News</div>${menu}</header>
<div class="cookie-banner"><p>DROP We use cookies to make the site better for you and to show you what you may like, and by going on you agree to all of that.</p><button>DROP OK</button></div>
<main><article><h1>KEEP The bridge that moved</h1><p class="byline">DROP By A. Writer</p>
<p>KEEP ${prose(1)}</p>
<figure><img src="x.jpg" alt="DROP"><figcaption>KEEP A bridge in winter</figcaption></figure>
<p>KEEP ${prose(2)} <a href="/x">A link inside</a> and on it goes.</p>
<aside class="related"><h3>DROP Read more</h3><ul><li><a href="/1">DROP The storm of the century and what came after it</a></li></ul></aside>
<h2>KEEP What came after</h2>
<p>KEEP ${prose(3)}</p><ul><li>KEEP first of the lessons that were learned from it</li><li>KEEP second of the lessons, which is shorter</li></ul>
<p>KEEP ${prose(4)}</p>
<div class="share-buttons"><a href="#">DROP Tweet</a> <a href="#">DROP Share</a></div></article></main>
<div id="sidebar"><h3>DROP Most read</h3><p>DROP ${prose(5, 2)}</p></div>
<form action="/s"><label>DROP Newsletter</label><input name="q"><p>DROP Sign up for our letter and you will be told of all that is new in the valley.</p></form>
${foot}<div style="display: none">DROP ${prose(6)}</div><noscript>DROP ${prose(7)}</noscript></body></html>`;

/** A forum thread: many posts by people, each with facts about its writer. */
export const FORUM = `<html><head><title>A thread - Forum</title></head><body><div id="header"><a href="/">DROP Forum</a> <a href="/login">DROP Log in</a></div>
<div class="breadcrumbs"><a href="/">DROP Index</a> &raquo; <a href="/f">DROP Bridges</a></div><h1>KEEP How do I repair an arch?</h1>
${[1, 2, 3, 4, 5]
  .map(
    (
      n,
    ) => `<div class="post"><div class="userinfo"><b><a href="/u${n}">DROP user${n}</a></b><br>DROP Posts: ${n * 31}<br>DROP Joined: 2010</div>
<div class="content">KEEP ${prose(n, 3)}<br><br>KEEP ${n === 3 ? "Thanks, that is what I thought." : prose(n + 3, 2)}</div>
<div class="signature">DROP Sent from my bridge</div></div>`,
  )
  .join("\n")}
<div class="pagination"><a href="?2">DROP 2</a> <a href="?3">DROP 3</a> <a href="?n">DROP next</a></div><div id="footer">DROP Powered by Forum</div></body></html>`;

/** Documentation with code, line numbers and a table of contents. */
export const CODE = `<html><body><div class="toc"><ul><li><a href="#a">DROP Install</a></li><li><a href="#b">DROP Use</a></li></ul></div>
<div class="document"><h1>KEEP The arch library<a class="headerlink" href="#a">DROP ¶</a></h1><p>KEEP ${prose(1, 3)}</p>
<pre><code>function arch(stones) {
  if (stones &lt; 3) {
    throw new Error("KEEP too few");
  }

  return stones * 2; // KEEP &amp; mind the gap
}</code></pre><p>KEEP ${prose(2, 3)}</p>
<div class="highlight"><table><tr><td class="linenos"><pre>1
2</pre></td><td class="code"><pre>let a = arch(7);
print(a) // KEEP output</pre></td></tr></table></div><p>KEEP ${prose(3, 3)}</p></div></body></html>`;

/** A page of data: two tables of figures with a little text. */
export const TABLES = `<html lang="en"><body>${menu}<div id="content"><h1>KEEP Bridges of the valley</h1><p>KEEP ${prose(1, 3)}</p>
<table class="data"><caption>KEEP Lengths</caption><thead><tr><th>KEEP Name</th><th>Length</th><th>Year</th></tr></thead><tbody>
${[1, 2, 3, 4, 5, 6].map((n) => `<tr><td>KEEP Bridge ${n}</td><td>${n * 17} m</td><td>18${n}0</td></tr>`).join("")}</tbody></table>
<p>KEEP ${prose(2, 3)}</p></div>
<table class="nav"><tr><td><a href="1">DROP one</a></td><td><a href="2">DROP two</a></td></tr><tr><td><a href="3">DROP three</a></td><td><a href="4">DROP four</a></td></tr></table>${foot}</body></html>`;

/** A page of the nineties: tables for layout, no paragraphs, unclosed elements, upper case. */
export const OLD = `<HTML><BODY BGCOLOR=white><TABLE WIDTH=100%><TR><TD WIDTH=120 VALIGN=top><A HREF=a.html>DROP Home</A><BR><A HREF=b.html>DROP Links</A><BR><A HREF=c.html>DROP Guestbook</A>
<TD><FONT SIZE=5><B>My page about the bridge</B></FONT><P>KEEP ${prose(1)}<P>KEEP ${prose(2)}<BR><BR>KEEP ${prose(3)}
<UL><LI>KEEP the first thing that I have to say<LI>KEEP and the second thing</UL>KEEP ${prose(4)}</TABLE><CENTER>DROP Copyright © 1998</CENTER></BODY>`;

/** The same kind of page in other languages. */
export const LANGUAGES: Readonly<Record<string, string>> = {
  de: `<html lang="de"><body><div class="menu"><a href="/">DROP Start</a> <a href="/k">DROP Kontakt</a></div><p>KEEP Die alte Brücke war den größten Teil des Winters gesperrt, weil der Fluss über die Bögen gestiegen war. Niemand im Dorf konnte sich an ein Jahr erinnern, in dem so viel von der Ernte verloren gegangen ist.</p><p>KEEP Sie sagte, dass man warten müsse, bis das Wasser wieder gefallen sei, und dass die Arbeit erst dann beginnen könne. Es war nicht das erste Mal, dass die Leute im Tal auf sich allein gestellt waren.</p><p><a href="/i">DROP Impressum</a> | <a href="/d">DROP Datenschutz</a></p></body></html>`,
  fr: `<html lang="fr"><body><ul class="menu"><li><a href="/">DROP Accueil</a></li></ul><p>KEEP Le vieux pont est resté fermé pendant la plus grande partie de l'hiver, parce que la rivière était montée au-dessus de ses arches. Personne dans le village ne se souvenait d'une année où tant de récoltes avaient été perdues.</p><p>KEEP Elle a dit qu'il faudrait attendre que l'eau baisse avant que les travaux puissent commencer, et que ce n'était pas la première fois que les gens de la vallée étaient laissés à eux-mêmes.</p></body></html>`,
  ru: `<html lang="ru"><body><div id="menu"><a href="/">DROP Главная</a></div><p>KEEP Старый мост был закрыт большую часть зимы, потому что река поднялась выше его арок. Никто в деревне не мог вспомнить год, в котором было бы потеряно так много урожая, и все говорили только об этом.</p><p>KEEP Она сказала, что нужно подождать, пока вода не спадёт, и что работа может начаться только после этого. Это был не первый раз, когда люди в долине были предоставлены сами себе.</p></body></html>`,
  zh: `<html lang="zh"><body><div id="menu"><a href="/">DROP 首页</a> <a href="/n">DROP 新闻</a></div><p>KEEP 那座古老的桥在冬天的大部分时间里都是关闭的，因为河水已经上涨到了桥拱之上。村里没有人能记得有哪一年的收成损失得这么多，大家都在谈论这件事情，也不知道什么时候才能重新开放。</p><p>KEEP 她说他们必须等到水位下降之后才能开始工作。这不是山谷里的人们第一次被留在那里，他们中的一些人去了城市就没有再回来，但是大多数的人都留在了原来的地方，继续他们的生活。</p></body></html>`,
  ja: `<html lang="ja"><body><div id="menu"><a href="/">DROP ホーム</a></div><p>KEEP 古い橋は冬のほとんどの間、川の水がアーチの上まで上がっていたために閉鎖されていました。村の誰もが、これほど多くの収穫が失われた年を思い出すことができませんでした。工事がいつ始まるのかも、まだ分かっていませんでした。</p><p>KEEP 彼女は、水が下がるまで待たなければならないと言いました。谷の人々が自分たちだけで取り残されたのは、これが初めてではありませんでした。町に行って戻らなかった人もいましたが、多くの人はそのまま残りました。</p></body></html>`,
  ar: `<html lang="ar"><body><div id="menu"><a href="/">DROP الرئيسية</a></div><p>KEEP كان الجسر القديم مغلقا في معظم فصل الشتاء لأن مياه النهر كانت قد ارتفعت إلى ما فوق الأقواس، ولم يكن هناك أحد في القرية يتذكر سنة ضاع فيها مثل هذا القدر من المحصول، وقد تحدث الناس عن ذلك في كل مكان.</p><p>KEEP قالت إن عليهم أن ينتظروا حتى تنخفض المياه قبل أن يبدأ العمل، ولم تكن هذه هي المرة الأولى التي يترك فيها أهل الوادي من دون مساعدة، وقد ذهب بعضهم إلى المدينة ولم يعد منها بعد ذلك.</p></body></html>`,
};

/** A page inside one form, as some systems make all theirs. */
export const FORM_PAGE = `<html><body><form id="aspnetForm" method="post"><input type="hidden" name="__VIEWSTATE" value="DROP"><div id="topmenu"><a href="/">DROP Start</a></div><div id="main-content"><h1>KEEP The bridge</h1><p>KEEP ${prose(1)}</p><p>KEEP ${prose(2)}</p><p>KEEP ${prose(3)}</p></div></form></body></html>`;
