/** Language codes: the two-letter code of ISO 639-1 where there is one, whatever a model calls a language. */

/** ISO 639-3 → 639-1; members of a macrolanguage that models name on their own go to its code. */
const TWO_LETTERS: ReadonlyMap<string, string> = new Map(
  `aar:aa abk:ab afr:af aka:ak amh:am ara:ar arb:ar arg:an asm:as ava:av ave:ae aym:ay ayr:ay aze:az azj:az bak:ba bam:bm
  bel:be ben:bn bis:bi bod:bo bos:bs bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cmn:zh cor:kw cos:co cre:cr
  cym:cy dan:da deu:de div:dv dzo:dz ekk:et ell:el eng:en epo:eo est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr
  fry:fy ful:ff gla:gd gle:ga glg:gl glv:gv grn:gn gug:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu
  hye:hy ibo:ig ido:io iii:ii ike:iu iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks
  kat:ka kau:kr kaz:kk khk:mn khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj kur:ku kmr:ku lao:lo lat:la lav:lv
  lvs:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mah:mh mal:ml mar:mr mkd:mk mlg:mg plt:mg mlt:mt mon:mn mri:mi msa:ms
  zsm:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne npi:ne nld:nl nno:nn nob:nb nor:no nya:ny oci:oc oji:oj ori:or
  ory:or orm:om gaz:om oss:os pan:pa pes:fa pli:pi pol:pl por:pt prs:fa pus:ps pbt:ps que:qu quy:qu roh:rm ron:ro run:rn
  rus:ru sag:sg san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq als:sq srd:sc srp:sr
  ssw:ss sun:su swa:sw swh:sw swe:sv tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk
  tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz uzn:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh ydd:yi yid:yi yor:yo zha:za
  zho:zh zul:zu`
    .split(/\s+/)
    .map((pair) => pair.split(":") as [string, string]),
);

/**
 * The code for a model's label: `eng`, `eng_Latn`, `en-US` and `EN` are all `en`. Labels that are no language code come
 * back as they are.
 */
export function languageCode(label: string): string {
  const match = /^([A-Za-z]{2,3})(?:[-_][A-Za-z0-9_-]+)?$/.exec(label);
  if (match === null) return label;
  const code = match[1].toLowerCase();
  // Two models differ in "als": Alemannic as in Wikipedia's names, or Tosk Albanian as in ISO 639-3 with a script.
  if (label === "als") return "als";
  return TWO_LETTERS.get(code) ?? code;
}
