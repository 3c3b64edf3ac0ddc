/** What elements of a web page are for: which make blocks, which hold no text, which are navigation and the like. */

/** Elements whose contents are never text of the page. */
export const DROPPED: ReadonlySet<string> = new Set(
  (
    "script style noscript template svg iframe object embed applet canvas audio video map select datalist button textarea " +
    "dialog option optgroup frameset noframes noembed rt rp progress meter annotation annotation-xml menuitem"
  ).split(" "),
);

/** Elements without contents. */
export const VOID: ReadonlySet<string> = new Set(
  "area base basefont bgsound br col command embed frame hr img input keygen link meta param source track wbr".split(
    " ",
  ),
);

/** Elements that stand on lines of their own. */
export const BLOCKS: ReadonlySet<string> = new Set(
  (
    "address article aside blockquote body center dd details dir div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 " +
    "h5 h6 head header hgroup hr html li main menu nav ol p pre search section summary table caption thead tbody tfoot tr " +
    "td th ul listing xmp plaintext title legend"
  ).split(" "),
);

/** Elements that are about the site rather than the page. */
const SITE_ELEMENTS: ReadonlySet<string> = new Set("nav aside footer menu search".split(" "));
const SITE_ROLES: ReadonlySet<string> = new Set(
  (
    "navigation banner contentinfo complementary search menu menubar menuitem toolbar dialog alertdialog alert tablist " +
    "button tooltip"
  ).split(" "),
);

/** Words in class names and ids that usually mean something other than the page's text. */
const SUSPECT_WORDS: ReadonlySet<string> = new Set(
  (
    "nav navbar navigation navi sitenav topnav subnav menu menubar submenu megamenu sidebar sidenav breadcrumb breadcrumbs crumbs " +
    "footer masthead topbar toolbar cookie cookies consent gdpr share sharing shares social addthis related recommended " +
    "recommendation recommendations promo promotion advert adverts advertisement advertising ads ad adsbygoogle sponsor " +
    "sponsored sponsors banner newsletter subscribe subscription signup login signin register popup modal overlay pagination " +
    "pager paging paginator widget widgets tagcloud tags taglist keywords meta postmeta byline dateline timestamp userinfo " +
    "postprofile profile avatar signature sig copyright disclaimer legal trending popular outbrain taboola toc rating ratings " +
    "respond comments disqus commentlist commentform skip skiplink teaser prevnext jumplinks noprint catlinks infobox navbox hatnote metadata " +
    "postauthor postbody-actions actions reactions votes upvote karma statusbar quicklinks sitemap langlist languages"
  ).split(" "),
);

/** Class names of text that is only for screen readers, of line numbers and of editing links. */
const UNSEEN_CLASSES: ReadonlySet<string> = new Set(
  (
    "hidden hide sr-only visually-hidden visuallyhidden screen-reader-text screen-reader-only element-invisible d-none " +
    "mw-editsection editsection lineno linenos line-numbers line-numbers-rows linenumber linenumbers gutter blob-num " +
    "mw-cite-backlink headerlink anchorjs-link anchor-link permalink"
  ).split(" "),
);

/** Attributes that tell what an element is for. */
export interface RegionAttributes {
  class?: string;
  id?: string;
  role?: string;
  style?: string;
  hidden?: string;
  "aria-hidden"?: string;
  [name: string]: string | undefined;
}

/** Whether an element is not shown, or shown beside the text only. */
export function isUnseen(name: string, attributes: RegionAttributes): boolean {
  if (attributes.hidden !== undefined && attributes.hidden.toLowerCase() !== "until-found") return true;
  if (attributes["aria-hidden"]?.toLowerCase() === "true") return true;
  if (attributes.style !== undefined && /display\s*:\s*none|visibility\s*:\s*hidden/i.test(attributes.style))
    return true;
  if (attributes.class === undefined) return false;
  if (name === "sup" && /\breference\b/.test(attributes.class)) return true;
  return attributes.class
    .toLowerCase()
    .split(/\s+/)
    .some((word) => UNSEEN_CLASSES.has(word));
}

/** Whether an element is navigation, a margin or a footer by its name or role. */
export function isSite(name: string, attributes: RegionAttributes, inMain: boolean): boolean {
  if (SITE_ELEMENTS.has(name)) return true;
  if (name === "header" && !inMain) return true;
  return attributes.role !== undefined && SITE_ROLES.has(attributes.role.trim().toLowerCase());
}

/** Whether an element holds the page's main text by its name or role. */
export function isMain(name: string, attributes: RegionAttributes): boolean {
  const role = attributes.role?.trim().toLowerCase();
  return name === "main" || name === "article" || role === "main" || role === "article";
}

/** Whether an element's class or id sounds like something other than the text. A hint, to be weighed. */
export function isSuspect(name: string, attributes: RegionAttributes): boolean {
  if (name === "body" || name === "html" || name === "main" || name === "article" || name === "h1")
    return false;
  return sounds(attributes.class) || sounds(attributes.id);
}

const heard = new Map<string, boolean>();

/** Whether one of the words in a class or id is suspect; `has-`, `no-` and `with-` speak of another element. */
function sounds(names: string | undefined): boolean {
  if (names === undefined || names === "") return false;
  const known = heard.get(names);
  if (known !== undefined) return known;
  let suspect = false;
  for (const name of names.slice(0, 512).split(/\s+/)) {
    const words = name
      .replace(/([a-z\d])([A-Z])/g, "$1-$2")
      .toLowerCase()
      .split(/[^a-z]+/);
    // Page builders call every piece of content a widget.
    if (words.includes("elementor") || words.includes("wp")) continue;
    if (
      words.some(
        (word, i) => SUSPECT_WORDS.has(word) && !/^(?:has|no|with|without|is|not)$/.test(words[i - 1] ?? ""),
      )
    ) {
      suspect = true;
      break;
    }
  }
  // Pages use the same few names over and over; what is kept stays small.
  if (heard.size > 10_000) heard.clear();
  heard.set(names, suspect);
  return suspect;
}
